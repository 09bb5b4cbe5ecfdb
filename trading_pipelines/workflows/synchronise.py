"""Bringing the journal up to what the broker says: orders, executions, and the positions they make."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from trading_pipelines.core.execution import lifecycle
from trading_pipelines.core.portfolio import booking
from trading_pipelines.domain.orders import BrokerOrder, Fill, OrderRecord, OrderState
from trading_pipelines.domain.positions import PositionStatus, StrategyPosition
from trading_pipelines.ports import Broker, Clock, Journal

TAKEN: Final = frozenset({"PendingSubmit", "ApiPending"})
WORKING: Final = frozenset({"PreSubmitted", "Submitted", "PendingCancel", "ApiUpdate", "ValidationError"})
CANCELLED: Final = frozenset({"Cancelled", "ApiCancelled"})
REFUSED: Final = frozenset({"Inactive"})


@dataclass(frozen=True)
class Synchronised:
    """What changed in the journal: orders after their move, new executions, positions as they are now.

    `reported` are the refs of ours that the broker's order reports hold.
    """

    orders: tuple[OrderRecord, ...]
    fills: tuple[Fill, ...]
    positions: tuple[StrategyPosition, ...]
    reported: frozenset[str]


def synchronise(*, broker: Broker, journal: Journal, clock: Clock) -> Synchronised:
    """Merge the broker's orders and executions into the journal, and book them into positions.

    Orders are matched by order_ref, else by permId. The merge only moves forward, fills come from
    executions alone, and doing it again changes nothing. Orders that are not ours are left alone.
    """
    orders, executions = broker.orders(), broker.fills()
    at = clock.now()
    ours = _ours(journal, orders, executions)
    refs = {record.perm_id: ref for ref, record in ours.items() if record.perm_id}
    fills = journal.record_fills(tuple(_named(executions, ours, refs)))
    reports = {_ref(order, ours, refs): order for order in orders}
    moved = tuple(
        after
        for ref, before in ours.items()
        if (after := follow(journal, before, reports.get(ref), at)) is not before
    )
    positions = book(journal, tuple(ours), at)
    return Synchronised(moved, fills, positions, frozenset(ref for ref in reports if ref in ours))


def remember_peaks(journal: Journal, valued: pl.DataFrame, at: datetime) -> None:
    """Keep the highest captured share of STRATEGIES rows with their positions: it must survive a restart."""
    peaks = dict(valued.select("position_id", "peak_captured").drop_nulls().iter_rows())
    for position in journal.positions():
        peak = peaks.get(position.position_id, position.peak_captured)
        if peak > position.peak_captured:
            journal.save_position(position.model_copy(update={"peak_captured": peak}), at)


def known_order(journal: Journal, order_ref: str) -> OrderRecord:
    """The record of an order that must be there."""
    record = journal.order(order_ref)
    if record is None:
        raise LookupError(f"order {order_ref} vanished from the journal")
    return record


def follow(journal: Journal, record: OrderRecord, report: BrokerOrder | None, at: datetime) -> OrderRecord:
    """The record after what the report and its recorded executions say; itself when nothing moved."""
    intent = record.intent
    fills = journal.fills(order_ref=intent.order_ref)
    filled = booking.filled_units(intent, fills)
    average = booking.average_price(intent, fills)
    state = _next_state(record, report, filled)
    told = [fill.perm_id for fill in fills] + [report.perm_id if report else 0]
    perm_id = record.perm_id or next(filter(None, told), None)
    known = (record.state, record.filled, record.average_price, record.perm_id)
    if (state, float(filled), average, perm_id) == known or state not in lifecycle.ALLOWED[record.state]:
        return record
    uneven = "its legs are filled unevenly" if booking.filled_unevenly(intent, fills) else ""
    journal.transition(
        intent.order_ref,
        state,
        at,
        perm_id=perm_id,
        filled=float(filled),
        average_price=average,
        detail=uneven or (f"broker: {report.status}" if report else "from executions"),
    )
    return known_order(journal, intent.order_ref)


def book(journal: Journal, order_refs: Sequence[str], at: datetime) -> tuple[StrategyPosition, ...]:
    """Positions changed by the recorded executions of these orders, and by which orders still work."""
    before = {position.position_id: position for position in journal.positions()}
    records = [known_order(journal, ref) for ref in order_refs]
    touched = {record.intent.position_id for record in records}
    if touched - before.keys():
        # Rare: an order of a position that is closed, or one that opens.
        before |= {p.position_id: p for p in journal.positions(closed=True) if p.position_id in touched}
    after = dict(before)
    for record in records:
        intent = record.intent
        fills = journal.fills(order_ref=intent.order_ref)
        booked = booking.booked(after.get(intent.position_id), intent, fills)
        if booked is not None:
            after[intent.position_id] = booked
    working = _working(journal)
    changed = []
    for position_id, booked in after.items():
        position = _with_status(booked, working.get(position_id, ()))
        if position != before.get(position_id):
            journal.save_position(position, at)
            changed.append(position)
    return tuple(changed)


def _next_state(record: OrderRecord, report: BrokerOrder | None, filled: int) -> OrderState:
    """Where the broker's word leads; the present state when it leads nowhere new."""
    if filled >= record.intent.units:
        return OrderState.FILLED
    status = report.status if report else ""
    if status in CANCELLED or (status in REFUSED and filled):
        return OrderState.CANCELLED
    if status in REFUSED:
        return OrderState.REJECTED
    # "Filled" without all its executions is not final: they are still to come.
    moving = status in WORKING or status == "Filled"
    state = OrderState.WORKING if moving else OrderState.ACKED if status in TAKEN else record.state
    if filled and (moving or filled > record.filled):
        state = OrderState.PARTIAL
    keeps_cancel = record.state is OrderState.CANCEL_SENT and filled <= record.filled
    if keeps_cancel or state not in lifecycle.ALLOWED[record.state]:
        return record.state
    return state


def _ours(
    journal: Journal, orders: Iterable[BrokerOrder], executions: Iterable[Fill]
) -> dict[str, OrderRecord]:
    """Our orders that are not resolved, or that the broker mentions, by order_ref."""
    ours = {record.intent.order_ref: record for record in journal.orders(unresolved=True)}
    mentioned = [order.order_ref for order in orders] + [fill.order_ref for fill in executions]
    for ref in dict.fromkeys(mentioned):
        if ref and ref not in ours and (record := journal.order(ref)) is not None:
            ours[ref] = record
    return ours


def _ref(order: BrokerOrder, ours: dict[str, OrderRecord], refs: dict[int, str]) -> str:
    return order.order_ref if order.order_ref in ours else refs.get(order.perm_id, order.order_ref)


def _named(executions: Iterable[Fill], ours: dict[str, OrderRecord], refs: dict[int, str]) -> Iterable[Fill]:
    """Executions of our orders; one that came without its ref is recognised by permId."""
    for fill in executions:
        if fill.order_ref in ours:
            yield fill
        elif fill.perm_id in refs:
            yield fill.model_copy(update={"order_ref": refs[fill.perm_id]})


def _working(journal: Journal) -> dict[str, list[OrderRecord]]:
    working: dict[str, list[OrderRecord]] = {}
    for record in journal.orders(unresolved=True):
        working.setdefault(record.intent.position_id, []).append(record)
    return working


def _with_status(position: StrategyPosition, working: Sequence[OrderRecord]) -> StrategyPosition:
    """OPENING or CLOSING while an order of that kind may still work, else OPEN or CLOSED."""
    if not position.units:
        status = PositionStatus.CLOSED
    elif any(record.intent.opens for record in working):
        status = PositionStatus.OPENING
    elif working:
        status = PositionStatus.CLOSING
    else:
        status = PositionStatus.OPEN
    return position if position.status is status else position.model_copy(update={"status": status})
