"""Profit and loss at expiry. Expected values are the textbook's: width, credit, strike ± credit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.strategies.payoff import payoff, value_at_expiry
from trading_pipelines.domain.contracts import Right, Side
from trading_pipelines.domain.errors import DataError
from trading_pipelines.domain.orders import OrderLeg
from trading_pipelines_tests.builders import BULL_CALL_LEGS, BULL_PUT_LEGS, CONDOR_LEGS, SESSION, leg


def test_a_credit_spread_wins_its_credit_and_loses_the_rest_of_its_width() -> None:
    # 485/475 put spread sold for 2.50: 10 − 2.50 = 7.50 at risk, even at 485 − 2.50.
    result = payoff(BULL_PUT_LEGS, -2.5)
    assert (result.max_profit, result.max_loss, result.break_evens) == (2.5, 7.5, (482.5,))


def test_a_debit_spread_loses_its_cost_and_wins_the_rest_of_its_width() -> None:
    # 500/510 call spread bought for 4: 10 − 4 = 6 to win, even at 500 + 4.
    result = payoff(BULL_CALL_LEGS, 4.0)
    assert (result.max_profit, result.max_loss, result.break_evens) == (6.0, 4.0, (504.0,))


def test_an_iron_condor_is_even_outside_each_sold_strike_by_its_credit() -> None:
    # 460/470/530/540 sold for 3: 7 at risk on either side, even at 467 and 533.
    result = payoff(CONDOR_LEGS, -3.0)
    assert (result.max_profit, result.max_loss, result.break_evens) == (3.0, 7.0, (467.0, 533.0))


def test_a_bought_call_wins_without_limit_and_a_sold_one_loses_without_limit() -> None:
    bought = payoff([leg(Right.CALL, 500, Side.BUY)], 12.0)
    sold = payoff([leg(Right.CALL, 500, Side.SELL)], -12.0)
    assert (bought.max_profit, bought.max_loss, bought.break_evens) == (None, 12.0, (512.0,))
    assert (sold.max_profit, sold.max_loss, sold.break_evens) == (12.0, None, (512.0,))


def test_a_sold_put_loses_at_most_its_strike_less_the_credit() -> None:
    result = payoff([leg(Right.PUT, 485, Side.SELL)], -5.0)
    assert (result.max_profit, result.max_loss, result.break_evens) == (5.0, 480.0, (480.0,))


def test_legs_of_two_expiries_and_no_legs_have_no_payoff_at_expiry() -> None:
    near, far = leg(Right.PUT, 485, Side.SELL), leg(Right.PUT, 475, Side.BUY, expiry=SESSION)
    for legs in ((near, far), ()):
        with pytest.raises(DataError, match="not defined"):
            payoff(legs, -1.0)


LEGS = st.builds(
    lambda right, strike, side, ratio: OrderLeg(
        contract=leg(right, float(strike), side).contract, ratio=ratio, side=side
    ),
    st.sampled_from(Right),
    st.integers(80, 120),
    st.sampled_from(Side),
    st.integers(1, 3),
)


@given(st.lists(LEGS, min_size=1, max_size=4), st.integers(-200, 200), st.floats(0, 400))
def test_no_price_at_expiry_loses_or_wins_more_than_the_limits(
    legs: list[OrderLeg], cents: int, spot: float
) -> None:
    price = cents / 10
    result = payoff(legs, price)
    profit = value_at_expiry(legs, spot) - price
    assert result.max_profit is None or profit <= result.max_profit + 1e-6
    assert result.max_loss is None or profit >= -result.max_loss - 1e-6


@given(st.lists(LEGS, min_size=1, max_size=4), st.integers(-200, 200))
def test_at_a_break_even_nothing_is_won_or_lost(legs: list[OrderLeg], cents: int) -> None:
    price = cents / 10
    for spot in payoff(legs, price).break_evens:
        assert value_at_expiry(legs, spot) == pytest.approx(price, abs=1e-6)
