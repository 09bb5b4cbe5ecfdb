"""Answers by hand, and from Hull's worked example of realised volatility."""

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.statistics import volatility


def rank(history: list[float], today: float | None, min_sessions: int = 3) -> float | None:
    frame = pl.DataFrame({"iv": history}, schema={"iv": pl.Float64})
    return frame.select(volatility.iv_rank(pl.col("iv"), pl.lit(today, pl.Float64), min_sessions)).item()


def percentile(history: list[float], today: float | None, min_sessions: int = 3) -> float | None:
    frame = pl.DataFrame({"iv": history}, schema={"iv": pl.Float64})
    return frame.select(
        volatility.iv_percentile(pl.col("iv"), pl.lit(today, pl.Float64), min_sessions)
    ).item()


@pytest.mark.parametrize(
    ("today", "expected"), [(0.15, 25.0), (0.10, 0.0), (0.30, 100.0), (0.05, 0.0), (0.50, 100.0)]
)
def test_the_rank_is_the_place_between_lowest_and_highest(today: float, expected: float) -> None:
    assert rank([0.20, 0.10, 0.30], today) == pytest.approx(expected)


def test_the_percentile_is_the_share_of_sessions_below_today() -> None:
    assert percentile([0.10, 0.15, 0.20, 0.30], 0.20) == 50.0  # two of four; equal is not below


@pytest.mark.parametrize("answer", [rank, percentile])
def test_too_short_a_history_or_no_value_today_gives_none(answer: object) -> None:
    assert callable(answer)
    assert answer([0.1, 0.2], 0.15) is None
    assert answer([], 0.15, 0) is None
    assert answer([0.1, 0.2, 0.3], None) is None


def test_a_flat_history_has_no_rank() -> None:
    assert rank([0.2, 0.2, 0.2], 0.2) is None
    assert percentile([0.2, 0.2, 0.2], 0.2) == 0.0


@given(st.lists(st.floats(0.01, 5.0), min_size=3, max_size=30), st.floats(0.01, 5.0))
def test_rank_and_percentile_lie_within_a_hundred(history: list[float], today: float) -> None:
    for answer in (rank(history, today), percentile(history, today)):
        assert answer is None or 0.0 <= answer <= 100.0


# Hull, Options, Futures and Other Derivatives, table 15.1: 21 closes, daily standard deviation 0.01216,
# 19.3 % a year.
HULL_CLOSES = [20.00, 20.10, 19.90, 20.00, 20.50, 20.25, 20.90, 20.90, 20.90, 20.75, 20.75]
HULL_CLOSES += [21.00, 21.10, 20.90, 20.90, 21.25, 21.40, 21.40, 21.25, 21.75, 22.00]


def realised(closes: list[float], sessions: int) -> float | None:
    return (
        pl.DataFrame({"close": closes})
        .select(volatility.realised_volatility(pl.col("close"), sessions))
        .item()
    )


def test_realised_volatility_is_that_of_the_textbook() -> None:
    assert realised(HULL_CLOSES, 20) == pytest.approx(0.193, abs=5e-4)
    assert realised(HULL_CLOSES, 20) == pytest.approx(0.01216 * math.sqrt(252), abs=1e-4)


def test_realised_volatility_needs_as_many_returns_as_asked() -> None:
    assert realised(HULL_CLOSES, 21) is None
    assert realised([100.0], 1) is None
    assert realised([0.0, 50.0, *HULL_CLOSES], 20) == pytest.approx(0.193, abs=5e-4)
