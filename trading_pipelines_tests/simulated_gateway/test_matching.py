from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.domain.contracts import Right, Side
from trading_pipelines.simulated_gateway.matching import Leg, Market, leg_prices, unit_market
from trading_pipelines_tests.simulated_gateway.static_market import CONTRACTS, SPY, option, quote

LONG_PUT = Leg(option(1, 530.0, Right.PUT), 1, Side.BUY)
SHORT_PUT = Leg(option(2, 540.0, Right.PUT), 1, Side.SELL)
SPREAD = (LONG_PUT, SHORT_PUT)
QUOTES = (quote(2.00, 2.04), quote(4.00, 4.06))


def test_a_combo_is_bought_at_its_legs_far_sides() -> None:
    assert unit_market(SPREAD, QUOTES) == Market(bid=-2.06, ask=-1.96)


def test_ratios_count() -> None:
    legs = (LONG_PUT, replace(SHORT_PUT, ratio=2))
    assert unit_market(legs, QUOTES) == Market(bid=-6.12, ask=-5.96)


def test_a_plain_order_has_the_market_of_its_contract() -> None:
    assert unit_market((LONG_PUT,), (quote(None, 2.04),)) == Market(None, 2.04)


def test_an_offered_option_that_nobody_bids_for_is_worth_nothing_in_a_combo() -> None:
    legs = (replace(LONG_PUT, side=Side.SELL), replace(SHORT_PUT, side=Side.BUY))
    assert unit_market(legs, (quote(None, 0.05), quote(4.00, 4.06))) == Market(bid=3.95, ask=4.06)


def test_a_combo_with_a_leg_without_quotes_has_no_market() -> None:
    assert unit_market(SPREAD, (quote(None, None), quote(4.00, 4.06))) == Market(None, None)


def test_stock_without_a_bid_has_none_in_a_combo_either() -> None:
    stock = Leg(CONTRACTS[SPY], 100, Side.BUY)
    assert unit_market((stock, SHORT_PUT), (quote(None, 550.0), quote(4.00, 4.06))).bid is None


def test_legs_trade_at_mid_when_the_combo_does() -> None:
    assert leg_prices(SPREAD, (quote(2.00, 2.04), quote(4.00, 4.08)), -2.02) == [2.02, 4.04]


def test_legs_trade_at_their_far_sides_when_the_combo_does() -> None:
    assert leg_prices(SPREAD, QUOTES, -1.96) == [2.04, 4.00]


def test_what_rounding_leaves_goes_to_the_widest_market() -> None:
    # A quarter of each half spread above the mids 1.01, 1.01 and 1.02 is no whole cent for any leg.
    legs = tuple(Leg(option(number, 500.0 + number, Right.PUT), 1, Side.BUY) for number in range(3))
    quotes = (quote(1.00, 1.02), quote(1.00, 1.02), quote(1.00, 1.04))
    assert leg_prices(legs, quotes, 3.05) == [1.01, 1.01, 1.03]


def test_a_leg_with_one_side_trades_there() -> None:
    # Bought at the ask of 0.05 against a bid of 4.00 that nobody answers.
    assert leg_prices(SPREAD, (quote(None, 0.05), quote(4.00, None)), -3.95) == [0.05, 4.00]


def test_a_worthless_leg_is_sold_for_nothing() -> None:
    legs = (replace(LONG_PUT, side=Side.SELL), replace(SHORT_PUT, side=Side.BUY))
    first, second = leg_prices(legs, (quote(None, 0.05), quote(4.00, 4.06)), 4.06)
    assert (str(first), second) == ("0.0", 4.06)


cents = st.integers(1, 2000)
widths = st.integers(1, 60)


@given(
    legs=st.lists(st.tuples(cents, widths, st.integers(1, 3), st.sampled_from(Side)), min_size=2, max_size=4),
    share=st.floats(0, 1),
)
def test_leg_prices_net_to_the_combo_price_and_stay_near_their_markets(
    legs: list[tuple[int, int, int, Side]], share: float
) -> None:
    combo = tuple(
        Leg(option(number, 500.0 + number, Right.PUT), ratio, side)
        for number, (_, _, ratio, side) in enumerate(legs)
    )
    quotes = tuple(quote(bid / 100, (bid + width) / 100) for bid, width, _, _ in legs)
    market = unit_market(combo, quotes)
    assert market.bid is not None
    assert market.ask is not None
    price = round(market.bid + share * (market.ask - market.bid), 2)
    traded = leg_prices(combo, quotes, price)
    net = sum(leg.signed_ratio * paid for leg, paid in zip(combo, traded, strict=True))
    assert net == pytest.approx(price, abs=1e-5)
    # Rounding moves a leg by half a cent, and the one that takes the rest by all of them together.
    slack = 0.005 * sum(ratio for *_, ratio, _ in legs) + 0.006
    for paid, shown in zip(traded, quotes, strict=True):
        assert shown.bid is not None
        assert shown.ask is not None
        assert shown.bid - slack <= paid <= shown.ask + slack
