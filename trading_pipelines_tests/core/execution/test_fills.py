from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.execution.fills import limit_fill, uniform_draw

NOON = datetime(2024, 6, 12, 16, 0, tzinfo=UTC)
prices = st.floats(-50, 50).map(lambda price: round(price, 2))
draws = st.floats(0, 1, exclude_max=True)


def buy(limit: float, bid: float | None, ask: float | None, draw: float = 0.0) -> float | None:
    return limit_fill(limit=limit, bid=bid, ask=ask, is_buy=True, draw=draw)


def sell(limit: float, bid: float | None, ask: float | None, draw: float = 0.0) -> float | None:
    return limit_fill(limit=limit, bid=bid, ask=ask, is_buy=False, draw=draw)


def test_a_marketable_buy_fills_at_the_ask_whatever_the_draw() -> None:
    assert buy(5.00, 4.50, 4.56, draw=0.999) == 4.56
    assert buy(4.56, 4.50, 4.56, draw=0.999) == 4.56


def test_a_marketable_sell_fills_at_the_bid() -> None:
    assert sell(4.00, 4.50, 4.56, draw=0.999) == 4.50


def test_a_market_order_is_a_limit_without_limit() -> None:
    assert buy(float("inf"), 4.50, 4.56) == 4.56
    assert sell(float("-inf"), 4.50, 4.56) == 4.50


def test_inside_the_spread_it_fills_at_its_limit_when_the_draw_is_low() -> None:
    # Half way across: one look in four.
    assert buy(4.53, 4.50, 4.56, draw=0.24) == 4.53
    assert buy(4.53, 4.50, 4.56, draw=0.26) is None
    # A quarter of the way across, for a seller: one in sixteen.
    assert sell(4.75, 4.00, 5.00, draw=0.06) == 4.75
    assert sell(4.75, 4.00, 5.00, draw=0.07) is None


@pytest.mark.parametrize("limit", [4.50, 4.49])
def test_at_or_behind_the_near_side_it_never_fills(limit: float) -> None:
    assert buy(limit, 4.50, 4.56, draw=0.0) is None


def test_a_credit_combo_has_negative_prices() -> None:
    assert buy(-4.60, -4.82, -4.62) == -4.62
    assert buy(-4.72, -4.82, -4.62, draw=0.24) == -4.72
    assert buy(-4.72, -4.82, -4.62, draw=0.26) is None
    assert sell(-4.90, -4.82, -4.62) == -4.82


def test_a_missing_side_trades_with_nobody() -> None:
    assert buy(5.0, 4.5, None) is None
    assert buy(5.0, None, 4.56) == 4.56
    assert buy(4.53, None, 4.56) is None
    assert sell(4.0, None, 4.56) is None


@pytest.mark.parametrize(("bid", "ask"), [(4.60, 4.50), (4.50, 4.50)], ids=["crossed", "locked"])
def test_in_a_crossed_or_locked_market_only_marketable_orders_fill(bid: float, ask: float) -> None:
    assert buy(4.55, bid, ask) == 4.50
    assert buy(4.49, bid, ask) is None


def test_nan_fills_nothing() -> None:
    assert buy(float("nan"), 4.50, 4.56) is None
    assert sell(float("nan"), 4.50, 4.56) is None


@given(limit=prices, bid=prices, width=st.floats(0.01, 5), draw=draws, is_buy=st.booleans())
def test_a_fill_is_never_worse_than_the_limit_nor_beyond_the_market(
    limit: float, bid: float, width: float, draw: float, is_buy: bool
) -> None:
    ask = bid + width
    price = limit_fill(limit=limit, bid=bid, ask=ask, is_buy=is_buy, draw=draw)
    if price is not None:
        assert price <= limit if is_buy else price >= limit
        assert bid <= price <= ask


@given(limit=prices, bid=prices, width=st.floats(0.01, 5), draw=draws)
def test_selling_mirrors_buying(limit: float, bid: float, width: float, draw: float) -> None:
    bought = buy(limit, bid, bid + width, draw)
    sold = sell(-limit, -(bid + width), -bid, draw)
    assert bought == (None if sold is None else -sold)


def test_a_draw_depends_on_seed_order_and_time_alone() -> None:
    draw = uniform_draw(7, "tp1-abc", NOON)
    assert uniform_draw(7, "tp1-abc", NOON.astimezone(timezone(timedelta(hours=-4)))) == draw
    others = {
        uniform_draw(8, "tp1-abc", NOON),
        uniform_draw(7, "tp1-abd", NOON),
        uniform_draw(7, "tp1-abc", NOON + timedelta(seconds=1)),
    }
    assert len(others | {draw}) == 4


def test_draws_are_uniform_between_0_and_1() -> None:
    sample = [uniform_draw(seed, "tp1-abc", NOON) for seed in range(4000)]
    assert min(sample) >= 0
    assert max(sample) < 1
    for tenth in range(10):
        share = sum(tenth / 10 <= draw < (tenth + 1) / 10 for draw in sample) / len(sample)
        assert share == pytest.approx(0.1, abs=0.02)  # four standard deviations
