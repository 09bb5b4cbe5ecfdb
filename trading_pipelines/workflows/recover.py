"""After a crash or a silence: what became of our orders. Nothing is ever sent again."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trading_pipelines.core.market import calendar
from trading_pipelines.domain.orders import OrderRecord, OrderState
from trading_pipelines.domain.parameters import ExecutionParameters
from trading_pipelines.ports import Broker, Clock, Journal
from trading_pipelines.workflows.synchronise import synchronise

ASKABLE: Final = frozenset(
    {
        OrderState.SENDING,
        OrderState.UNKNOWN,
        OrderState.ACKED,
        OrderState.WORKING,
        OrderState.PARTIAL,
        OrderState.CANCEL_SENT,
    }
)
"""States in which the broker has to be asked; NEEDS_HUMAN has been asked about enough."""


@dataclass(frozen=True)
class Recovered:
    """Orders whose state moved, as they are now, and those that nobody knows yet."""

    moved: tuple[OrderRecord, ...]
    unknown: tuple[OrderRecord, ...]


def recover(
    *,
    broker: Broker,
    journal: Journal,
    clock: Clock,
    parameters: ExecutionParameters,
    pause: Callable[[float], None] = time.sleep,
) -> Recovered:
    """Resolve every order that is not final, by asking the broker; cancel those that worked too long.

    An intent that never reached SENDING is abandoned. An order that the broker's orders and executions
    do not know, in `absence_rounds` looks over at least `absence_seconds` on the Clock within its own
    session, with positions that did not change and agree with our books, is proven absent; an order
    that is missing under any other circumstance needs a person. A DAY order the broker had taken and
    that is missing after its session is over, if the positions agree. `pause` waits between looks.
    """
    before = _states(journal, clock.now())
    _abandon_unsent(journal, clock.now())
    _find_the_missing(broker, journal, clock, parameters, pause)
    _cancel_stale(broker, journal, clock, parameters)
    after = _states(journal, clock.now())
    moved = tuple(record for ref, record in after.items() if _state(before.get(ref)) is not record.state)
    return Recovered(moved, tuple(r for r in after.values() if r.state is OrderState.UNKNOWN))


def _states(journal: Journal, now: datetime) -> dict[str, OrderRecord]:
    """Records of this session and the last, and all that are not resolved, by order_ref."""
    today = now.astimezone(calendar.NEW_YORK).date()
    records = [
        *journal.orders(session=calendar.sessions_before(today, 1)[0]),
        *journal.orders(session=today),
        *journal.orders(unresolved=True),
    ]
    return {record.intent.order_ref: record for record in records}


def _abandon_unsent(journal: Journal, now: datetime) -> None:
    for ref, record in _states(journal, now).items():
        if record.state is OrderState.INTENT:
            journal.transition(ref, OrderState.ABANDONED, now, detail="found unsent at the start")


def _find_the_missing(
    broker: Broker,
    journal: Journal,
    clock: Clock,
    parameters: ExecutionParameters,
    pause: Callable[[float], None],
) -> None:
    """Look until nothing is missing or the looks are enough, then judge what still is."""
    began = clock.now()
    missing = _look(broker, journal, clock)
    if not missing:
        return
    held = _held(broker)
    steady = True
    for _ in range(1, parameters.absence_rounds):
        pause(parameters.absence_seconds / (parameters.absence_rounds - 1))
        missing = _look(broker, journal, clock)
        if not missing:
            return
        steady = steady and _held(broker) == held
    now = clock.now()
    long_enough = now - began >= timedelta(seconds=parameters.absence_seconds)
    for record in missing:
        _judge(
            journal, record, now, long_enough=long_enough, trusted=steady and _agrees(journal, record, held)
        )


def _look(broker: Broker, journal: Journal, clock: Clock) -> tuple[OrderRecord, ...]:
    """Ask the broker once; returns the orders its reports do not mention, those of a crash as UNKNOWN."""
    reported = synchronise(broker=broker, journal=journal, clock=clock).reported
    for record in journal.orders(unresolved=True):
        if record.state is OrderState.SENDING and record.intent.order_ref not in reported:
            journal.transition(
                record.intent.order_ref,
                OrderState.UNKNOWN,
                clock.now(),
                detail="the process ended while it was sending",
            )
    return tuple(
        record
        for record in journal.orders(unresolved=True)
        if record.state in ASKABLE and record.intent.order_ref not in reported
    )


def _judge(journal: Journal, record: OrderRecord, now: datetime, *, long_enough: bool, trusted: bool) -> None:
    """What the absence of an order from every report means. `trusted`: positions are steady and as booked."""
    ref = record.intent.order_ref
    same_session = now.astimezone(calendar.NEW_YORK).date() == record.intent.session
    was_taken = record.perm_id is not None or record.filled > 0
    if was_taken and not same_session and trusted and record.state is not OrderState.UNKNOWN:
        journal.transition(ref, OrderState.CANCELLED, now, detail="a DAY order, and its session is over")
        return
    if record.state is not OrderState.UNKNOWN:
        journal.transition(ref, OrderState.UNKNOWN, now, detail="the broker's reports lost it")
    if not same_session:
        journal.transition(ref, OrderState.NEEDS_HUMAN, now, detail="still unknown after its session")
    elif not long_enough:
        return
    elif was_taken or not trusted:
        why = "the broker had taken it" if was_taken else "positions changed or do not agree with our books"
        journal.transition(ref, OrderState.NEEDS_HUMAN, now, detail=f"in no report, but {why}")
    else:
        journal.transition(ref, OrderState.PROVEN_ABSENT, now, detail="in no report, positions as booked")


def _held(broker: Broker) -> dict[int, float]:
    held: dict[int, float] = {}
    for position in broker.positions():
        held[position.contract.con_id] = held.get(position.contract.con_id, 0.0) + position.quantity
    return held


def _agrees(journal: Journal, record: OrderRecord, held: dict[int, float]) -> bool:
    """Whether the broker holds of the order's contracts exactly what our books say."""
    con_ids: Collection[int] = {leg.contract.con_id for leg in record.intent.legs}
    booked = dict.fromkeys(con_ids, 0.0)
    for position in journal.positions():
        for leg in position.legs:
            if leg.contract.con_id in booked:
                booked[leg.contract.con_id] += leg.signed_ratio * position.units
    return all(held.get(con_id, 0.0) == quantity for con_id, quantity in booked.items())


def _cancel_stale(broker: Broker, journal: Journal, clock: Clock, parameters: ExecutionParameters) -> None:
    """Ask for the cancellation of what worked too long; only the client that sent an order may."""
    now = clock.now()
    stale = _stale(journal.orders(unresolved=True), broker.client_id, now, parameters)
    for record in stale:
        if record.order_id is not None:
            journal.transition(
                record.intent.order_ref,
                OrderState.CANCEL_SENT,
                now,
                detail=f"worked for {parameters.working_minutes} minutes",
            )
            broker.cancel(record.intent.order_ref, record.order_id)
    if stale:
        synchronise(broker=broker, journal=journal, clock=clock)


def _stale(
    records: Sequence[OrderRecord], client_id: int, now: datetime, parameters: ExecutionParameters
) -> list[OrderRecord]:
    working = ASKABLE - {OrderState.SENDING, OrderState.UNKNOWN}
    limit = timedelta(minutes=parameters.working_minutes)
    return [
        record
        for record in records
        if record.state in working and record.client_id == client_id and now - record.recorded_at >= limit
    ]


def _state(record: OrderRecord | None) -> OrderState | None:
    return record.state if record else None
