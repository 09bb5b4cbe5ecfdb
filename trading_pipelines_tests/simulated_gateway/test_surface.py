"""The surface against what any sane surface must do; prices of one volatility are tested in core."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.simulated_gateway import surface
from trading_pipelines.simulated_gateway.universe import Floats

STRIKES = np.arange(300.0, 801.0)
SPOT = 540.0


def values(right: int, years: float, instantaneous: float, underlying: int = 0) -> surface.OptionValues:
    return surface.value(
        spot=np.full(STRIKES.size, SPOT),
        instantaneous=np.full(STRIKES.size, instantaneous),
        strike=STRIKES,
        years=np.full(STRIKES.size, years),
        right=np.full(STRIKES.size, right),
        underlying=np.full(STRIKES.size, underlying),
    )


def level(instantaneous: float, days: float) -> float:
    return float(surface.at_the_money(np.array(instantaneous), np.array(days / 365), np.array(0)))


levels = st.floats(0.06, 0.6)
terms = st.floats(1 / 365, 1.0)


@given(years=terms, instantaneous=levels, underlying=st.integers(0, 2))
def test_put_call_parity_holds_exactly_at_every_strike(
    years: float, instantaneous: float, underlying: int
) -> None:
    calls = values(1, years, instantaneous, underlying).european
    puts = values(-1, years, instantaneous, underlying).european
    dividend_yield = float(surface.DIVIDEND_YIELDS[underlying])
    parity = SPOT * math.exp(-dividend_yield * years) - STRIKES * math.exp(-surface.RATE * years)
    np.testing.assert_allclose(calls - puts, parity, atol=1e-9)


@given(years=terms, instantaneous=levels)
def test_no_option_is_worth_less_than_exercising_it(years: float, instantaneous: float) -> None:
    for right in (1, -1):
        mids = values(right, years, instantaneous).mid
        assert np.all(mids >= np.maximum(right * (SPOT - STRIKES), 0.0))


@given(years=terms, instantaneous=levels, underlying=st.integers(0, 2))
def test_no_combination_of_strikes_is_free(years: float, instantaneous: float, underlying: int) -> None:
    calls: Floats = values(1, years, instantaneous, underlying).european
    slopes = np.diff(calls)
    assert np.all(slopes <= 1e-9)
    assert np.all(slopes >= -1.0)
    assert np.all(np.diff(slopes) >= -1e-6)


@given(years=terms, instantaneous=levels, underlying=st.integers(0, 2))
def test_puts_below_the_money_imply_more_volatility_than_calls_above(
    years: float, instantaneous: float, underlying: int
) -> None:
    found = values(1, years, instantaneous, underlying)
    below = np.argmin(np.abs(found.moneyness + 0.7))
    above = np.argmin(np.abs(found.moneyness - 0.7))
    at = np.argmin(np.abs(found.moneyness))
    assert found.volatility[below] >= found.volatility[at] >= found.volatility[above]


def test_the_term_structure_rises_from_a_calm_market_and_falls_from_a_nervous_one() -> None:
    calm, nervous = ([level(start, days) for days in (7, 30, 93, 365)] for start in (0.10, 0.40))
    assert calm == sorted(calm)
    assert nervous == sorted(nervous, reverse=True)
    assert level(0.10, 36_500) == pytest.approx(level(0.40, 36_500), rel=0.01)


def test_total_variance_never_falls_with_the_term() -> None:
    for instantaneous in (0.08, 0.2, 0.6):
        days = np.arange(1, 366)
        variance = surface.at_the_money(np.array(instantaneous), days / 365, np.array(0)) ** 2 * days
        assert np.all(np.diff(variance) > 0)


def test_an_expired_option_is_worth_its_intrinsic_value() -> None:
    found = values(-1, 0.0, 0.15)
    np.testing.assert_allclose(found.mid, np.maximum(STRIKES - SPOT, 0.0))
