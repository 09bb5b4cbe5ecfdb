"""What a crash or a silence left behind is found by asking, and never sent again."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from trading_pipelines.domain.orders import OrderState
from trading_pipelines.workflows.recover import Recovered, recover
from trading_pipelines_tests.builders import (
    AS_OF,
    CONDOR_LEGS,
    SESSION,
    broker_position,
    closing_intent,
    condor,
    opening_intent,
)
from trading_pipelines_tests.workflows.desk import Desk, desk

NEXT_MORNING = timedelta(days=1)


@pytest.fixture(name="desk")
def _desk(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as opened:
        yield opened


def _recover(desk: Desk, *, clock_runs: bool = True) -> Recovered:
    return recover(
        broker=desk.broker,
        journal=desk.journal,
        clock=desk.clock,
        parameters=desk.parameters.execution,
        pause=desk.clock.advance if clock_runs else lambda seconds: None,
    )


def _crash_while_sending(desk: Desk) -> None:
    """SENDING is in the journal, and nothing else is known."""
    desk.journal.record_intent(opening_intent(), AS_OF)
    epoch = desk.journal.lease("the process that ended", AS_OF)
    desk.journal.transition("tp1-opening", OrderState.SENDING, AS_OF, order_id=5, client_id=12, epoch=epoch)


def test_an_intent_that_was_never_sent_is_abandoned(desk: Desk) -> None:
    desk.journal.record_intent(opening_intent(), AS_OF)
    (record,) = _recover(desk).moved
    assert record.state is OrderState.ABANDONED


def test_an_intent_left_over_from_the_last_session_is_abandoned(desk: Desk) -> None:
    desk.journal.record_intent(opening_intent(), AS_OF)
    desk.clock.at += NEXT_MORNING
    _recover(desk)
    assert desk.state("tp1-opening") is OrderState.ABANDONED


def test_an_order_that_arrived_is_found_by_its_ref(desk: Desk) -> None:
    _crash_while_sending(desk)
    desk.broker.place(opening_intent(), 5)
    recovered = _recover(desk)
    assert desk.state("tp1-opening") is OrderState.WORKING
    assert recovered.unknown == ()
    assert desk.clock.at == AS_OF  # found at the first look


def test_an_order_that_filled_meanwhile_is_found_with_its_fills(desk: Desk) -> None:
    _crash_while_sending(desk)
    desk.broker.behaviour = "fill"
    desk.broker.place(opening_intent(), 5)
    _recover(desk)
    assert desk.state("tp1-opening") is OrderState.FILLED
    assert desk.journal.positions()[0].units == 1


def test_an_order_that_lost_its_ref_is_found_by_perm_id(desk: Desk) -> None:
    desk.submit(opening_intent())
    order = desk.broker._orders.pop("tp1-opening")
    order.intent = order.intent.model_copy(update={"order_ref": ""})
    desk.broker._orders[""] = order
    desk.broker.end("", "Cancelled")
    _recover(desk)
    assert desk.state("tp1-opening") is OrderState.CANCELLED


def test_absence_is_proven_by_three_looks_over_a_minute_with_steady_positions(desk: Desk) -> None:
    _crash_while_sending(desk)
    looks = []
    original = desk.broker.orders
    desk.broker.orders = lambda: looks.append(desk.clock.at) or original()  # type: ignore[func-returns-value,method-assign]
    _recover(desk)
    assert desk.state("tp1-opening") is OrderState.PROVEN_ABSENT
    assert [look - AS_OF for look in looks] == [timedelta(seconds=s) for s in (0, 30, 60)]
    assert desk.broker.sent == []


def test_absence_is_not_proven_while_the_clock_stands_still(desk: Desk) -> None:
    _crash_while_sending(desk)
    recovered = _recover(desk, clock_runs=False)
    assert [record.state for record in recovered.unknown] == [OrderState.UNKNOWN]


def test_absence_is_not_proven_when_the_broker_holds_what_we_do_not(desk: Desk) -> None:
    _crash_while_sending(desk)
    contract = CONDOR_LEGS[0].contract
    desk.broker.holds[contract.con_id] = (contract, 1.0)
    _recover(desk)
    assert desk.state("tp1-opening") is OrderState.NEEDS_HUMAN


def test_absence_is_not_proven_while_positions_move(desk: Desk) -> None:
    _crash_while_sending(desk)
    contract = CONDOR_LEGS[0].contract.model_copy(update={"con_id": 99})
    reports = iter([(), (broker_position(contract, 1.0),), ()])
    desk.broker.positions = lambda: next(reports)  # type: ignore[method-assign]
    _recover(desk)
    assert desk.state("tp1-opening") is OrderState.NEEDS_HUMAN


def test_absence_is_not_proven_after_the_session(desk: Desk) -> None:
    _crash_while_sending(desk)
    desk.clock.at += NEXT_MORNING
    _recover(desk)
    assert desk.state("tp1-opening") is OrderState.NEEDS_HUMAN


def test_an_order_the_broker_had_taken_is_never_proven_absent(desk: Desk) -> None:
    desk.submit(opening_intent())
    desk.broker.forgets = True
    _recover(desk)
    assert desk.state("tp1-opening") is OrderState.NEEDS_HUMAN


def test_a_day_order_of_yesterday_is_over_when_positions_agree(desk: Desk) -> None:
    desk.hold(condor())
    desk.submit(closing_intent())
    desk.broker.forgets = True
    desk.clock.at += NEXT_MORNING
    _recover(desk)
    assert desk.state("tp1-closing") is OrderState.CANCELLED


def test_a_day_order_of_yesterday_needs_a_person_when_positions_differ(desk: Desk) -> None:
    desk.hold(condor())
    desk.submit(closing_intent())
    desk.broker.fill("tp1-closing", 2)
    desk.broker.forgets = True
    desk.clock.at += NEXT_MORNING
    _recover(desk)
    assert desk.state("tp1-closing") is OrderState.NEEDS_HUMAN


def test_an_order_that_worked_too_long_is_cancelled(desk: Desk) -> None:
    desk.submit(opening_intent())
    desk.clock.advance(10 * 60 - 1)
    _recover(desk)
    assert desk.broker.cancels == []
    desk.clock.advance(1)
    _recover(desk)
    assert desk.broker.cancels == ["tp1-opening"]
    assert desk.state("tp1-opening") is OrderState.CANCELLED


def test_an_order_of_another_client_is_not_cancelled(desk: Desk) -> None:
    desk.submit(opening_intent())
    desk.broker.client_id = 15
    desk.clock.advance(3600)
    _recover(desk)
    assert desk.broker.cancels == []


def test_the_rest_of_a_partial_fill_is_cancelled_and_the_units_stay(desk: Desk) -> None:
    desk.broker.behaviour = "partial"
    desk.submit(opening_intent(units=3))
    desk.clock.advance(600)
    _recover(desk)
    record = desk.journal.order("tp1-opening")
    assert record is not None
    assert (record.state, record.filled) == (OrderState.CANCELLED, 2.0)
    assert desk.journal.positions()[0].units == 2


def test_nothing_is_asked_twice_when_all_is_resolved(desk: Desk) -> None:
    desk.broker.behaviour = "fill"
    desk.submit(opening_intent())
    assert _recover(desk) == Recovered(moved=(), unknown=())
    assert desk.clock.at.date() == SESSION
