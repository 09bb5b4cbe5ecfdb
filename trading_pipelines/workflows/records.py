"""Models to rows of the lake and back: verdicts, the journal's orders, and its fills."""

from datetime import date, datetime
from typing import Any

import polars as pl

from trading_pipelines.core.execution.lifecycle import UNRESOLVED
from trading_pipelines.domain.orders import CheckResult, Fill, OrderIntent, OrderRecord, RiskVerdict
from trading_pipelines.domain.tables import FILLS, ORDERS, Table
from trading_pipelines.ports import Journal, Lake

VERDICT = ("order_ref", "decision_id", "payload_hash", "checked_at", "valid_until")


def verdicts(rows: pl.DataFrame) -> tuple[RiskVerdict, ...]:
    """The verdicts that VERDICTS rows hold, in the order of their first row."""
    return tuple(
        RiskVerdict(
            **dict(zip(VERDICT, identity, strict=True)),
            checks=tuple(
                CheckResult(
                    name=row["check"], **{name: row[name] for name in ("passed", "value", "limit", "detail")}
                )
                for row in checks.iter_rows(named=True)
            ),
        )
        for identity, checks in rows.group_by(VERDICT, maintain_order=True)
    )


def order_rows(journal: Journal, session: date, as_of: datetime) -> pl.DataFrame:
    """ORDERS rows of the tick's own orders and of those that changed in its five minutes or still work.

    An order of a later tick is not in it, whenever the tick is run again. Without the derived columns.
    """
    records = [*journal.orders(session=session), *journal.orders(unresolved=True)]
    touched = {
        order.intent.order_ref: order
        for order in records
        if order.intent.as_of == as_of
        or (order.intent.as_of < as_of and (order.state in UNRESOLVED or order.updated_at >= as_of))
    }
    return _rows(ORDERS, [_order_row(order, session, as_of) for order in touched.values()])


def new_fill_rows(journal: Journal, lake: Lake, session: date, as_of: datetime) -> pl.DataFrame:
    """FILLS rows of the session's fills that no other tick holds, without the derived columns."""
    stored = lake.read(FILLS, session=session)
    known = set(stored.filter(stored["as_of"] != as_of)["exec_id"])
    orders = {order.intent.order_ref: order.intent for order in journal.orders()}
    return _rows(
        FILLS,
        [
            _fill_row(fill, orders.get(fill.order_ref), session, as_of)
            for fill in journal.fills(session=session)
            if fill.exec_id not in known
        ],
    )


def _order_row(order: OrderRecord, session: date, as_of: datetime) -> dict[str, Any]:
    own = ("state", "filled", "average_price", "perm_id", "order_id", "client_id", "detail", "updated_at")
    intended = (
        "order_ref",
        "decision_id",
        "position_id",
        "underlying",
        "strategy",
        "action",
        "units",
        "limit_price",
    )
    return (
        {"session": session, "as_of": as_of}
        | {name: getattr(order, name) for name in own}
        | {name: getattr(order.intent, name) for name in intended}
    )


def _fill_row(fill: Fill, intent: OrderIntent | None, session: date, as_of: datetime) -> dict[str, Any]:
    return (
        {"session": session, "as_of": as_of}
        | fill.model_dump(exclude={"contract"})
        | fill.contract.model_dump()
        | {
            "decision_id": intent.decision_id if intent else None,
            "position_id": intent.position_id if intent else None,
        }
    )


def _rows(table: Table, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=table.content)
