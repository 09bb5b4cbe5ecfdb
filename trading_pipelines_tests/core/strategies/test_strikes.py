"""Which contracts become legs."""

from datetime import date

import polars as pl
import pytest

from trading_pipelines.core.strategies.strikes import (
    CHAIN_COLUMNS,
    by_delta,
    chain,
    entry_expiry,
    is_standard_monthly,
    leg,
    usable,
    width,
    wing,
)
from trading_pipelines.domain.contracts import Right, Side
from trading_pipelines_tests import builders
from trading_pipelines_tests.builders import SESSION, chain_row, parameters

STRIKES = parameters().strikes


def expiries(*days: date) -> pl.DataFrame:
    return pl.DataFrame({"expiry": days})


@pytest.mark.parametrize(
    ("expiry", "standard"),
    [
        (date(2024, 7, 19), True),
        (date(2024, 7, 12), False),
        (date(2024, 7, 26), False),
        (date(2024, 7, 18), False),
        (date(2015, 1, 16), True),
        # Good Friday 2014-04-18 and 2025-04-18 were third Fridays: the monthly expired on Thursday.
        (date(2025, 4, 17), True),
    ],
)
def test_the_standard_monthly_is_the_third_friday_or_the_thursday_before_a_holiday(
    expiry: date, standard: bool
) -> None:
    assert is_standard_monthly(expiry) is standard


def test_a_monthly_inside_the_window_wins_over_a_weekly_nearer_to_the_target() -> None:
    # 2024-07-19 is 37 days away, 2024-07-26 is 44: the target is 45.
    listed = expiries(date(2024, 7, 19), date(2024, 7, 26))
    assert entry_expiry(listed, SESSION, parameters().expiry) == date(2024, 7, 19)


def test_without_a_monthly_the_expiry_nearest_to_the_target_is_taken() -> None:
    listed = expiries(date(2024, 7, 12), date(2024, 7, 26), date(2024, 8, 2))
    assert entry_expiry(listed, SESSION, parameters().expiry) == date(2024, 7, 26)


def test_no_expiry_outside_the_window_is_taken() -> None:
    # 29 and 61 days: just outside 30–60.
    assert entry_expiry(expiries(date(2024, 7, 11), date(2024, 8, 12)), SESSION, parameters().expiry) is None


@pytest.mark.parametrize(
    ("changes", "fit"),
    [
        ({}, True),
        ({"bid": None}, False),
        ({"ask": None}, False),
        ({"bid": 0.0}, False),
        ({"bid": 2.10, "ask": 2.00}, False),
        ({"ask": float("nan")}, False),
        ({"ask": float("inf")}, False),
        ({"delta": None}, False),
        ({"delta": float("nan")}, False),
        # The limit is 10 % of a mid of 2.00: a spread of 0.20 passes, 0.22 does not.
        ({"bid": 1.90, "ask": 2.10}, True),
        ({"bid": 1.89, "ask": 2.11}, False),
        # Or two ticks, where 10 % would be less than that.
        ({"bid": 0.04, "ask": 0.06, "mid": 0.05}, True),
        ({"bid": 0.04, "ask": 0.07, "mid": 0.055}, False),
    ],
)
def test_a_leg_needs_a_tight_two_sided_quote_and_greeks(changes: dict[str, float | None], fit: bool) -> None:
    row = pl.DataFrame([chain_row(Right.PUT, 470, 2.0, -0.16) | changes], schema=CHAIN_COLUMNS)
    assert usable(row, STRIKES).height == fit


def test_the_strike_nearest_to_the_delta_is_taken_within_the_tolerance() -> None:
    rows = builders.chain()
    found = by_delta(rows, Right.PUT, 0.16, 0.08)
    assert found is not None
    assert found.item(0, "strike") == 470
    # Between 0.16 and 0.20 both are 0.02 away: the farther strike is taken.
    tie = by_delta(rows, Right.PUT, 0.18, 0.08)
    assert tie is not None
    assert tie.item(0, "strike") == 470
    assert by_delta(rows, Right.PUT, 0.70, 0.08) is None


@pytest.mark.parametrize(
    ("removed", "expected"),
    [
        ([], 475.0),
        ([475.0], 480.0),  # 5 and 15 points are as far from 10: the narrower wing risks less
        ([475.0, 480.0], 470.0),
        ([475.0, 480.0, 470.0], 465.0),  # 20 points: exactly twice the width
        ([475.0, 480.0, 470.0, 465.0], None),  # 25 points: a hole in the grid
    ],
)
def test_a_wing_is_the_nearest_strike_to_the_width_unless_the_grid_has_a_hole(
    removed: list[float], expected: float | None
) -> None:
    puts = builders.chain().filter(~pl.col("strike").is_in(removed))
    anchor = puts.filter((pl.col("strike") == 485) & (pl.col("right") == "P"))
    found = wing(puts, anchor, direction=-1, width=10, max_factor=2.0)
    assert (None if found is None else found.item(0, "strike")) == expected


def test_the_width_comes_from_the_table_or_from_the_price() -> None:
    assert width("SPY", 500, STRIKES) == 10
    # 2 % of 750.
    assert width("GOOG", 750, STRIKES) == 15


def test_a_leg_carries_the_whole_contract() -> None:
    row = builders.chain().filter((pl.col("strike") == 470) & (pl.col("right") == "P"))
    assert leg(row, Side.SELL) == builders.leg(Right.PUT, 470, Side.SELL)


def test_a_chain_joins_greeks_with_the_contracts_of_their_options() -> None:
    joined = chain(builders.option_rows(), builders.greek_rows())
    assert joined.sort("con_id").equals(builders.chain().sort("con_id"))
