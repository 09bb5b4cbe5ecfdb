"""The journal follows the broker forward only, and positions follow executions."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from trading_pipelines.domain.contracts import Right, Side
from trading_pipelines.domain.orders import OrderState
from trading_pipelines.domain.positions import PositionStatus
from trading_pipelines.workflows.synchronise import Synchronised, remember_peaks, synchronise
from trading_pipelines_tests.builders import AS_OF, bull_put, closing_intent, condor, leg, opening_intent
from trading_pipelines_tests.fakes import Crash, CrashPoints
from trading_pipelines_tests.workflows.desk import Desk, desk


@pytest.fixture(name="desk")
def _desk(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as opened:
        yield opened


def _synchronise(desk: Desk) -> Synchronised:
    return synchronise(broker=desk.broker, journal=desk.journal, clock=desk.clock)


def test_a_fill_that_comes_later_is_found_and_opens_the_position(desk: Desk) -> None:
    desk.submit(opening_intent(units=2))
    desk.broker.fill("tp1-opening", 2, -2.75)
    changed = _synchronise(desk)
    assert [record.state for record in changed.orders] == [OrderState.FILLED]
    assert len(changed.fills) == 5  # the combo and its four legs
    (position,) = changed.positions
    assert (position.units, position.entry_price) == (2, -2.75)
    # Eight cents more credit than the limit of -2.67: more to win, less to lose.
    assert (position.max_profit, position.max_loss) == (pytest.approx(2.75), pytest.approx(7.25))
    assert position.realised_pnl_usd == pytest.approx(-8 * 0.65)


def test_doing_it_again_changes_nothing(desk: Desk) -> None:
    desk.submit(opening_intent())
    desk.broker.fill("tp1-opening", 1)
    _synchronise(desk)
    again = _synchronise(desk)
    assert (again.orders, again.fills, again.positions) == ((), (), ())
    assert again.reported == {"tp1-opening"}


def test_a_position_grows_with_each_partial_fill(desk: Desk) -> None:
    desk.submit(opening_intent(units=3))
    desk.broker.fill("tp1-opening", 1, -2.70)
    _synchronise(desk)
    assert desk.state("tp1-opening") is OrderState.PARTIAL
    assert desk.journal.positions()[0].status is PositionStatus.OPENING
    desk.broker.fill("tp1-opening", 2, -2.67)
    _synchronise(desk)
    assert desk.state("tp1-opening") is OrderState.FILLED
    (position,) = desk.journal.positions()
    assert (position.units, position.status) == (3, PositionStatus.OPEN)
    assert position.entry_price == pytest.approx(-(2.70 + 2 * 2.67) / 3)


def test_closing_realises_the_difference_once_by_the_multiplier_less_commissions(desk: Desk) -> None:
    desk.hold(condor())  # two units sold for 3.00
    desk.submit(closing_intent())
    assert desk.journal.positions()[0].status is PositionStatus.CLOSING
    desk.broker.fill("tp1-closing", 2, 2.70)
    (position,) = _synchronise(desk).positions
    assert (position.units, position.status) == (0, PositionStatus.CLOSED)
    # (3.00 - 2.70) x 100 x 2 = 60 dollars, less 8 contracts at 65 cents.
    assert position.realised_pnl_usd == pytest.approx(60.0 - 5.2)
    assert desk.journal.positions() == ()


def test_closing_part_of_a_position_leaves_the_rest_open(desk: Desk) -> None:
    desk.hold(condor())
    desk.submit(closing_intent(units=1, action="reduce"))
    desk.broker.fill("tp1-closing", 1, 2.00)
    (position,) = _synchronise(desk).positions
    assert (position.units, position.status) == (1, PositionStatus.OPEN)
    assert position.realised_pnl_usd == pytest.approx(100.0 - 2.6)


def test_a_cancelled_closing_order_leaves_the_position_open(desk: Desk) -> None:
    desk.hold(condor())
    desk.submit(closing_intent())
    desk.broker.end("tp1-closing", "Cancelled")
    _synchronise(desk)
    assert desk.state("tp1-closing") is OrderState.CANCELLED
    assert desk.journal.positions()[0].status is PositionStatus.OPEN


def test_a_fill_after_the_cancellation_still_counts(desk: Desk) -> None:
    desk.submit(opening_intent())
    desk.broker.end("tp1-opening", "Cancelled")
    _synchronise(desk)
    assert desk.state("tp1-opening") is OrderState.CANCELLED
    desk.broker.fill("tp1-opening", 1)
    _synchronise(desk)
    assert desk.state("tp1-opening") is OrderState.FILLED
    assert desk.journal.positions()[0].units == 1


def test_a_corrected_price_replaces_the_first_one(desk: Desk) -> None:
    desk.submit(opening_intent())
    desk.broker.fill("tp1-opening", 1, -2.67)
    _synchronise(desk)
    desk.broker.correct("0000.00000000.01.01", price=-2.60)
    (position,) = _synchronise(desk).positions
    assert (position.units, position.entry_price) == (1, -2.60)
    assert position.max_loss == pytest.approx(7.40)


def test_a_busted_execution_takes_its_units_back(desk: Desk) -> None:
    desk.submit(opening_intent())
    desk.broker.fill("tp1-opening", 1)
    _synchronise(desk)
    for part in range(1, 6):
        desk.broker.correct(f"0000.00000000.{part:02d}.01", quantity=0.0)
    (position,) = _synchronise(desk).positions
    assert (position.units, position.status) == (0, PositionStatus.CLOSED)


def test_a_leg_that_was_executed_alone_is_no_unit_yet(desk: Desk) -> None:
    desk.submit(opening_intent())
    desk.broker.fill("tp1-opening", 1)
    whole, legs = desk.broker._fills[:2], desk.broker._fills[2:]
    desk.broker._fills, desk.broker._orders["tp1-opening"].status = whole, "Submitted"
    _synchronise(desk)
    assert desk.state("tp1-opening") is OrderState.WORKING
    assert desk.journal.positions() == ()
    desk.broker._fills = whole + legs
    _synchronise(desk)
    assert desk.state("tp1-opening") is OrderState.FILLED


def test_filled_without_its_executions_is_not_filled_yet(desk: Desk) -> None:
    desk.submit(opening_intent())
    desk.broker.end("tp1-opening", "Filled")
    _synchronise(desk)
    assert desk.state("tp1-opening") is OrderState.WORKING


def test_an_execution_without_its_ref_is_recognised_by_perm_id(desk: Desk) -> None:
    desk.submit(opening_intent())
    desk.broker.fill("tp1-opening", 1)
    desk.broker._fills = [fill.model_copy(update={"order_ref": ""}) for fill in desk.broker._fills]
    _synchronise(desk)
    assert desk.state("tp1-opening") is OrderState.FILLED


def test_orders_of_others_are_left_alone(desk: Desk) -> None:
    manual = opening_intent(order_ref="by hand")
    desk.broker.place(manual, 7)
    desk.broker.fill("by hand", 1)
    changed = _synchronise(desk)
    assert (changed.orders, changed.fills, changed.positions) == ((), (), ())


def test_a_report_that_was_overtaken_takes_nothing_back(desk: Desk) -> None:
    desk.submit(opening_intent())
    desk.broker.fill("tp1-opening", 1)
    _synchronise(desk)
    desk.broker.end("tp1-opening", "Submitted")
    assert _synchronise(desk).orders == ()
    assert desk.state("tp1-opening") is OrderState.FILLED


def test_a_crash_at_any_call_loses_no_fill(desk: Desk) -> None:
    desk.submit(opening_intent())
    desk.broker.fill("tp1-opening", 1)
    for call in range(20):
        for after in (False, True):
            points = CrashPoints(call, after=after)
            try:
                synchronise(broker=desk.broker, journal=points.wrap(desk.journal), clock=desk.clock)
            except Crash:
                continue
    _synchronise(desk)
    (position,) = desk.journal.positions()
    assert (position.units, position.status) == (1, PositionStatus.OPEN)


def test_a_single_sold_leg_is_counted_with_its_credit(desk: Desk) -> None:
    sold = (leg(Right.PUT, 470, Side.SELL),)
    desk.submit(opening_intent(legs=sold, limit_price=-2.30, strategy="short_put"))
    desk.broker.fill("tp1-opening", 1)
    desk.broker._fills = desk.broker._fills[1:]  # a plain order has no execution for a whole
    (position,) = _synchronise(desk).positions
    assert (position.units, position.entry_price) == (1, pytest.approx(-2.30))


def test_the_highest_profit_share_is_remembered_and_never_lowered(desk: Desk) -> None:
    desk.hold(condor(peak_captured=20.0))
    desk.hold(bull_put(peak_captured=35.0))
    valued = pl.DataFrame(
        {"position_id": ["condor-1", "bull-put-1", "gone"], "peak_captured": [41.5, 30.0, None]}
    )
    remember_peaks(desk.journal, valued, AS_OF)
    peaks = {position.position_id: position.peak_captured for position in desk.journal.positions()}
    assert peaks == {"condor-1": 41.5, "bull-put-1": 35.0}
