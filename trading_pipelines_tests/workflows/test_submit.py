"""An order leaves at most once, and only when everything about it holds in that instant."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipelines.domain.contracts import Right
from trading_pipelines.domain.errors import OrderStateUnknown
from trading_pipelines.domain.orders import CheckResult, OrderIntent, OrderState
from trading_pipelines.domain.positions import PositionStatus
from trading_pipelines_tests.builders import (
    AS_OF,
    BULL_PUT_LEGS,
    closing_intent,
    con_id,
    condor,
    opening_intent,
    parameters,
)
from trading_pipelines_tests.fakes import Crash, CrashPoints, FakeClock
from trading_pipelines_tests.workflows.desk import Desk, desk, verdict

LEG = con_id(Right.PUT, 470)


@pytest.fixture(name="desk")
def _desk(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as opened:
        yield opened


def test_an_approved_intent_is_sent_once_and_its_fill_is_booked(desk: Desk) -> None:
    desk.broker.behaviour = "fill"
    (outcome,) = desk.submit(opening_intent())
    assert (outcome.state, outcome.sent) == (OrderState.FILLED, True)
    assert desk.broker.sent == ["tp1-opening"]
    (position,) = desk.journal.positions()
    assert (position.units, position.entry_price, position.status) == (1, -2.67, PositionStatus.OPEN)


def test_the_intent_and_the_sending_are_durable_before_the_order_leaves(desk: Desk) -> None:
    def look(intent: OrderIntent) -> None:
        record = desk.journal.order(intent.order_ref)
        assert record is not None
        assert (record.state, record.order_id, record.client_id) == (OrderState.SENDING, 1, 12)
        assert record.epoch is not None

    desk.broker.on_place = look
    desk.submit(opening_intent())
    assert desk.broker.sent == ["tp1-opening"]


def test_an_order_that_does_not_fill_is_left_working(desk: Desk) -> None:
    (outcome,) = desk.submit(opening_intent())
    assert outcome.state is OrderState.WORKING
    assert desk.journal.positions() == ()


def _halt(desk: Desk) -> None:
    desk.journal.halt("too many losses", AS_OF)


def _tomorrow(desk: Desk) -> None:
    desk.clock.advance(61)


def _other_account(desk: Desk) -> None:
    desk.parameters = parameters(account__account="DU7654321", account__allowed=["DU7654321"])


def _not_allowed(desk: Desk) -> None:
    desk.parameters = parameters(account__allowed=[])


def _paper_unarmed(desk: Desk) -> None:
    desk.mode = "paper"


def _live_with_paper_account(desk: Desk) -> None:
    desk.mode = "live"
    desk.journal.arm("live", "DU1234567", AS_OF + timedelta(hours=1), AS_OF)


def _unknown_mode(desk: Desk) -> None:
    desk.mode = "Paper"


def _no_orders_today(desk: Desk) -> None:
    desk.parameters = parameters(risk__max_units_per_order=1)


def _quote(**columns: object) -> Callable[[Desk], None]:
    return lambda desk: desk.market_data.change(LEG, **columns)


REFUSALS = {
    "halted": (_halt, "halted: too many losses"),
    "the verdict is too old": (_tomorrow, "the risk verdict ended"),
    "another account is configured": (_other_account, "DU1234567 is not the configured"),
    "the account is not allowed": (_not_allowed, "DU1234567 is not the configured and allowed"),
    "paper is not armed": (_paper_unarmed, "mode paper is not armed"),
    "live with a paper account": (_live_with_paper_account, "mode live does not go with"),
    "a mode nobody knows": (_unknown_mode, "mode Paper does not go with"),
    "more units than one order may have": (_no_orders_today, "2 units, where 1 to 1 are allowed"),
    "crossed": (_quote(bid=2.40, ask=2.30), "one-sided or crossed: SPY   240719P00470000"),
    "no bid": (_quote(bid=None), "one-sided or crossed"),
    "no ask": (_quote(ask=None), "one-sided or crossed"),
    "not a number": (_quote(ask=float("nan")), "one-sided or crossed"),
    "infinite": (_quote(ask=float("inf")), "one-sided or crossed"),
    "negative": (_quote(bid=-1.0), "one-sided or crossed"),
    "missing": (_quote(status="missing", bid=None, ask=None), "not quoted live and fresh: SPY"),
    "delayed": (_quote(market_data_type=3), "not quoted live and fresh"),
    "no type": (_quote(market_data_type=None), "not quoted live and fresh"),
    "stale": (_quote(quoted_at=AS_OF - timedelta(seconds=61)), "not quoted live and fresh"),
    "from the future": (_quote(quoted_at=AS_OF + timedelta(seconds=5)), "not quoted live and fresh"),
    "ten times the price": (_quote(bid=22.8, ask=23.2), "from mid"),
}


@pytest.mark.parametrize(("spoil", "why"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_does_not_hold_at_the_last_moment_sends_nothing(
    desk: Desk, spoil: Callable[[Desk], None], why: str
) -> None:
    intent = opening_intent(units=2)
    spoil(desk)
    (outcome,) = desk.submit(intent)
    assert desk.broker.sent == []
    assert (outcome.state, outcome.sent) == (OrderState.ABANDONED, False)
    assert why in outcome.detail


VERDICTS = {
    "none": lambda intent: [],
    "of another decision": lambda intent: [verdict(intent, decision_id="other")],
    "of another payload": lambda intent: [verdict(intent, payload_hash="0" * 64)],
    "without a check": lambda intent: [verdict(intent, checks=())],
    "not approved": lambda intent: [verdict(intent, checks=(CheckResult(name="size", passed=False),))],
    "of the future": lambda intent: [verdict(intent, checked_at=AS_OF + timedelta(seconds=10))],
}


@pytest.mark.parametrize("verdicts", VERDICTS.values(), ids=VERDICTS.keys())
def test_without_an_approved_verdict_of_exactly_this_payload_nothing_is_sent(desk: Desk, verdicts) -> None:
    intent = opening_intent()
    (outcome,) = desk.submit(intent, verdicts=verdicts(intent))
    assert desk.broker.sent == []
    assert outcome.state is OrderState.ABANDONED
    assert "risk" in outcome.detail


def test_an_armed_paper_account_may_send_until_the_arming_ends(desk: Desk) -> None:
    desk.mode = "paper"
    desk.journal.arm("paper", "DU1234567", AS_OF + timedelta(seconds=30), AS_OF)
    desk.submit(opening_intent())
    desk.clock.advance(30)
    (late,) = desk.submit(opening_intent(order_ref="tp1-late", position_id="other"))
    assert desk.broker.sent == ["tp1-opening"]
    assert "not armed" in late.detail


def test_what_was_refused_once_is_not_sent_later(desk: Desk) -> None:
    desk.journal.halt("stop", AS_OF)
    desk.submit(opening_intent())
    desk.journal.resume(AS_OF)
    (again,) = desk.submit(opening_intent())
    assert desk.broker.sent == []
    assert again.state is OrderState.ABANDONED


def test_a_second_launch_reports_the_first_and_sends_nothing(desk: Desk) -> None:
    desk.submit(opening_intent())
    (again,) = desk.submit(opening_intent())
    assert desk.broker.sent == ["tp1-opening"]
    assert (again.state, again.sent) == (OrderState.WORKING, False)


def test_the_same_ref_with_another_payload_sends_nothing(desk: Desk) -> None:
    desk.submit(opening_intent())
    (other,) = desk.submit(opening_intent(limit_price=-2.60))
    assert desk.broker.sent == ["tp1-opening"]
    assert "other legs, units or price" in other.detail


def test_orders_a_minute_and_orders_a_session_are_capped(desk: Desk) -> None:
    desk.parameters = parameters(risk__max_orders_per_minute=2, risk__max_orders_per_day=3)
    intents = [opening_intent(order_ref=f"tp1-{n}", position_id=f"p{n}") for n in range(3)]
    outcomes = desk.submit(*intents)
    assert [outcome.sent for outcome in outcomes] == [True, True, False]
    assert "within a minute, the cap is 2" in outcomes[2].detail
    desk.clock.advance(60)
    later = [opening_intent(order_ref=f"tp1-later-{n}", position_id=f"q{n}") for n in range(2)]
    outcomes = desk.submit(*later)
    assert [outcome.sent for outcome in outcomes] == [True, False]
    assert "this session, the cap is 3" in outcomes[1].detail


def test_the_second_half_of_a_roll_waits_for_the_first_to_be_filled(desk: Desk) -> None:
    desk.hold(condor())
    first, second = closing_intent(), opening_intent(after="tp1-closing")
    outcomes = desk.submit(first, second)
    assert [outcome.state for outcome in outcomes] == [OrderState.WORKING, OrderState.ABANDONED]
    assert "tp1-closing must be filled first, it is working" in outcomes[1].detail


def test_a_roll_sends_both_halves_when_the_first_fills(desk: Desk) -> None:
    desk.hold(condor())
    desk.broker.behaviour = "fill"
    outcomes = desk.submit(closing_intent(), opening_intent(after="tp1-closing"))
    assert [outcome.state for outcome in outcomes] == [OrderState.FILLED, OrderState.FILLED]
    (position,) = desk.journal.positions()
    assert position.position_id == "condor-new"


def test_a_roll_whose_opening_half_is_refused_closes_nothing(desk: Desk) -> None:
    desk.hold(condor())
    desk.broker.behaviour = "fill"
    first, second = closing_intent(), opening_intent(after="tp1-closing")
    quiet = verdict(second, checks=(CheckResult(name="quiet_window", passed=False),))
    outcomes = desk.submit(first, second, verdicts=[verdict(first), quiet])
    assert [outcome.state for outcome in outcomes] == [OrderState.ABANDONED, OrderState.ABANDONED]
    assert "quiet_window" in outcomes[0].detail
    assert desk.broker.sent == []


def test_more_is_not_closed_than_is_held(desk: Desk) -> None:
    desk.hold(condor(units=1))
    (outcome,) = desk.submit(closing_intent())
    assert desk.broker.sent == []
    assert "closes 2 units of condor-1, which holds 1" in outcome.detail


def test_a_position_has_one_working_order_at_a_time(desk: Desk) -> None:
    desk.hold(condor())
    desk.submit(closing_intent())
    (second,) = desk.submit(closing_intent(order_ref="tp1-again"))
    assert desk.broker.sent == ["tp1-closing"]
    assert "order tp1-closing of position condor-1 still works" in second.detail


def test_a_refusal_by_the_broker_is_final(desk: Desk) -> None:
    desk.broker.behaviour = "reject"
    (outcome,) = desk.submit(opening_intent())
    assert outcome.state is OrderState.REJECTED
    assert "201 margin" in outcome.detail


def test_a_refusal_after_the_order_was_taken_is_final(desk: Desk) -> None:
    desk.broker.on_place = lambda intent: None
    original = desk.broker.await_fill

    def refused(order_ref: str, *, timeout_seconds: float):
        desk.broker.end(order_ref, "Inactive")
        return original(order_ref, timeout_seconds=timeout_seconds)

    desk.broker.await_fill = refused  # type: ignore[method-assign]
    (outcome,) = desk.submit(opening_intent())
    assert outcome.state is OrderState.REJECTED


def test_when_certainly_nothing_was_sent_the_order_is_proven_absent(desk: Desk) -> None:
    desk.broker.behaviour = "down"
    (outcome,) = desk.submit(opening_intent())
    assert desk.broker.sent == []
    assert outcome.state is OrderState.PROVEN_ABSENT
    assert "nothing was sent" in outcome.detail


def test_a_halt_between_gate_and_socket_sends_nothing(desk: Desk) -> None:
    class HaltingClock(FakeClock):
        """Throws the kill switch once the order is about to be marked SENDING."""

        def now(self):
            record = desk.journal.order("tp1-opening")
            if record is not None and desk.journal.halted() is None:
                desk.journal.halt("now", AS_OF)
            return super().now()

    desk.clock = HaltingClock()
    (outcome,) = desk.submit(opening_intent())
    assert desk.broker.sent == []
    assert outcome.state is OrderState.PROVEN_ABSENT


def test_a_process_that_was_overtaken_in_its_sleep_sends_nothing(desk: Desk) -> None:
    original = desk.broker.next_order_id

    def overtaken(above: int = 0) -> int:
        desk.journal.lease("another process", AS_OF)
        return original(above)

    desk.broker.next_order_id = overtaken  # type: ignore[method-assign]
    with pytest.raises(OrderStateUnknown, match="epoch"):
        desk.submit(opening_intent())
    assert desk.broker.sent == []


@pytest.mark.parametrize("behaviour", ["silent", "lost"])
def test_without_a_word_the_order_is_unknown_and_stops_new_orders(desk: Desk, behaviour: str) -> None:
    desk.broker.behaviour = behaviour
    first, second = desk.submit(
        opening_intent(), opening_intent(order_ref="tp1-second", position_id="second")
    )
    assert (first.state, first.sent) == (OrderState.UNKNOWN, True)
    assert (second.state, second.sent) == (OrderState.ABANDONED, False)
    assert "nobody knows whether order tp1-opening works" in second.detail
    assert desk.broker.sent == ["tp1-opening"]


def test_an_unknown_order_that_arrived_is_found_and_not_sent_again(desk: Desk) -> None:
    desk.broker.behaviour = "silent"
    desk.submit(opening_intent())
    desk.broker.behaviour = "work"
    (again,) = desk.submit(opening_intent())
    assert again.state is OrderState.WORKING
    assert desk.broker.sent == ["tp1-opening"]


def test_a_connection_that_breaks_after_the_acknowledgement_makes_the_order_unknown(desk: Desk) -> None:
    def break_off(order_ref: str, *, timeout_seconds: float):
        desk.broker.reachable = False
        return desk.broker.orders()

    desk.broker.await_fill = break_off  # type: ignore[assignment,method-assign]
    (outcome,) = desk.submit(opening_intent())
    assert (outcome.state, outcome.sent) == (OrderState.UNKNOWN, True)


def test_a_partial_fill_opens_the_units_that_were_filled(desk: Desk) -> None:
    desk.broker.behaviour = "partial"
    (outcome,) = desk.submit(opening_intent(units=3))
    assert outcome.state is OrderState.PARTIAL
    (position,) = desk.journal.positions()
    assert (position.units, position.status) == (2, PositionStatus.OPENING)


def test_order_ids_exceed_those_the_journal_knows(desk: Desk) -> None:
    desk.broker._next_id = 90
    desk.submit(opening_intent())
    desk.broker._next_id = 1  # the gateway was restarted and counts anew
    desk.submit(opening_intent(order_ref="tp1-second", position_id="second"))
    assert desk.broker.order_ids == [90, 91]


BEHAVIOURS = ["work", "fill", "partial", "reject", "silent", "lost", "down"]
STEPS = st.tuples(
    st.sampled_from(BEHAVIOURS),
    st.one_of(st.none(), st.integers(0, 160)),
    st.booleans(),
    st.sampled_from(["stay", "fill", "cancel", "forget", "minutes"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=1, max_size=5))
def test_an_order_is_placed_at_most_once_whatever_crashes(steps) -> None:
    """A crash at any call, before or after it took effect; then the same intents again."""
    with tempfile.TemporaryDirectory() as folder, desk(Path(folder)) as it:
        it.hold(condor())
        intents = (
            closing_intent(units=2),
            opening_intent(units=2, after="tp1-closing"),
            opening_intent(
                order_ref="tp1-spread",
                position_id="spread",
                legs=BULL_PUT_LEGS,
                limit_price=-2.15,
                units=2,
            ),
        )

        def recorded_before(intent: OrderIntent) -> None:
            assert it.state(intent.order_ref) is OrderState.SENDING

        it.broker.on_place = recorded_before
        for behaviour, at, after, meanwhile in steps:
            it.broker.behaviour = behaviour
            with suppress(Crash):
                it.submit(*intents, crash=CrashPoints(at, after=after))
            _meanwhile(it, meanwhile)
            assert len(it.broker.sent) == len(set(it.broker.sent))
        it.broker.behaviour, it.broker.forgets = "work", False
        it.submit(*intents)
        assert len(it.broker.sent) == len(set(it.broker.sent))
        _books_equal_the_broker(it)


def _meanwhile(it: Desk, what: str) -> None:
    """What happens at the broker between two launches."""
    working = [ref for ref, order in it.broker._orders.items() if order.status == "Submitted"]
    if what == "fill" and working:
        it.broker.fill(working[0], it.broker._orders[working[0]].intent.units - 1)
    if what == "cancel" and working:
        it.broker.end(working[0], "Cancelled")
    if what == "minutes":
        it.clock.advance(700)
    it.broker.forgets = what == "forget"


def _books_equal_the_broker(it: Desk) -> None:
    expected: dict[int, float] = {}
    for position in it.journal.positions():
        for leg in position.legs:
            held = expected.get(leg.contract.con_id, 0.0)
            expected[leg.contract.con_id] = held + leg.signed_ratio * position.units
    actual = {con_id: quantity for con_id, (_, quantity) in it.broker.holds.items() if quantity}
    assert {con_id: quantity for con_id, quantity in expected.items() if quantity} == actual
