"""Margins counted by hand; the rules for options are those of CBOE's margin manual."""

from datetime import date

import pytest

from trading_pipelines.domain.contracts import Right, SecurityType
from trading_pipelines.simulated_gateway.margin import Exposure, Margin, requirement

SPY = 1
JULY, AUGUST = date(2024, 7, 19), date(2024, 8, 16)


def option(
    right: Right, strike: float, quantity: float, price: float, *, spot: float = 550.0, expiry: date = JULY
) -> Exposure:
    con_id = int(strike * 10 + (right is Right.CALL) + expiry.month * 100_000)
    return Exposure(
        con_id,
        SecurityType.OPTION,
        SPY,
        100.0,
        quantity,
        price,
        spot,
        expiry=expiry,
        strike=strike,
        right=right,
    )


def stock(quantity: float, price: float = 550.0) -> Exposure:
    return Exposure(SPY, SecurityType.STOCK, SPY, 1.0, quantity, price, price)


def put(strike: float, quantity: float, price: float, **details: date) -> Exposure:
    return option(Right.PUT, strike, quantity, price, **details)  # type: ignore[arg-type]


def call(strike: float, quantity: float, price: float, **details: date) -> Exposure:
    return option(Right.CALL, strike, quantity, price, **details)  # type: ignore[arg-type]


def both(amount: float) -> Margin:
    return Margin(pytest.approx(amount), pytest.approx(amount))  # type: ignore[arg-type]


def test_nothing_needs_nothing() -> None:
    assert requirement([]) == Margin(0.0, 0.0)


@pytest.mark.parametrize(
    ("quantity", "initial", "maintenance"),
    [(100, 27_500, 13_750), (-100, 27_500, 16_500)],
    ids=["long", "short"],
)
def test_stock_needs_half_at_first(quantity: float, initial: float, maintenance: float) -> None:
    assert requirement([stock(quantity)]) == Margin(initial, pytest.approx(maintenance))  # type: ignore[arg-type]


def test_a_long_option_needs_its_premium() -> None:
    assert requirement([call(560, 3, 4.53)]) == both(3 * 453.0)


def test_a_credit_spread_needs_its_width_less_the_credit() -> None:
    assert requirement([put(540, -2, 4.00), put(530, 2, 2.00)]) == both(2 * (1000.0 - 200.0))


def test_a_debit_spread_needs_its_debit() -> None:
    assert requirement([call(560, 1, 4.50), call(570, -1, 1.80)]) == both(270.0)


def test_a_condor_needs_its_wider_wing_less_both_credits() -> None:
    condor = [put(530, 1, 2.0), put(540, -1, 4.0), call(560, -1, 4.5), call(575, 1, 1.5)]
    assert requirement(condor) == both(1500.0 - 500.0)


def test_a_naked_put_needs_a_fifth_of_the_price_less_what_it_is_out_of_the_money() -> None:
    assert requirement([put(540, -1, 4.0)]) == both(100 * (0.20 * 550 - 10))


def test_a_naked_put_far_out_needs_a_tenth_of_its_strike() -> None:
    assert requirement([put(400, -1, 0.1)]) == both(100 * 0.10 * 400)


def test_a_naked_call_far_out_needs_a_tenth_of_the_price() -> None:
    assert requirement([call(700, -1, 0.1)]) == both(100 * 0.10 * 550)


def test_of_a_ratio_spread_the_short_that_is_not_covered_is_naked() -> None:
    # One long 560, two short 570: a debit spread of 2.70, and a naked 570 call 20 out of the money.
    assert requirement([call(560, 1, 4.50), call(570, -2, 1.80)]) == both(270.0 + 100 * (0.20 * 550 - 20))


def test_shares_cover_short_calls() -> None:
    covered = requirement([stock(100), call(560, -1, 4.5)])
    assert covered == requirement([stock(100)])
    half = requirement([stock(100), call(560, -2, 4.5)])
    assert half.initial - covered.initial == pytest.approx(100 * (0.20 * 550 - 10))


def test_shares_cover_one_expiry_only_once() -> None:
    one = requirement([stock(100), call(560, -1, 4.5)])
    two = requirement([stock(100), call(560, -1, 4.5), call(560, -1, 6.5, expiry=AUGUST)])
    assert two.initial - one.initial == pytest.approx(100 * (0.20 * 550 - 10))


def test_a_later_expiry_covers_nothing() -> None:
    calendar = requirement([call(560, -1, 4.5), call(560, 1, 6.5, expiry=AUGUST)])
    assert calendar == both(100 * (0.20 * 550 - 10) + 650.0)


def test_a_future_needs_a_share_of_its_notional() -> None:
    future = Exposure(9, SecurityType.FUTURE, 9, 50.0, -2, 5500.0, 5500.0)
    assert requirement([future]) == Margin(pytest.approx(33_000.0), pytest.approx(27_500.0))  # type: ignore[arg-type]


def test_the_order_of_holdings_does_not_matter() -> None:
    holdings = [stock(100), call(560, -2, 4.5), call(570, 1, 1.8), put(540, -1, 4.0), put(530, 2, 2.0)]
    assert requirement(holdings) == requirement(list(reversed(holdings)))
