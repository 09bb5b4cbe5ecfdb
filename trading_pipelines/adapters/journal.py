"""The journal: what must be durable before an order leaves, in one SQLite file.

Every write commits with an fsync before its method returns, so what the journal said once it says
after a kill or a power loss. Moves of orders, halts and leases are only ever added.
"""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo

from trading_pipelines.adapters.journal_file import JournalFile
from trading_pipelines.adapters.single_flight import refuse_while_flying, single_flight
from trading_pipelines.core.execution import lifecycle
from trading_pipelines.domain.errors import DataError, MissingData, OrderRejected, OrderStateUnknown
from trading_pipelines.domain.orders import Fill, OrderIntent, OrderRecord, OrderState
from trading_pipelines.domain.positions import PositionStatus, StrategyPosition

__all__ = ["SqliteJournal", "single_flight"]

_NEW_YORK = ZoneInfo("America/New_York")
_NEWEST_LEASE = "SELECT epoch, holder FROM leases ORDER BY epoch DESC LIMIT 1"


class SqliteJournal:
    """The Journal port on a file; one object may be shared by threads, one file by processes.

    ConfigError when the file is no journal or was written by a newer build; DataError from every
    method when the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = JournalFile(path)

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Who may send

    def lease(self, holder: str, at: datetime) -> int:
        """A new epoch, larger than any before; BrokerError while another process is in `single_flight`."""
        with self._file.writing() as db:
            refuse_while_flying(self.path)
            return _insert(db, "leases", holder=holder, at=_text(at))

    def assert_epoch(self, epoch: int) -> None:
        """OrderStateUnknown unless `epoch` is still the newest."""
        _assert_newest(epoch, self._file.rows(_NEWEST_LEASE))

    # Orders

    def record_intent(self, intent: OrderIntent, at: datetime) -> bool:
        """True when new, False when it is there; OrderRejected when the ref is there with another payload."""
        with self._file.writing() as db:
            known = db.execute(
                "SELECT payload_hash FROM orders WHERE order_ref = ?", (intent.order_ref,)
            ).fetchone()
            if known is not None:
                if known["payload_hash"] != intent.payload_hash:
                    raise OrderRejected(
                        f"{intent.order_ref} is in the journal with other legs, units or price",
                        "the tick was decided before: keep its first decision",
                    )
                return False
            _insert(
                db,
                "orders",
                order_ref=intent.order_ref,
                session=_day(intent.session),
                as_of=_text(intent.as_of),
                payload_hash=intent.payload_hash,
                intent=intent.model_dump_json(),
                state=OrderState.INTENT,
                filled=0.0,
                detail="",
                recorded_at=_text(at),
                updated_at=_text(at),
            )
            _insert(db, "transitions", order_ref=intent.order_ref, state=OrderState.INTENT, at=_text(at))
            return True

    def transition(
        self,
        order_ref: str,
        state: OrderState,
        at: datetime,
        *,
        order_id: int | None = None,
        client_id: int | None = None,
        perm_id: int | None = None,
        epoch: int | None = None,
        filled: float | None = None,
        average_price: float | None = None,
        detail: str = "",
    ) -> None:
        """Move an order along and merge what is known of it: ids stay once known, `filled` only rises.

        IllegalTransition for a move the lifecycle does not allow, MissingData for an unknown ref,
        OrderStateUnknown for SENDING under an epoch that is not the newest: nothing changes then.
        """
        reported: dict[str, float | None] = {
            "order_id": order_id,
            "client_id": client_id,
            "perm_id": perm_id,
            "epoch": epoch,
            "filled": filled,
            "average_price": average_price,
        }
        with self._file.writing() as db:
            row = db.execute("SELECT * FROM orders WHERE order_ref = ?", (order_ref,)).fetchone()
            if row is None:
                raise MissingData(f"no intent {order_ref} in {self.path}", "record the intent first")
            lifecycle.check(OrderState(row["state"]), state)
            if state is OrderState.SENDING and epoch is not None:
                _assert_newest(epoch, db.execute(_NEWEST_LEASE).fetchall())
            move = {"state": state, "detail": detail}
            _insert(db, "transitions", order_ref=order_ref, at=_text(at), **move, **reported)
            known = {name: value for name, value in reported.items() if value is not None}
            if filled is not None and filled < row["filled"]:
                # A report that was overtaken: its price belongs to its count.
                del known["filled"]
                known.pop("average_price", None)
            _update(db, "orders", {"order_ref": order_ref}, updated_at=_text(at), **move, **known)

    def order(self, order_ref: str) -> OrderRecord | None:
        """One order, or None."""
        rows = self._file.rows("SELECT * FROM orders WHERE order_ref = ?", order_ref)
        return _record(rows[0]) if rows else None

    def orders(self, *, session: date | None = None, unresolved: bool = False) -> tuple[OrderRecord, ...]:
        """Orders as they were recorded; `unresolved` keeps those that may still work at the broker."""
        states = lifecycle.UNRESOLVED if unresolved else frozenset(OrderState)
        rows = self._file.rows(
            f"SELECT * FROM orders WHERE state IN ({', '.join('?' * len(states))})"
            " AND session = coalesce(?, session) ORDER BY rowid",
            *sorted(states),
            _day(session),
        )
        return tuple(map(_record, rows))

    def is_sealed(self, session: date, as_of: datetime) -> bool:
        """True once an intent of this tick was recorded."""
        return bool(
            self._file.rows(
                "SELECT 1 FROM orders WHERE session = ? AND as_of = ? LIMIT 1",
                _day(session),
                _text(as_of),
            )
        )

    # Fills

    def record_fills(self, fills: Sequence[Fill]) -> tuple[Fill, ...]:
        """Store fills by exec_id and return the new ones.

        A known exec_id is the same fill; the commission and the profit that IB reports later are
        added to it.
        """
        with self._file.writing() as db:
            return tuple([fill for fill in fills if _store_fill(db, fill)])

    def fills(self, *, order_ref: str | None = None, session: date | None = None) -> tuple[Fill, ...]:
        """Fills after corrections, by time; a fill's session is the New York date of its time."""
        rows = self._file.rows(
            "SELECT fill FROM fills"
            " WHERE order_ref = coalesce(?, order_ref) AND session = coalesce(?, session)"
            " AND correction = (SELECT max(correction) FROM fills AS f WHERE f.exec_key = fills.exec_key)"
            " ORDER BY filled_at, exec_id",
            order_ref,
            _day(session),
        )
        return tuple(Fill.model_validate_json(row["fill"]) for row in rows)

    # Strategy positions

    def save_position(self, position: StrategyPosition, at: datetime) -> None:
        """Insert or replace one strategy position."""
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO positions (position_id, status, position, updated_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (position_id) DO UPDATE SET"
                " status = excluded.status, position = excluded.position, updated_at = excluded.updated_at",
                (position.position_id, position.status, position.model_dump_json(), _text(at)),
            )

    def positions(self, *, closed: bool = False) -> tuple[StrategyPosition, ...]:
        """Strategy positions that are not closed, or all, as they were opened."""
        rows = self._file.rows(
            "SELECT position FROM positions WHERE ? OR status <> ? ORDER BY rowid",
            closed,
            PositionStatus.CLOSED,
        )
        return tuple(StrategyPosition.model_validate_json(row["position"]) for row in rows)

    def changes(self) -> int:
        """A count that grows with every new execution and every move of a position's units or status.

        Peaks that rules remember and commissions that arrive later do not move it.
        """
        rows = self._file.rows(
            "SELECT (SELECT count(*) FROM fills) + (SELECT count(*) FROM position_moves) AS changes"
        )
        return int(rows[0]["changes"])

    # The kill switch and the arming

    def halt(self, reason: str, at: datetime) -> None:
        """Throw the kill switch; it latches until `resume`."""
        self._switch(reason, at)

    def resume(self, at: datetime) -> None:
        """Release the kill switch."""
        self._switch(None, at)

    def halted(self) -> str | None:
        """The first reason given since the last release, or None."""
        rows = self._file.rows(
            "SELECT reason FROM halts"
            " WHERE id > (SELECT coalesce(max(id), 0) FROM halts WHERE reason IS NULL) ORDER BY id LIMIT 1"
        )
        return str(rows[0]["reason"]) if rows else None

    def arm(self, mode: str, account: str, until: datetime, at: datetime) -> None:
        """Allow orders of one mode and account until a time."""
        with self._file.writing() as db:
            _insert(db, "armings", mode=mode, account=account, until=_text(until), at=_text(at))

    def disarm(self, at: datetime) -> None:
        """Withdraw every arming."""
        with self._file.writing() as db:
            db.execute("UPDATE armings SET withdrawn_at = ? WHERE withdrawn_at IS NULL", (_text(at),))

    def armed(self, mode: str, account: str, at: datetime) -> bool:
        """True when an arming of exactly this mode and account is still valid."""
        return bool(
            self._file.rows(
                "SELECT 1 FROM armings WHERE mode = ? AND account = ? AND until > ? AND withdrawn_at IS NULL",
                mode,
                account,
                _text(at),
            )
        )

    def _switch(self, reason: str | None, at: datetime) -> None:
        with self._file.writing() as db:
            _insert(db, "halts", reason=reason, at=_text(at))


def _insert(db: sqlite3.Connection, table: str, **values: float | str | None) -> int:
    """Add a row; returns its rowid."""
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    added = db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))
    return added.lastrowid or 0


def _update(db: sqlite3.Connection, table: str, key: dict[str, str], **values: float | str | None) -> None:
    changes, where = ", ".join(f"{name} = ?" for name in values), " AND ".join(f"{name} = ?" for name in key)
    db.execute(f"UPDATE {table} SET {changes} WHERE {where}", (*values.values(), *key.values()))


def _record(row: sqlite3.Row) -> OrderRecord:
    return OrderRecord(
        intent=OrderIntent.model_validate_json(row["intent"]),
        state=OrderState(row["state"]),
        recorded_at=datetime.fromisoformat(row["recorded_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
        **{
            name: row[name]
            for name in ("order_id", "client_id", "perm_id", "epoch", "filled", "average_price", "detail")
        },
    )


def _store_fill(db: sqlite3.Connection, fill: Fill) -> bool:
    """True when the fill is new; what a known one did not yet say is added to it."""
    row = db.execute("SELECT fill FROM fills WHERE exec_id = ?", (fill.exec_id,)).fetchone()
    if row is None:
        key, _, count = fill.exec_id.rpartition(".")
        # An id that is not of IB's form is kept as it is: a fill is never lost for its name.
        execution, correction = (key, int(count)) if count.isdecimal() else (fill.exec_id, 0)
        _insert(
            db,
            "fills",
            exec_id=fill.exec_id,
            exec_key=execution,
            correction=correction,
            order_ref=fill.order_ref,
            session=_day(fill.filled_at.astimezone(_NEW_YORK).date()),
            filled_at=_text(fill.filled_at),
            fill=fill.model_dump_json(),
        )
        return True
    known = Fill.model_validate_json(row["fill"])
    told = {
        name: getattr(fill, name) for name in ("commission", "realised_pnl") if getattr(known, name) is None
    }
    completed = known.model_copy(update=told)
    if completed != known:
        _update(db, "fills", {"exec_id": fill.exec_id}, fill=completed.model_dump_json())
    return False


def _assert_newest(epoch: int, newest: Sequence[sqlite3.Row]) -> None:
    if not newest or newest[0]["epoch"] != epoch:
        taken = f"{newest[0]['holder']} took epoch {newest[0]['epoch']}" if newest else "no lease was taken"
        raise OrderStateUnknown(
            f"epoch {epoch} is over: {taken}", "send nothing; reconcile under a new lease"
        )


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _text(at: datetime) -> str:
    """UTC at one width, so that text sorts as time does."""
    if at.tzinfo is None:
        raise DataError(f"{at} has no time zone", "times in the journal are stamped by the Clock, in UTC")
    return at.astimezone(UTC).isoformat(timespec="microseconds")
