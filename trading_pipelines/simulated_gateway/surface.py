"""The synthetic market's option values: implied volatility by term and strike, prices and Greeks. Pure.

The at-the-money variance of a term is the mean of an instantaneous variance that reverts to its long
run; strikes add skew and smile in normalised moneyness, bounded in the wings. A call and a put of one
strike share their volatility, so put-call parity holds exactly in the European values; the market then
never values an option below what exercising it at once would bring.
"""

from dataclasses import dataclass

import numpy as np

from trading_pipelines.core.market import black_scholes
from trading_pipelines.simulated_gateway.universe import UNDERLYINGS, Floats, Integers

RATE = 0.045
DIVIDEND_YIELDS = np.array([underlying.dividend_yield for underlying in UNDERLYINGS])
SECONDS_PER_YEAR = 365.0 * 24 * 60 * 60
_REVERSION = 4.0
"""Speed of the variance's return to its long run, per year."""
_LONG_RUN = np.array([0.160, 0.205, 0.225])
_SKEW = np.array([-0.17, -0.15, -0.14])
"""Relative change of volatility per standard deviation of the strike above the forward."""
_CURVATURE = np.array([0.020, 0.022, 0.024])
_WING = 3.5
"""Standard deviations beyond which a strike's volatility hardly changes any more."""
_SHORTEST = 60.0 / SECONDS_PER_YEAR


@dataclass(frozen=True, slots=True)
class OptionValues:
    """Options valued, one row each: `mid` is the market's value, `european` the model's."""

    mid: Floats
    european: Floats
    volatility: Floats
    moneyness: Floats
    """Standard deviations of the strike above the forward."""


def at_the_money(instantaneous: Floats, years: Floats, underlying: Integers) -> Floats:
    """At-the-money volatility of a term."""
    speed = _REVERSION * np.maximum(years, _SHORTEST)
    long_run = _LONG_RUN[underlying] ** 2
    share = -np.expm1(-speed) / speed
    return np.asarray(np.sqrt(long_run + (instantaneous**2 - long_run) * share))


def variance_swap(instantaneous: Floats, days: int, underlying: int) -> Floats:
    """The volatility that a variance swap over `days` costs: what VIX measures.

    Gatheral, The Volatility Surface, ch. 11: the mean of the smile's variance under a standard normal
    moneyness. The bounds of the wings are left out; they matter beyond three deviations only.
    """
    skew, curvature = _SKEW[underlying], _CURVATURE[underlying]
    level = at_the_money(instantaneous, np.array(days / 365.0), np.array(underlying))
    return np.asarray(level * np.sqrt(1 + skew**2 + 2 * curvature + 3 * curvature**2))


def value(
    *,
    spot: Floats,
    instantaneous: Floats,
    strike: Floats,
    years: Floats,
    right: Integers,
    underlying: Integers,
) -> OptionValues:
    """The value of options, one row each; an expired one (years 0) is worth its intrinsic value."""
    carry = RATE - DIVIDEND_YIELDS[underlying]
    level = at_the_money(instantaneous, years, underlying)
    deviation = level * np.sqrt(np.maximum(years, _SHORTEST))
    moneyness = (np.log(strike / spot) - carry * years) / deviation
    bounded = _WING * np.tanh(moneyness / _WING)
    volatility = level * (1 + _SKEW[underlying] * bounded + _CURVATURE[underlying] * bounded**2)
    european = black_scholes.price(
        spot=spot,
        strike=strike,
        years=years,
        rate=RATE,
        dividend_yield=DIVIDEND_YIELDS[underlying],
        right=right,
        volatility=volatility,
    )
    return OptionValues(np.maximum(european, right * (spot - strike)), european, volatility, moneyness)


def spread(mid: Floats, years: Floats, underlying: Integers) -> Floats:
    """Width of the market in dollars: wider for dear options and long terms, tightest in SPY."""
    liquidity = np.array([1.0, 1.15, 1.3])[underlying]
    return np.asarray(liquidity * (0.01 + 0.012 * mid**0.75) * (1 + years))
