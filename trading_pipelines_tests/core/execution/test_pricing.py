"""Combo markets and limits, added up by hand from the builders' quotes (two cents around each mid)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.execution.combos import closing_legs
from trading_pipelines.core.execution.pricing import ComboQuote, combo_quote, limit_price, two_sided
from trading_pipelines_tests.builders import BULL_PUT_LEGS, CONDOR_LEGS, chain, parameters

QUOTES = {row[0]: (row[1], row[2]) for row in chain().select("con_id", "bid", "ask").iter_rows()}
P = parameters()


def limit(quote: ComboQuote, *, urgent: bool = False) -> float:
    return limit_price(quote, P.execution, P.risk, urgent=urgent)


def test_a_combo_is_bought_at_the_asks_of_its_bought_and_the_bids_of_its_sold_legs() -> None:
    # Bull put, mids 4.90 sold and 2.75 bought: −2.15; each leg is two cents worse or better.
    quote = combo_quote(BULL_PUT_LEGS, QUOTES)
    assert quote is not None
    assert (quote.bid, quote.mid, quote.ask) == pytest.approx((-2.19, -2.15, -2.11))


def test_closing_is_the_mirror_of_opening() -> None:
    opening, closing = combo_quote(CONDOR_LEGS, QUOTES), combo_quote(closing_legs(CONDOR_LEGS), QUOTES)
    assert opening is not None
    assert closing is not None
    assert (closing.bid, closing.ask) == pytest.approx((-opening.ask, -opening.bid))


@pytest.mark.parametrize(
    ("quote", "usable"),
    [
        ((1.0, 1.1), True),
        ((1.0, 1.0), True),
        ((0.0, 0.05), True),
        ((1.1, 1.0), False),
        ((None, 1.0), False),
        ((1.0, None), False),
        ((-1.0, -1.0), False),
        ((0.0, 0.0), False),
        ((math.nan, 1.0), False),
        ((1.0, math.nan), False),
        ((1.0, math.inf), False),
        ((1.0, 1.797e308), False),
    ],
)
def test_a_market_has_two_finite_sides_in_order(
    quote: tuple[float | None, float | None], usable: bool
) -> None:
    assert (two_sided(quote) is not None) is usable


def test_a_combo_without_one_leg_has_no_market() -> None:
    missing = {con_id: quote for con_id, quote in QUOTES.items() if con_id != CONDOR_LEGS[2].contract.con_id}
    assert combo_quote(CONDOR_LEGS, missing) is None
    assert combo_quote((), QUOTES) is None


@pytest.mark.parametrize(
    ("bid", "ask", "urgent", "expected"),
    [
        # 35 % of the way from 2.00 to 2.10 is 2.035: rounded down to pay less.
        (1.90, 2.10, False, 2.03),
        # A credit of 2.00: −2.00 + 0.035 = −1.965, rounded down takes 1.97.
        (-2.10, -1.90, False, -1.97),
        # Urgent goes to the far side …
        (1.90, 2.10, True, 2.10),
        (-2.10, -1.90, True, -1.90),
        # … but never further from mid than the collar: 0.10, or 5 % of 4.00.
        (1.50, 2.50, True, 2.10),
        (3.00, 5.00, True, 4.20),
        # Locked: mid and far side are one.
        (2.00, 2.00, False, 2.00),
        (-0.02, 0.02, False, 0.0),
    ],
)
def test_the_limit_concedes_from_mid_and_rounds_in_the_buyers_favour(
    bid: float, ask: float, urgent: bool, expected: float
) -> None:
    assert limit(ComboQuote(bid, ask), urgent=urgent) == pytest.approx(expected, abs=1e-9)


@given(st.floats(-50, 50), st.floats(0, 5), st.booleans())
def test_no_limit_pays_more_than_the_far_side_or_leaves_the_collar(
    bid: float, spread: float, urgent: bool
) -> None:
    quote = ComboQuote(bid, bid + spread)
    price = limit(quote, urgent=urgent)
    deviation = max(0.05 * abs(quote.mid), 0.10)
    assert price <= quote.ask + 1e-6
    assert quote.mid - 0.01 - 1e-6 <= price <= quote.mid + deviation + 1e-6
    assert price * 100 == pytest.approx(round(price * 100), abs=1e-6)
