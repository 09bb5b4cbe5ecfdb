"""The seeded paths of the synthetic market: prices and instantaneous volatility of SPY, QQQ and IWM.

Days are simulated jointly from a fixed first session, so a seed has one history, whatever date is asked
for: log-volatility reverts to its mean at a fast and a slow speed and falls when prices rise, returns
are correlated, split into overnight gap and session, and jump now and then. Within a day the path is a
Brownian bridge between the known ends, drawn from (seed, session); overnight it moves with the hours of
Globex. All of it is a function of time: what is seen at a time does not depend on when it is asked.

Levels are anchored: at the close before the demo's default date, 2024-06-12, prices lie within a few
percent of SPY 540, QQQ 475, IWM 203, and SPY's volatility near the one that makes VIX about 13.
"""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

import numpy as np
from scipy.signal import lfilter

from trading_pipelines.core.market import calendar
from trading_pipelines.domain.errors import DataError
from trading_pipelines.simulated_gateway.universe import DAY_ZERO, UNDERLYINGS, Floats

REFERENCE = date(2024, 6, 11)
"""At the close of this session the levels are anchored."""
_PRICES = np.array([540.0, 475.0, 203.0])
_PRICE_SPREAD = 0.015
_VOLATILITIES = np.array([0.115, 0.160, 0.200])
_VOLATILITY_ANCHOR = 0.6
"""Share of the volatility path's deviation at the reference that is taken out; the rest is the seed's."""
_LOADS = np.array([[1.0, 0.0, 0.0], [0.92, 0.392, 0.0], [0.80, 0.0, 0.6]])
"""Rows: underlyings; columns: market shock, and the own shocks of QQQ and IWM. Rows have length 1."""
_DRIFT = np.array([0.08, 0.10, 0.06]) / 252
_REALISED_SHARE = 0.9
"""Options imply more volatility than comes: the premium that sellers of options earn."""
_OVERNIGHT_VARIANCE = 0.3
_FAST, _SLOW, _OWN = 12.0, 80.0, 50.0
"""Half-lives of the log-volatility's parts, in sessions."""
_FAST_DEVIATION, _SLOW_DEVIATION = 0.16, 0.28
_OWN_DEVIATIONS = np.array([0.10, 0.20, 0.20])
_FAST_CORRELATION, _SLOW_CORRELATION = -0.8, -0.5
_LEVERAGE = -8.0
"""Change of log-volatility per log-return within a day."""
_JUMP_PROBABILITY, _JUMP_MEAN, _JUMP_DEVIATION = 0.01, -0.015, 0.02
_JUMP_VOLATILITY = -60.0
"""Shock to the fast volatility per log-return of a jump."""
_SESSION_STEP, _NIGHT_STEP = 30.0, 120.0
_DAILY, _JUMPS, _ANCHOR, _NIGHT, _SESSION = range(5)
_MARGIN_DAYS = 60
_PERIODS_KEPT = 560
"""Two years of history for every symbol without drawing it anew; 70 kB each."""


@dataclass(frozen=True, slots=True)
class Period:
    """The path from one close to the next: `times` in seconds of the epoch, a column per underlying."""

    times: Floats
    log_price: Floats
    log_volatility: Floats


@dataclass(frozen=True, slots=True)
class State:
    """Prices and instantaneous volatilities (annual, fractions) at some times, a column per underlying."""

    spot: Floats
    volatility: Floats


class Paths:
    """One seed's history from 2010 to two months after `last`."""

    def __init__(self, seed: int, last: date) -> None:
        self.seed = seed
        until = max(last, REFERENCE) + timedelta(days=_MARGIN_DAYS)
        self.sessions = calendar.sessions_between(DAY_ZERO, until)
        bounds = [calendar.session_bounds(session) for session in self.sessions]
        self.opens = np.array([opened.timestamp() for opened, _ in bounds])
        self.closes = np.array([closed.timestamp() for _, closed in bounds])
        reference = self.sessions.index(REFERENCE)
        shocks = _generator(seed, _DAILY).standard_normal((len(self.sessions), 12))
        jumps = _jumps(seed, len(self.sessions))
        self._log_volatility = _log_volatilities(shocks, jumps, reference)
        self._log_open, self._log_close = _log_prices(shocks, jumps, self._log_volatility)
        anchor = np.log(_PRICES) + _PRICE_SPREAD * _generator(seed, _ANCHOR).standard_normal(len(_PRICES))
        shift = anchor - self._log_close[reference]
        self._log_open += shift
        self._log_close += shift
        self._period = lru_cache(maxsize=_PERIODS_KEPT)(self._build_period)

    def index(self, session: date) -> int:
        """Position of a session; DataError when it is none, or outside the simulated years."""
        position = int(np.searchsorted(self.opens, calendar.session_bounds(session)[0].timestamp()))
        if position == len(self.sessions) or self.sessions[position] != session:
            raise DataError(
                f"the synthetic market has no path for {session}", f"it begins on {self.sessions[0]}"
            )
        return position

    def state(self, times: Floats) -> State:
        """Prices and volatilities at any times (seconds of the epoch), also overnight; shape (times, 3)."""
        self._require(times)
        periods = np.searchsorted(self.closes, times, side="left")
        log_price = np.empty((times.size, len(UNDERLYINGS)))
        log_volatility = np.empty_like(log_price)
        for position in np.unique(periods):
            period, rows = self._period(int(position)), periods == position
            for column in range(len(UNDERLYINGS)):
                log_price[rows, column] = np.interp(times[rows], period.times, period.log_price[:, column])
                log_volatility[rows, column] = np.interp(
                    times[rows], period.times, period.log_volatility[:, column]
                )
        return State(np.exp(log_price), np.exp(log_volatility))

    def cash_times(self, times: Floats) -> Floats:
        """The last moment at or before each time when the NYSE traded: its last close out of hours."""
        self._require(times)
        begun = np.searchsorted(self.opens, times, side="right") - 1
        return np.asarray(np.minimum(times, self.closes[begun]))

    def closing_prices(self, underlying: int) -> Floats:
        """The close of every session, in their order."""
        return np.asarray(np.exp(self._log_close[:, underlying]))

    def close_range(self, underlying: int, first: date, before: date) -> tuple[float, float]:
        """Lowest and highest close of an underlying in the sessions from `first` to before `before`.

        The close before them counts too, so there is always one.
        """
        begin = max(bisect_left(self.sessions, first) - 1, 0)
        end = max(bisect_left(self.sessions, before), begin + 1)
        closes = np.exp(self._log_close[begin:end, underlying])
        return float(closes.min()), float(closes.max())

    def _require(self, times: Floats) -> None:
        """DataError unless every time lies in the simulated years."""
        if times.size and (times.min() < self.closes[0] or times.max() > self.closes[-1]):
            raise DataError(
                f"the synthetic market is asked for a time outside {self.sessions[1]} to {self.sessions[-1]}",
                "ask for one in that range, or start the gateway with a later --date",
            )

    def _build_period(self, position: int) -> Period:
        """The bridge from the close before a session to its own, through its open."""
        previous, opened, closed = self.closes[position - 1], self.opens[position], self.closes[position]
        night = np.linspace(previous, opened, max(round((opened - previous) / _NIGHT_STEP), 1) + 1)
        day = np.linspace(opened, closed, round((closed - opened) / _SESSION_STEP) + 1)
        scale = _REALISED_SHARE * np.exp(self._log_volatility[position - 1]) / np.sqrt(252.0)
        session = self.sessions[position].toordinal()
        night_clock, night_path = _bridge(
            _generator(self.seed, _NIGHT, session),
            self._night_weights(position, night),
            self._log_close[position - 1],
            self._log_open[position],
            scale * np.sqrt(_OVERNIGHT_VARIANCE),
        )
        day_clock, day_path = _bridge(
            _generator(self.seed, _SESSION, session),
            _session_weights(day.size - 1),
            self._log_open[position],
            self._log_close[position],
            scale * np.sqrt(1 - _OVERNIGHT_VARIANCE),
        )
        log_price = np.concatenate([night_path, day_path[1:]])
        day_share = _OVERNIGHT_VARIANCE + (1 - _OVERNIGHT_VARIANCE) * day_clock[1:]
        clock = np.concatenate([_OVERNIGHT_VARIANCE * night_clock, day_share])[:, np.newaxis]
        surprise = log_price - log_price[0] - clock * (log_price[-1] - log_price[0])
        before, after = self._log_volatility[position - 1], self._log_volatility[position]
        log_volatility = before + clock * (after - before) + _LEVERAGE * surprise
        return Period(np.concatenate([night, day[1:]]), log_price, log_volatility)

    def _night_weights(self, position: int, times: Floats) -> Floats:
        """1 for the steps while Globex trades, else 0."""
        first, last = self.sessions[position - 1], self.sessions[position]
        middle = (times[1:] + times[:-1]) / 2
        weights = np.zeros(middle.size)
        for trade_date in calendar.trade_dates_between(first, last):
            opened, closed = calendar.trade_date_bounds(trade_date)
            weights[(middle >= opened.timestamp()) & (middle < closed.timestamp())] = 1.0
        return weights if weights.any() else np.ones(middle.size)


def epoch_seconds(at: datetime) -> Floats:
    """A time as the one-element array that paths take."""
    return np.array([at.timestamp()])


def _generator(seed: int, stream: int, index: int = 0) -> np.random.Generator:
    """Independent numbers for every (seed, stream, index)."""
    return np.random.Generator(np.random.Philox(key=[seed, stream << 32 | index]))


def _jumps(seed: int, count: int) -> Floats:
    """Log-return of the market's jump before each session, mostly 0."""
    draws = _generator(seed, _JUMPS).random((count, 2))
    # Two uniforms make one rough normal; a jump's exact shape does not matter.
    size = _JUMP_MEAN + _JUMP_DEVIATION * (draws[:, 1] * 2 - 1) * np.sqrt(3.0)
    return np.where(draws[:, 0] < _JUMP_PROBABILITY, size, 0.0)


def _autoregression(shocks: Floats, half_life: float) -> Floats:
    """A mean-reverting series of unit stationary deviation along axis 0."""
    keep = 0.5 ** (1.0 / half_life)
    series: Floats = lfilter([np.sqrt(1 - keep * keep)], [1.0, -keep], shocks, axis=0)
    return series


def _log_volatilities(shocks: Floats, jumps: Floats, reference: int) -> Floats:
    """Log of the instantaneous volatility at each close, a column per underlying."""
    market = np.sqrt(_OVERNIGHT_VARIANCE) * shocks[:, 0] + np.sqrt(1 - _OVERNIGHT_VARIANCE) * shocks[:, 1]
    fast = _FAST_CORRELATION * market + np.sqrt(1 - _FAST_CORRELATION**2) * shocks[:, 6]
    slow = _SLOW_CORRELATION * market + np.sqrt(1 - _SLOW_CORRELATION**2) * shocks[:, 7]
    common = _FAST_DEVIATION * _autoregression(fast + _JUMP_VOLATILITY * jumps, _FAST)
    common += _SLOW_DEVIATION * _autoregression(slow, _SLOW)
    own = _OWN_DEVIATIONS * _autoregression(shocks[:, 8:11], _OWN)
    deviation = common[:, np.newaxis] + own
    return np.asarray(np.log(_VOLATILITIES) + deviation - _VOLATILITY_ANCHOR * deviation[reference])


def _log_prices(shocks: Floats, jumps: Floats, log_volatility: Floats) -> tuple[Floats, Floats]:
    """Log of the prices at each open and close, from 0 at the close before the first session."""
    known = np.vstack([log_volatility[:1], log_volatility[:-1]])
    scale = _REALISED_SHARE * np.exp(known) / np.sqrt(252.0)
    night = scale * np.sqrt(_OVERNIGHT_VARIANCE) * _correlated(shocks[:, [0, 2, 3]]) + jumps[:, np.newaxis]
    day = scale * np.sqrt(1 - _OVERNIGHT_VARIANCE) * _correlated(shocks[:, [1, 4, 5]]) + _DRIFT - scale**2 / 2
    close = np.cumsum(night + day, axis=0)
    return close - day, close


def _correlated(shocks: Floats) -> Floats:
    """Market and own shocks mixed into a column per underlying.

    Not a matrix product: its last digits may depend on the number of rows, so a longer history would
    be another one.
    """
    return np.asarray((shocks[:, np.newaxis, :] * _LOADS).sum(axis=2))


def _session_weights(steps: int) -> Floats:
    """Variance of each step of a session: three times as much at its ends as in its middle."""
    place = (np.arange(steps) + 0.5) / steps
    return 1.0 + 2.0 * (2.0 * place - 1.0) ** 2


def _bridge(
    generator: np.random.Generator, weights: Floats, start: Floats, end: Floats, deviation: Floats
) -> tuple[Floats, Floats]:
    """The variance clock (0 to 1) and a correlated Brownian bridge from `start` to `end` along it."""
    clock = np.concatenate([[0.0], np.cumsum(weights)]) / weights.sum()
    noise = _correlated(generator.standard_normal((weights.size, len(UNDERLYINGS))))
    steps = noise * np.sqrt(weights / weights.sum())[:, np.newaxis] * deviation
    walk = np.vstack([np.zeros(len(UNDERLYINGS)), np.cumsum(steps, axis=0)])
    along = clock[:, np.newaxis]
    return clock, start + (end - start) * along + walk - walk[-1] * along
