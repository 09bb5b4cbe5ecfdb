"""What the synthetic market shows of its contracts at a time."""

from collections.abc import Sequence
from datetime import date, datetime

import numpy as np

from trading_pipelines.core.market import black_scholes, calendar
from trading_pipelines.simulated_gateway import book, fair_values, surface, universe
from trading_pipelines.simulated_gateway.fair_values import Series
from trading_pipelines.simulated_gateway.paths import Paths
from trading_pipelines.simulated_gateway.source import MarketQuote, ModelGreeks
from trading_pipelines.simulated_gateway.universe import Floats, Integers

_OPTION_VOLUME = 6000.0
"""Contracts of an at-the-money option in a typical session, near its expiry."""
_OPEN_INTEREST_SESSIONS = 12.0
"""Open interest in sessions of volume."""
_RANGE_STEP = 60.0
_NOTHING = MarketQuote(None, None, 0.0, 0.0, None, 0.0, 0.0, None, None, None, None)


def quotes_of(paths: Paths, con_ids: Sequence[int], at: datetime) -> list[MarketQuote]:
    """One quote per con_id, in their order; an empty one for what is unknown."""
    ids = np.fromiter(con_ids, dtype=np.int64, count=len(con_ids))
    options = universe.is_option(ids)
    of_options = iter(_option_quotes(paths, ids[options], at) if options.any() else ())
    return [
        next(of_options) if option else _quote(paths, con_id, at)
        for con_id, option in zip(con_ids, options.tolist(), strict=True)
    ]


def _quote(paths: Paths, con_id: int, at: datetime) -> MarketQuote:
    """A stock's, an index's or a future's quote."""
    series = fair_values.series(con_id)
    if series is None:
        return _NOTHING
    hours, previous_close = _hours(series, at)
    seconds, ids = at.timestamp(), np.array([con_id])
    opened, closed = (moment.timestamp() for moment in hours)
    until = min(seconds, closed)
    values = book.on_tick(
        series.values(paths, np.append(np.arange(opened, until, _RANGE_STEP), until)), series.tick
    )
    begun, quoted = seconds >= opened, opened <= seconds < closed and series.volume > 0
    bid, ask = book.inside(series.values(paths, np.array([until])), series.tick)
    minute, day = int(seconds // 60), hours[1].toordinal()
    volume = book.session_volume(paths.seed, ids, day, np.array(series.volume))[0]
    last, before = (
        float(book.on_tick(series.values(paths, np.array([moment])), series.tick)[0])
        for moment in (seconds, previous_close.timestamp())
    )
    return MarketQuote(
        bid=round(float(bid[0]), 2) if quoted else None,
        ask=round(float(ask[0]), 2) if quoted else None,
        bid_size=float(book.sizes(paths.seed, ids, minute, 0)[0]) if quoted else 0.0,
        ask_size=float(book.sizes(paths.seed, ids, minute, 1)[0]) if quoted else 0.0,
        last=round(last, 2),
        last_size=1.0 if series.volume else 0.0,
        volume=float(np.floor(volume * _elapsed(seconds, opened, closed))),
        open=round(float(values[0]), 2) if begun else None,
        high=round(float(values.max()), 2) if begun else None,
        low=round(float(values.min()), 2) if begun else None,
        previous_close=round(before, 2),
    )


def _option_quotes(paths: Paths, con_ids: Integers, at: datetime) -> list[MarketQuote]:
    """Options by the thousand: one evaluation of the surface for now, the previous close and the open."""
    session, seconds, count = _session_shown(at), at.timestamp(), con_ids.size
    opened, closed = (moment.timestamp() for moment in calendar.session_bounds(session))
    previous = calendar.session_bounds(calendar.sessions_before(session, 1)[0])[1].timestamp()
    priced = fair_values.options(
        paths, np.tile(con_ids, 3), np.repeat([seconds, previous, min(opened, seconds)], count)
    )
    now = slice(0, count)
    marks = book.on_tick(priced.values.mid, universe.OPTION_TICK).round(2)
    quoted = (priced.years[now] > 0) & (opened <= seconds < closed)
    width = surface.spread(priced.values.mid[now], priced.years[now], priced.codes.underlying[now])
    bid, ask = book.around(priced.values.mid[now], width, universe.OPTION_TICK)
    minute = int(seconds // 60)
    typical = _OPTION_VOLUME * np.exp(
        -0.5 * (priced.values.moneyness[now] / 1.2) ** 2 - 3 * priced.years[now]
    )
    volume = book.session_volume(paths.seed, con_ids, session.toordinal(), typical)
    bidden = quoted & (bid > 0)
    columns = (
        _or_none(bid.round(2), bidden),
        _or_none(ask.round(2), quoted),
        np.where(bidden, book.sizes(paths.seed, con_ids, minute, 0), 0.0).tolist(),
        np.where(quoted, book.sizes(paths.seed, con_ids, minute, 1), 0.0).tolist(),
        marks[now].tolist(),
        np.floor(volume * _elapsed(seconds, opened, closed)).tolist(),
        _or_none(marks[2 * count :], np.full(count, seconds >= opened)),
        marks[count : 2 * count].tolist(),
        _model_greeks(priced, count),
        np.floor(_OPEN_INTEREST_SESSIONS * volume).tolist(),
    )
    return [
        MarketQuote(bid, ask, bid_size, ask_size, last, 1.0, traded, opening, None, None, close, greeks, held)
        for bid, ask, bid_size, ask_size, last, traded, opening, close, greeks, held in zip(
            *columns, strict=True
        )
    ]


def _model_greeks(priced: fair_values.PricedOptions, count: int) -> list[ModelGreeks | None]:
    """The model's Greeks of the first `count` rows; None for what has expired."""
    now, codes = slice(0, count), priced.codes
    greeks = black_scholes.greeks(
        spot=priced.spot[now],
        strike=codes.strike[now],
        years=priced.years[now],
        rate=surface.RATE,
        dividend_yield=surface.DIVIDEND_YIELDS[codes.underlying[now]],
        right=codes.right[now],
        volatility=priced.values.volatility[now],
    )
    numbers = (
        priced.values.volatility[now],
        priced.values.mid[now],
        greeks.delta,
        greeks.gamma,
        greeks.vega,
        greeks.theta,
        priced.spot[now],
    )
    rows = zip(*(column.tolist() for column in numbers), strict=True)
    return [
        ModelGreeks(*row) if alive else None
        for row, alive in zip(rows, (priced.years[now] > 0).tolist(), strict=True)
    ]


def _hours(series: Series, at: datetime) -> tuple[tuple[datetime, datetime], datetime]:
    """Open and close of the day that is shown at a time, and the close before it."""
    if series.globex:
        day = at.astimezone(calendar.NEW_YORK).date()
        dates = calendar.trade_dates_between(day - universe.LONGEST_BREAK, day + universe.LONGEST_BREAK)
        shown = max(
            number for number, date_ in enumerate(dates) if calendar.trade_date_bounds(date_)[0] <= at
        )
        return calendar.trade_date_bounds(dates[shown]), calendar.trade_date_bounds(dates[shown - 1])[1]
    session = _session_shown(at)
    return calendar.session_bounds(session), calendar.session_bounds(calendar.sessions_before(session, 1)[0])[
        1
    ]


def _session_shown(at: datetime) -> date:
    """The session of the New York day, or the last before it."""
    day = at.astimezone(calendar.NEW_YORK).date()
    return day if calendar.is_session(day) else calendar.sessions_before(day, 1)[0]


def _elapsed(seconds: float, opened: float, closed: float) -> float:
    """Share of a day's volume that was traded by now: more of it near the open and the close."""
    place = min(max((seconds - opened) / (closed - opened), 0.0), 1.0)
    return (place + ((2 * place - 1) ** 3 + 1) / 3) / (5 / 3)


def _or_none(values: Floats, there: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> list[float | None]:
    return [
        value if is_there else None for value, is_there in zip(values.tolist(), there.tolist(), strict=True)
    ]
