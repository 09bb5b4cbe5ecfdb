"""What every contract of the synthetic market is worth at a time: paths and surface put together."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial

import numpy as np

from trading_pipelines.core.market import calendar
from trading_pipelines.simulated_gateway import surface
from trading_pipelines.simulated_gateway.paths import Paths
from trading_pipelines.simulated_gateway.universe import (
    INDEX_TICK,
    STOCK_TICK,
    UNDERLYINGS,
    VOLATILITY_INDICES,
    Floats,
    Integers,
    OptionCodes,
    day_of,
    decode_future,
    decode_options,
    is_future,
)

FUTURES_LEAD_SECONDS = 20.0
"""Futures know the cash market's next seconds: what happens to an index shows in its future first."""
_IMPLIED_DAYS = 30
_STOCK_VOLUMES = (60e6, 40e6, 25e6)
_FUTURE_VOLUMES = (1.5e6, 0.6e6, 0.2e6)


@dataclass(frozen=True, slots=True)
class PricedOptions:
    """Options with their values and what the model took for them, one row each."""

    codes: OptionCodes
    values: surface.OptionValues
    spot: Floats
    years: Floats


@dataclass(frozen=True, slots=True)
class Series:
    """A contract with one value at a time that is no option's: how it is computed, its ticks and hours."""

    values: Callable[[Paths, Floats], Floats]
    tick: float
    volume: float
    """Of a typical session; 0 for what is not traded."""
    globex: bool


def series(con_id: int) -> Series | None:
    """The series of a stock, an index or a future; None for anything else."""
    return _future_series(con_id) if is_future(np.array([con_id]))[0] else _FIXED.get(con_id)


def stock(underlying: int, paths: Paths, times: Floats) -> Floats:
    """Price of a stock; after hours its last."""
    return paths.state(paths.cash_times(times)).spot[:, underlying]


def volatility_index(index: int, paths: Paths, times: Floats) -> Floats:
    """Level of a volatility index, in points; after hours its last."""
    instantaneous = paths.state(paths.cash_times(times)).volatility[:, 0]
    return 100.0 * surface.variance_swap(instantaneous, VOLATILITY_INDICES[index].days, 0)


def implied_volatility(underlying: int, paths: Paths, times: Floats) -> Floats:
    """At-the-money volatility of 30 days, a fraction."""
    instantaneous = paths.state(paths.cash_times(times)).volatility[:, underlying]
    return surface.at_the_money(instantaneous, np.array(_IMPLIED_DAYS / 365.0), np.array(underlying))


def future(con_id: int, paths: Paths, times: Floats) -> Floats:
    """Price of a future: the index carried to its expiry, a little ahead of the cash market."""
    underlying, expiry = decode_future(con_id)
    spot = paths.state(times + FUTURES_LEAD_SECONDS).spot[:, underlying]
    years = np.maximum(calendar.session_bounds(expiry)[0].timestamp() - times, 0.0) / surface.SECONDS_PER_YEAR
    carry = surface.RATE - surface.DIVIDEND_YIELDS[underlying]
    return np.asarray(spot * UNDERLYINGS[underlying].index_ratio * np.exp(carry * years))


def options(paths: Paths, con_ids: Integers, times: Floats) -> PricedOptions:
    """Options and their values, row by row; after hours as at the close, after expiry what they paid."""
    codes = decode_options(con_ids)
    expiries, rows = np.unique(codes.day, return_inverse=True)
    ends = np.array([_expires_at(int(day)) for day in expiries])[rows]
    moments, moment_rows = np.unique(np.minimum(paths.cash_times(times), ends), return_inverse=True)
    state = paths.state(moments)
    spot = state.spot[moment_rows, codes.underlying]
    years = (ends - moments[moment_rows]) / surface.SECONDS_PER_YEAR
    values = surface.value(
        spot=spot,
        instantaneous=state.volatility[moment_rows, codes.underlying],
        strike=codes.strike,
        years=years,
        right=codes.right,
        underlying=codes.underlying,
    )
    return PricedOptions(codes, values, spot, years)


def expiry_time(con_id: int) -> datetime:
    """When an option expires: the close of its last session."""
    day = int(decode_options(np.array([con_id], dtype=np.int64)).day[0])
    return calendar.session_bounds(day_of(day))[1]


def _future_series(con_id: int) -> Series:
    position, _ = decode_future(con_id)
    underlying = UNDERLYINGS[position]
    return Series(partial(future, con_id), underlying.future_tick, _FUTURE_VOLUMES[position], globex=True)


_FIXED = {
    underlying.con_id: Series(partial(stock, position), STOCK_TICK, _STOCK_VOLUMES[position], globex=False)
    for position, underlying in enumerate(UNDERLYINGS)
} | {
    index.con_id: Series(partial(volatility_index, position), INDEX_TICK, 0.0, globex=False)
    for position, index in enumerate(VOLATILITY_INDICES)
}


@lru_cache(maxsize=4096)
def _expires_at(day: int) -> float:
    return calendar.session_bounds(day_of(day))[1].timestamp()
