"""Bars of the synthetic market: the same paths that quotes come from, cut into intervals."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

import numpy as np

from trading_pipelines.core.market import calendar
from trading_pipelines.simulated_gateway import book, fair_values, universe
from trading_pipelines.simulated_gateway.paths import Paths
from trading_pipelines.simulated_gateway.source import Bar
from trading_pipelines.simulated_gateway.universe import UNDERLYINGS, Floats

DAY_SECONDS = 86_400
_PATH_STEP, _OPTION_STEP = 30.0, 1800.0
"""Seconds between the points that highs and lows are taken from."""
_PRICES = frozenset({"TRADES", "MIDPOINT", "BID", "ASK"})
_REALISED_DAYS = 30


@dataclass(frozen=True, slots=True)
class _Line:
    """What bars are made of: a value at every time, its grid, and the hours it has."""

    values: Callable[[Paths, Floats], Floats]
    tick: float | None
    volume: float
    globex: bool
    step: float


def bars_of(paths: Paths, con_id: int, *, what: str, seconds: int, end: datetime, count: int) -> list[Bar]:
    """The last `count` bars that ended by `end`, ascending; empty for what has no such series.

    Intraday bars begin at the open and every `seconds` from there; the last of a day may be shorter.
    """
    line = _line(con_id, what)
    if line is None or count <= 0:
        return []
    days: list[list[Bar]] = []
    missing = count
    for day, opened, closed in _days(line, paths, end):
        found = _of_day(paths, con_id, line, day, seconds, (opened, closed), end.timestamp())
        days.append(found[-missing:])
        missing -= len(days[-1])
        if missing <= 0:
            break
    return [bar for found in reversed(days) for bar in found]


def _line(con_id: int, what: str) -> _Line | None:
    stocks = {underlying.con_id: position for position, underlying in enumerate(UNDERLYINGS)}
    if what == "OPTION_IMPLIED_VOLATILITY" and con_id in stocks:
        return _Line(partial(fair_values.implied_volatility, stocks[con_id]), None, 0.0, False, _PATH_STEP)
    if what == "HISTORICAL_VOLATILITY" and con_id in stocks:
        return _Line(partial(_realised, stocks[con_id]), None, 0.0, False, DAY_SECONDS)
    if what not in _PRICES:
        return None
    series = fair_values.series(con_id)
    if series is not None:
        return _Line(
            _side(series.values, series.tick, what), series.tick, series.volume, series.globex, _PATH_STEP
        )
    if universe.is_option(np.array([con_id]))[0]:
        values = _side(partial(_option, con_id), universe.OPTION_TICK, what)
        return _Line(values, universe.OPTION_TICK, 0.0, False, _OPTION_STEP)
    return None


def _side(
    values: Callable[[Paths, Floats], Floats], tick: float, what: str
) -> Callable[[Paths, Floats], Floats]:
    """The values of trades and mids, or those of one side of the market around them."""
    if what in ("TRADES", "MIDPOINT"):
        return values
    side = 0 if what == "BID" else 1
    return lambda paths, times: book.inside(values(paths, times), tick)[side]


def _option(con_id: int, paths: Paths, times: Floats) -> Floats:
    return fair_values.options(paths, np.full(times.size, con_id, dtype=np.int64), times).values.mid


def _realised(underlying: int, paths: Paths, times: Floats) -> Floats:
    """Volatility of the closes of the last 30 sessions at each time, annual."""
    positions = np.searchsorted(paths.closes, times, side="right") - 1
    closes = np.log(paths.closing_prices(underlying))
    returns = np.lib.stride_tricks.sliding_window_view(np.diff(closes), _REALISED_DAYS)
    return np.asarray(returns[positions - _REALISED_DAYS].std(axis=1, ddof=1) * np.sqrt(252.0))


def _days(line: _Line, paths: Paths, end: datetime) -> Iterator[tuple[date, float, float]]:
    """Sessions or CME trade dates that began before `end`, latest first, with their hours."""
    last = end.astimezone(calendar.NEW_YORK).date() + timedelta(days=1)
    days = (
        calendar.trade_dates_between(paths.sessions[1], last)
        if line.globex
        else calendar.sessions_between(paths.sessions[1], last)
    )
    bounds = calendar.trade_date_bounds if line.globex else calendar.session_bounds
    for day in reversed(days):
        opened, closed = bounds(day)
        if opened < end:
            yield day, opened.timestamp(), closed.timestamp()


def _of_day(
    paths: Paths, con_id: int, line: _Line, day: date, seconds: int, hours: tuple[float, float], end: float
) -> list[Bar]:
    """The bars of one day that ended by `end`."""
    opened, closed = hours
    daily = seconds >= DAY_SECONDS
    starts = np.array([opened]) if daily else np.arange(opened, closed, float(seconds))
    ends = np.append(starts[1:], closed)
    starts, ends = starts[ends <= end], ends[ends <= end]
    if not starts.size:
        return []
    points = max(int(np.ceil((ends[0] - starts[0]) / line.step)), 1) + 1
    times = starts[:, np.newaxis] + (ends - starts)[:, np.newaxis] * np.linspace(0.0, 1.0, points)
    values = line.values(paths, times.ravel())
    if line.tick is not None:
        values = book.on_tick(values, line.tick).round(2)
    table = values.reshape(times.shape)
    whole = book.session_volume(paths.seed, np.array([con_id]), day.toordinal(), np.array(line.volume))[0]
    volumes = np.floor(whole * (ends - starts) / (closed - opened))
    midnight = datetime.combine(day, time(0), UTC)
    return [
        Bar(
            start=midnight if daily else datetime.fromtimestamp(start, UTC),
            open=first,
            high=high,
            low=low,
            close=final,
            volume=volume,
            average=round((first + high + low + final) / 4, 4),
            count=int(volume // 100),
        )
        for start, first, high, low, final, volume in zip(
            starts.tolist(),
            table[:, 0].tolist(),
            table.max(axis=1).tolist(),
            table.min(axis=1).tolist(),
            table[:, -1].tolist(),
            volumes.tolist(),
            strict=True,
        )
    ]
