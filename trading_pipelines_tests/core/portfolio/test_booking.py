"""Executions make positions: worked by hand, and the same however they are told."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.portfolio import booking
from trading_pipelines.domain.contracts import Contract, Right, SecurityType, Side
from trading_pipelines.domain.orders import Fill, OrderIntent
from trading_pipelines.domain.positions import PositionStatus, PositionTrade
from trading_pipelines_tests.builders import ACCOUNT, closing_intent, condor, leg, opening_intent

AT = datetime(2024, 6, 12, 15, tzinfo=UTC)
WHOLE = Contract(security_type=SecurityType.COMBO, symbol="SPY", exchange="SMART")


def _fill(
    intent: OrderIntent, contract: Contract, side: Side, quantity: float, price: float, fee: float
) -> Fill:
    return Fill(
        exec_id=f"{contract.con_id}.{quantity}.01",
        order_ref=intent.order_ref,
        perm_id=1,
        account=ACCOUNT,
        contract=contract,
        side=side,
        quantity=quantity,
        price=price,
        filled_at=AT,
        commission=fee,
        realised_pnl=None,
    )


def _fills(intent: OrderIntent, units: int, price: float) -> list[Fill]:
    """The combo as a whole, and each leg at a dollar; 65 cents a contract."""
    legs = [
        _fill(intent, each.contract, each.side, units * each.ratio, 1.0, 0.65 * units * each.ratio)
        for each in intent.legs
    ]
    return [_fill(intent, WHOLE, Side.BUY, units, price, 0.0), *legs]


def test_nothing_filled_opens_nothing() -> None:
    assert booking.booked(None, opening_intent(), []) is None


def test_an_opening_order_sets_units_price_and_terms() -> None:
    intent = opening_intent(units=2)  # limit -2.67, max profit 2.67, max loss 7.33
    position = booking.booked(None, intent, _fills(intent, 2, -2.70))
    assert position is not None
    assert (position.units, position.entry_price, position.status) == (2, -2.70, PositionStatus.OPENING)
    assert (position.max_profit, position.max_loss) == (pytest.approx(2.70), pytest.approx(7.30))
    assert position.opened_at == AT
    assert position.trades == (
        PositionTrade(order_ref="tp1-opening", units=2, price=-2.70, commission_usd=5.2),
    )


def test_a_closing_order_realises_entry_less_close() -> None:
    held, intent = condor(), closing_intent()  # two units sold for 3.00
    position = booking.booked(held, intent, _fills(intent, 2, 1.20))
    assert position is not None
    assert (position.units, position.status) == (0, PositionStatus.CLOSED)
    # (3.00 - 1.20) x 100 x 2 - 8 x 0.65
    assert position.realised_pnl_usd == pytest.approx(354.8)


def test_profit_of_before_is_kept() -> None:
    held, intent = condor(realised_pnl_usd=-50.0), closing_intent(units=1)
    position = booking.booked(held, intent, _fills(intent, 1, 1.20))
    assert position is not None
    assert (position.units, position.realised_pnl_usd) == (1, pytest.approx(-50.0 + 180.0 - 2.6))


def test_legs_that_run_ahead_wait_for_the_others() -> None:
    intent = opening_intent(units=2)
    fills = _fills(intent, 2, -2.67)
    fills[-1] = fills[-1].model_copy(update={"quantity": 1.0})
    assert booking.filled_units(intent, fills) == 1
    assert booking.filled_unevenly(intent, fills)


def test_without_the_whole_the_price_is_added_up_from_the_legs() -> None:
    intent = opening_intent()
    prices = (1.10, 2.30, 2.20, 0.70)  # bought, sold, sold, bought
    fills = [
        _fill(intent, each.contract, each.side, 1, price, 0.65)
        for each, price in zip(intent.legs, prices, strict=True)
    ]
    assert booking.average_price(intent, fills) == pytest.approx(1.10 - 2.30 - 2.20 + 0.70)


def test_a_ratio_is_counted_in_units() -> None:
    one, two = leg(Right.PUT, 470, Side.SELL), leg(Right.PUT, 460, Side.BUY)
    intent = opening_intent(legs=(one, two.model_copy(update={"ratio": 2})), units=3)
    assert booking.filled_units(intent, _fills(intent, 3, -0.1)) == 3


@given(st.lists(st.tuples(st.integers(1, 3), st.floats(-5, -1)), min_size=1, max_size=5), st.randoms())
def test_parts_told_in_any_order_and_again_make_one_position(parts, random) -> None:
    intent = opening_intent(units=20)
    told: list[Fill] = []
    position = None
    for units, price in parts:
        told += _fills(intent, units, round(price, 2))
        position = booking.booked(position, intent, told)
    random.shuffle(told)
    again = booking.booked(position, intent, told)
    at_once = booking.booked(None, intent, told)
    assert position is not None
    assert at_once is not None
    assert again is not None
    assert position.units == again.units == at_once.units == sum(units for units, _ in parts)
    assert position.entry_price == pytest.approx(at_once.entry_price)
    assert position.realised_pnl_usd == pytest.approx(again.realised_pnl_usd, abs=1e-6)
    assert position.max_profit + position.max_loss == pytest.approx(10.0)
