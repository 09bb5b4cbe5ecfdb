"""The recorded market, as the gateway asks for it: one session's contracts, quotes and bars at a time.

A quote is the close of the last quote bar that had ended, values as they were recorded, one-sided where
it was one-sided. Nothing of a bar is known before its end, so at the open there is no quote yet; rows
before the open and at or after the close are not part of the session. Futures keep their own hours.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime, time
from math import isnan
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from trading_pipelines.core.market import black_scholes, calendar
from trading_pipelines.domain.contracts import Contract, SecurityType
from trading_pipelines.simulated_gateway.patterns import matches
from trading_pipelines.simulated_gateway.recorded import Recorded, load
from trading_pipelines.simulated_gateway.recorded_contracts import listing, number_contracts, numbered, terms
from trading_pipelines.simulated_gateway.source import (
    Bar,
    ListedContract,
    MarketQuote,
    ModelGreeks,
    OptionParameters,
)
from trading_pipelines.simulated_gateway.surface import SECONDS_PER_YEAR
from trading_pipelines.simulated_gateway.tape import Tape
from trading_pipelines.simulated_gateway.universe import OPTION_MULTIPLIER, Floats, Integers

_QUOTE = ("bid_close", "ask_close", "bid_size", "ask_size")
_TRADE = ("close", "volume", "traded", "first", "highest", "lowest")
_FUTURE = SecurityType.FUTURE.value
_DAY_SECONDS = 86_400
_MINUTE_SECONDS = 60
_NOTHING = MarketQuote(None, None, 0.0, 0.0, None, 0.0, 0.0, None, None, None, None)


def recorded_market(
    root: Path, session: date, underlyings: Collection[str] | None = None
) -> "RecordedMarket":
    """The market recorded under a LEAN data root or a lake on one session; errors as in `recorded.load`."""
    return RecordedMarket(load(root, session, underlyings))


class RecordedMarket:
    """One recorded session. Times of other sessions see what was known then: nothing, or all of it."""

    def __init__(self, recorded: Recorded) -> None:
        self.session = recorded.session
        self._rate = recorded.rate
        self._hours = calendar.session_bounds(recorded.session)
        contracts = number_contracts(recorded)
        self._listed = listing(contracts)
        self._numbers = {listed.contract.con_id: number for number, listed in enumerate(self._listed)}
        self._by_symbol: dict[tuple[SecurityType, str], list[ListedContract]] = {}
        for listed in self._listed:
            key = (listed.contract.security_type, listed.contract.symbol)
            self._by_symbol.setdefault(key, []).append(listed)
        self._trade_rows = self._of_session(numbered(recorded.trades, contracts))
        self._quotes = Tape(self._of_session(numbered(recorded.quotes, contracts)), _QUOTE)
        self._trades = Tape(_so_far(self._trade_rows), _TRADE)
        self._open_interest = Tape(numbered(recorded.open_interest, contracts), ("open_interest",))
        self._daily = _by_session(numbered(recorded.daily, contracts))
        self._previous_close = _last_close(self._daily, len(self._listed))
        self._terms = terms(self._listed, self._hours[1], self._numbers)

    def contract(self, con_id: int) -> ListedContract | None:
        """One recorded contract."""
        number = self._numbers.get(con_id)
        return None if number is None else self._listed[number]

    def find(self, pattern: Contract) -> Sequence[ListedContract]:
        """Contracts that match every field the pattern sets (con_id first), by symbol, expiry and strike."""
        if pattern.con_id:
            listed = self.contract(pattern.con_id)
            return [listed] if listed else []
        near: Iterable[ListedContract] = self._listed
        if pattern.symbol:
            near = self._by_symbol.get((pattern.security_type, pattern.symbol), ())
        return [listed for listed in near if matches(pattern, listed)]

    def option_parameters(self, underlying_con_id: int) -> Sequence[OptionParameters]:
        """The option class of an underlying; empty when none was recorded."""
        options = [
            listed.contract for listed in self._listed if listed.underlying_con_id == underlying_con_id != 0
        ]
        if not options:
            return []
        expiries = tuple(sorted({option.expiry for option in options if option.expiry}))
        strikes = tuple(sorted({option.strike for option in options if option.strike}))
        symbol, multiplier = options[0].symbol, f"{OPTION_MULTIPLIER:g}"
        return [OptionParameters("SMART", underlying_con_id, symbol, multiplier, expiries, strikes)]

    def quotes(self, con_ids: Sequence[int], at: datetime) -> list[MarketQuote]:
        """The last quote of each contract that had ended by `at`, in the order asked."""
        numbers = np.array([self._numbers.get(con_id, -1) for con_id in con_ids], dtype=np.int64)
        known = numbers[numbers >= 0]
        quotes, trades = self._quotes.last(known, at), self._trades.last(known, at)
        open_interest = self._open_interest.last(known, at)["open_interest"]
        columns = (
            _optional(quotes["bid_close"]),
            _optional(quotes["ask_close"]),
            np.nan_to_num(quotes["bid_size"]).tolist(),
            np.nan_to_num(quotes["ask_size"]).tolist(),
            _optional(trades["close"]),
            np.nan_to_num(trades["volume"]).tolist(),
            np.nan_to_num(trades["traded"]).tolist(),
            _optional(trades["first"]),
            _optional(trades["highest"]),
            _optional(trades["lowest"]),
            _optional(self._previous_close[known]),
            self._greeks(known, quotes["bid_close"], quotes["ask_close"], at),
            _optional(open_interest),
        )
        rows = iter([MarketQuote(*row) for row in zip(*columns, strict=True)])
        return [next(rows) if number >= 0 else _NOTHING for number in numbers.tolist()]

    def bars(self, con_id: int, *, what: str, seconds: int, end: datetime, count: int) -> list[Bar]:
        """The last `count` bars of trades that ended by `end`: daily before the session, minutes of it."""
        number = self._numbers.get(con_id)
        if number is None or what != "TRADES" or count <= 0:
            return []
        if seconds >= _DAY_SECONDS:
            rows = self._daily.filter((pl.col("contract") == number) & (pl.col("as_of") <= end))
            midnights = [datetime.combine(day, time(0), UTC) for day in rows["session"].to_list()]
            return _bars(rows.with_columns(start=pl.Series(midnights, dtype=pl.Datetime("us", "UTC"))))[
                -count:
            ]
        return self._intraday(number, seconds, end)[-count:]

    def is_open(self, con_id: int, at: datetime) -> bool:
        """Whether the contract trades at `at`."""
        listed = self.contract(con_id)
        if listed is None:
            return False
        if listed.contract.security_type is SecurityType.FUTURE:
            return calendar.trade_date(at) is not None
        return calendar.tick_at(at) is not None

    def _of_session(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows that began within the session; a future's, before its trade date's close."""
        opened, closed = self._hours
        globex_close = calendar.trade_date_bounds(calendar.trade_date_of(self.session))[1]
        future = pl.col("security_type") == _FUTURE
        cash = (pl.col("started_at") >= opened) & (pl.col("started_at") < closed)
        return rows.filter(pl.when(future).then(pl.col("started_at") < globex_close).otherwise(cash))

    def _intraday(self, number: int, seconds: int, end: datetime) -> list[Bar]:
        """Minutes put together from the open on; a bar is there once all of it has passed."""
        length = f"{max(seconds, _MINUTE_SECONDS)}s"
        opened = self._hours[0]
        offset = pl.duration(seconds=int(opened.timestamp()) % max(seconds, _MINUTE_SECONDS))
        minutes = self._trade_rows.filter((pl.col("contract") == number) & (pl.col("as_of") <= end))
        grouped = (
            minutes.sort("started_at")
            .with_columns(start=(pl.col("started_at") - offset).dt.truncate(length) + offset)
            .group_by("start", maintain_order=True)
            .agg(
                pl.col("open").first(),
                pl.col("high").max(),
                pl.col("low").min(),
                pl.col("close").last(),
                pl.col("volume").sum(),
            )
        )
        over = pl.col("start").dt.offset_by(length) <= end
        return _bars(grouped.filter(over | pl.lit(end >= self._hours[1])))

    def _greeks(self, numbers: Integers, bid: Floats, ask: Floats, at: datetime) -> list[ModelGreeks | None]:
        """Model Greeks from the mid; None without a two-sided quote, an underlying, or time value."""
        spots = self._spots(at)[self._terms.underlying[numbers]]
        years = np.maximum(self._terms.expires[numbers] - at.timestamp(), 0.0) / SECONDS_PER_YEAR
        mid = (bid + ask) / 2
        market: dict[str, ArrayLike] = {
            "spot": spots,
            "strike": self._terms.strike[numbers],
            "years": years,
            "rate": self._rate,
            "dividend_yield": self._terms.dividend_yield[numbers],
            "right": self._terms.right[numbers],
        }
        implied = black_scholes.implied_volatility(price=mid, **market)
        greeks = black_scholes.greeks(volatility=implied.volatility, **market)
        fit = (implied.status == black_scholes.OK).tolist()
        columns = (implied.volatility, mid, greeks.delta, greeks.gamma, greeks.vega, greeks.theta, spots)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [ModelGreeks(*row) if usable else None for row, usable in zip(rows, fit, strict=True)]

    def _spots(self, at: datetime) -> Floats:
        """Price of every contract as an underlying: the mid, else the last trade; one NaN more at the end."""
        everything = np.arange(len(self._listed))
        quotes, trades = self._quotes.last(everything, at), self._trades.last(everything, at)
        mid = (quotes["bid_close"] + quotes["ask_close"]) / 2
        return np.append(np.where(np.isnan(mid), trades["close"], mid), np.nan)


def _so_far(trades: pl.DataFrame) -> pl.DataFrame:
    """Trades with each contract's volume, first, highest and lowest price up to and with the row."""
    return trades.sort("contract", "as_of").with_columns(
        traded=pl.col("volume").cum_sum().over("contract"),
        first=pl.col("open").first().over("contract"),
        highest=pl.col("high").cum_max().over("contract"),
        lowest=pl.col("low").cum_min().over("contract"),
    )


def _by_session(daily: pl.DataFrame) -> pl.DataFrame:
    """One bar a contract and session: a future's Sunday evening joins Monday."""
    return (
        daily.sort("contract", "started_at")
        .group_by("contract", "session", maintain_order=True)
        .agg(
            pl.col("as_of").max(),
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
    )


def _last_close(daily: pl.DataFrame, count: int) -> Floats:
    """Each contract's last daily close, NaN where there is none."""
    closes = np.full(count, np.nan)
    last = daily.group_by("contract", maintain_order=True).agg(pl.col("close").last())
    closes[last["contract"].to_numpy()] = last["close"].to_numpy()
    return closes


def _bars(rows: pl.DataFrame) -> list[Bar]:
    """Bars of rows with start and values; recordings tell no mean price and count no trades."""
    columns = ("start", "open", "high", "low", "close", "volume")
    return [
        Bar(start, first, high, low, close, volume, average=close, count=0)
        for start, first, high, low, close, volume in rows.select(columns).iter_rows()
    ]


def _optional(values: Floats) -> list[float | None]:
    return [None if isnan(value) else value for value in values.tolist()]
