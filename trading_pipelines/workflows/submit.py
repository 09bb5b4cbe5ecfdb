"""Sending orders, each at most once: durable before it leaves; then certain, or unknown and not resent."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from trading_pipelines.core.execution import lifecycle
from trading_pipelines.domain.errors import BrokerUnavailable, OrderRejected, OrderStateUnknown
from trading_pipelines.domain.model import Model
from trading_pipelines.domain.orders import OrderIntent, OrderRecord, OrderState, RiskVerdict
from trading_pipelines.domain.parameters import Parameters
from trading_pipelines.ports import Broker, Clock, Journal, MarketData
from trading_pipelines.workflows.gate import OrderPath, refusal
from trading_pipelines.workflows.recover import recover
from trading_pipelines.workflows.synchronise import follow, known_order, synchronise


class Outcome(Model):
    """What became of one intent; `sent` tells whether this call handed it to the broker."""

    order_ref: str
    state: OrderState
    sent: bool
    detail: str


def submit(
    intents: Sequence[OrderIntent],
    verdicts: Sequence[RiskVerdict],
    *,
    broker: Broker,
    market_data: MarketData,
    journal: Journal,
    clock: Clock,
    parameters: Parameters,
    mode: str,
    holder: str = "submit",
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Outcome, ...]:
    """Send what may be sent, in the order given; returns one outcome per intent.

    Under a new lease: first what is unresolved from before is asked about, then each intent passes the
    gate, is recorded, marked SENDING, and placed once. What the gate refuses is recorded as abandoned
    with the reason. An intent that the journal knows already is reported, whatever happened to it, and
    not sent. BrokerError when another process is sending; OrderStateUnknown when this one was
    overtaken while it slept: then nothing more is sent. `pause` waits between looks for a lost order.
    """
    path = OrderPath(broker, market_data, journal, clock, parameters, mode)
    epoch = journal.lease(holder, clock.now())
    recover(broker=broker, journal=journal, clock=clock, parameters=parameters.execution, pause=pause)
    given = {verdict.order_ref: verdict for verdict in verdicts}
    return tuple(
        _submit(path, intent, given.get(intent.order_ref), epoch, _refused_sequel(intent, intents, given))
        for intent in intents
    )


def _submit(
    path: OrderPath, intent: OrderIntent, verdict: RiskVerdict | None, epoch: int, sequel: str
) -> Outcome:
    known = path.journal.order(intent.order_ref)
    if known is not None:
        return _report(intent, known)
    reason = _unmet_dependency(path.journal, intent) or sequel or refusal(path, intent, verdict)
    try:
        new = path.journal.record_intent(intent, path.clock.now())
    except OrderRejected as error:
        return Outcome(
            order_ref=intent.order_ref, state=OrderState.REJECTED, sent=False, detail=error.problem
        )
    if new and reason:
        path.journal.transition(intent.order_ref, OrderState.ABANDONED, path.clock.now(), detail=reason)
    elif new:
        _send(path, intent, epoch)
    return _outcome(path.journal, intent.order_ref, sent=new and not reason)


def _send(path: OrderPath, intent: OrderIntent, epoch: int) -> None:
    """From the recorded intent to the broker's word. SENDING is durable before the first byte leaves."""
    journal, ref = path.journal, intent.order_ref
    order_id = path.broker.next_order_id(above=_highest_order_id(path, intent))
    began = path.clock.now()
    journal.transition(
        ref,
        OrderState.SENDING,
        began,
        order_id=order_id,
        client_id=path.broker.client_id,
        epoch=epoch,
    )
    # A process that was stopped here and woke up under a newer lease ends here.
    journal.assert_epoch(epoch)
    halted = journal.halted()
    if halted is not None:
        _never_left(path, ref, began, f"trading was halted: {halted}")
        return
    try:
        order = path.broker.place(intent, order_id)
    except OrderRejected as error:
        journal.transition(ref, OrderState.REJECTED, _now(path, began), detail=error.problem)
    except BrokerUnavailable as error:
        _never_left(path, ref, began, error.problem)
    except OrderStateUnknown as error:
        journal.transition(ref, OrderState.UNKNOWN, _now(path, began), detail=error.problem)
    else:
        acknowledged = _now(path, began)
        journal.transition(ref, OrderState.ACKED, acknowledged, perm_id=order.perm_id or None)
        _follow_to_fill(path, ref, acknowledged)


def _now(path: OrderPath, before: datetime) -> datetime:
    """The time, or the last one known when the clock went away with the broker."""
    try:
        return path.clock.now()
    except BrokerUnavailable:
        return before


def _never_left(path: OrderPath, ref: str, began: datetime, why: str) -> None:
    """It is certain that nothing was written: no need to ask the broker whether the order is there."""
    at = _now(path, began)
    path.journal.transition(ref, OrderState.UNKNOWN, at, detail=why)
    path.journal.transition(ref, OrderState.PROVEN_ABSENT, at, detail=f"nothing was sent: {why}")


def _follow_to_fill(path: OrderPath, ref: str, acknowledged: datetime) -> None:
    """Wait a moment for the fill, then hear all the broker says; a silence now makes the order unknown."""
    wait = path.parameters.execution.fill_wait_seconds
    try:
        report = path.broker.await_fill(ref, timeout_seconds=wait)
        follow(path.journal, known_order(path.journal, ref), report, path.clock.now())
        synchronise(broker=path.broker, journal=path.journal, clock=path.clock)
    except (BrokerUnavailable, OrderStateUnknown) as error:
        if OrderState.UNKNOWN not in lifecycle.ALLOWED[known_order(path.journal, ref).state]:
            raise
        at = _now(path, acknowledged)
        path.journal.transition(ref, OrderState.UNKNOWN, at, detail=error.problem)


def _unmet_dependency(journal: Journal, intent: OrderIntent) -> str:
    """Why the order that must be filled first is not; empty when it is, or there is none."""
    if intent.after is None:
        return ""
    first = journal.order(intent.after)
    if first is not None and first.state is OrderState.FILLED:
        return ""
    return f"order {intent.after} must be filled first, it is {first.state if first else 'not known'}"


def _refused_sequel(
    intent: OrderIntent, intents: Sequence[OrderIntent], given: Mapping[str, RiskVerdict]
) -> str:
    """Why the order that should follow this one may not be sent; empty when it may, or there is none.

    A roll that cannot open must not become a close that nobody decided: it waits for another tick.
    """
    for other in intents:
        verdict = given.get(other.order_ref)
        if other.after == intent.order_ref and (verdict is None or not verdict.approved):
            failed = (
                [check.name for check in verdict.checks if not check.passed] if verdict else ["no verdict"]
            )
            return f"its sequel {other.order_ref} is refused: {', '.join(failed)}"
    return ""


def _highest_order_id(path: OrderPath, intent: OrderIntent) -> int:
    """The largest id that our orders of this session, or orders that may still work, were sent under."""
    records = (*path.journal.orders(session=intent.session), *path.journal.orders(unresolved=True))
    return max((record.order_id or 0 for record in records), default=0)


def _report(intent: OrderIntent, known: OrderRecord) -> Outcome:
    """What the journal knows of an intent that came before, perhaps with another payload."""
    same = known.intent.payload_hash == intent.payload_hash
    detail = known.detail if same else "the journal holds it with other legs, units or price: nothing is sent"
    return Outcome(order_ref=intent.order_ref, state=known.state, sent=False, detail=detail)


def _outcome(journal: Journal, ref: str, *, sent: bool) -> Outcome:
    record = known_order(journal, ref)
    return Outcome(order_ref=ref, state=record.state, sent=sent, detail=record.detail)
