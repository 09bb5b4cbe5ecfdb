"""The synthetic market's contracts: what there is, the con_id of each, and which options a session lists.

A con_id is arithmetic, not a register: it spells out underlying, expiry, strike and right, so it is the
same for every seed, session and listing order, and thousands are decoded by a few numpy operations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import numpy as np
from numpy.typing import NDArray

from trading_pipelines.core.market import calendar
from trading_pipelines.domain.contracts import Contract, Right, SecurityType
from trading_pipelines.simulated_gateway.source import ListedContract

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DAY_ZERO = date(2010, 1, 1)
"""Expiries are counted in days from here; the synthetic history begins with its first session."""


@dataclass(frozen=True, slots=True)
class Underlying:
    """A stock with options, and the future on its index."""

    symbol: str
    con_id: int
    long_name: str
    primary_exchange: str
    dividend_yield: float
    future: str
    future_name: str
    future_multiplier: float
    future_tick: float
    index_ratio: float
    """Points of the future's index per dollar of the stock."""


@dataclass(frozen=True, slots=True)
class VolatilityIndex:
    """An index of the first underlying's implied volatility over a horizon of calendar days."""

    symbol: str
    con_id: int
    long_name: str
    days: int


UNDERLYINGS = (
    Underlying("SPY", 101, "SPDR S&P 500 ETF TRUST", "ARCA", 0.013, "ES", "E-mini S&P 500", 50, 0.25, 10.0),
    Underlying("QQQ", 102, "INVESCO QQQ TRUST", "NASDAQ", 0.006, "NQ", "E-mini NASDAQ 100", 20, 0.25, 41.0),
    Underlying(
        "IWM", 103, "ISHARES RUSSELL 2000 ETF", "ARCA", 0.012, "RTY", "E-mini Russell 2000", 50, 0.1, 10.0
    ),
)
VOLATILITY_INDICES = (
    VolatilityIndex("VIX", 111, "CBOE Volatility Index", 30),
    VolatilityIndex("VIX3M", 112, "CBOE 3-Month Volatility Index", 93),
)
OPTION_MULTIPLIER = 100.0
STOCK_TICK = 0.01
INDEX_TICK = 0.01
LONGEST_BREAK = timedelta(days=7)
"""No market of these stays closed longer."""
OPTION_TICK = 0.01

_OPTIONS, _FUTURES = 1 << 29, 1 << 30
_RIGHT_BITS, _STRIKE_BITS, _DAY_BITS = 1, 12, 14
_MONTH_CODES = "FGHJKMNQUVXZ"
_FUTURES_LISTED = 5
_WEEKLY_DAYS = 63
_MONTHLY_DAYS = 365


@dataclass(frozen=True, slots=True)
class OptionCodes:
    """Options taken apart: `underlying` is the position in UNDERLYINGS, `day` counts from DAY_ZERO."""

    underlying: Integers
    day: Integers
    strike: Floats
    right: Integers
    """+1 call, −1 put."""


def is_option(con_ids: Integers) -> NDArray[np.bool_]:
    """Which con_ids are options."""
    return (con_ids >= _OPTIONS) & (con_ids < _FUTURES)


def is_future(con_ids: Integers) -> NDArray[np.bool_]:
    """Which con_ids are futures."""
    return con_ids >= _FUTURES


def option_con_ids(codes: OptionCodes) -> Integers:
    """The con_ids of options; the inverse of `decode_options`."""
    number = (codes.underlying << _DAY_BITS) | codes.day
    number = (number << _STRIKE_BITS) | np.rint(codes.strike).astype(np.int64)
    return _OPTIONS + ((number << _RIGHT_BITS) | (codes.right < 0))


def decode_options(con_ids: Integers) -> OptionCodes:
    """The parts of option con_ids."""
    number = con_ids - _OPTIONS
    right = 1 - 2 * (number & 1)
    number = number >> _RIGHT_BITS
    strike = (number & ((1 << _STRIKE_BITS) - 1)).astype(np.float64)
    number = number >> _STRIKE_BITS
    return OptionCodes(number >> _DAY_BITS, number & ((1 << _DAY_BITS) - 1), strike, right)


def future_con_id(underlying: int, expiry: date) -> int:
    """The con_id of the future on one underlying's index."""
    return _FUTURES + (underlying << _DAY_BITS) + day_number(expiry)


def decode_future(con_id: int) -> tuple[int, date]:
    """Position in UNDERLYINGS, and expiry, of a future."""
    number = con_id - _FUTURES
    return number >> _DAY_BITS, day_of(number & ((1 << _DAY_BITS) - 1))


def day_number(day: date) -> int:
    """Days from DAY_ZERO."""
    return (day - DAY_ZERO).days


def day_of(number: int) -> date:
    """The day of a day number."""
    return DAY_ZERO + timedelta(days=number)


@cache
def option_expiries(session: date) -> tuple[date, ...]:
    """Expiries listed for a session: Fridays for nine weeks, and standard monthlies for a year.

    Where a Friday is no session, the session before it expires. An expiry stays listed to its own day.
    """
    first = session + timedelta(days=(4 - session.weekday()) % 7)
    fridays = [first + timedelta(days=7 * week) for week in range(_MONTHLY_DAYS // 7 + 1)]
    expiries = {
        calendar.sessions_before(friday + timedelta(days=1), 1)[0]
        for friday in fridays
        if session >= listed_since(friday)
    }
    return tuple(sorted(expiry for expiry in expiries if expiry >= session))


def listed_since(expiry: date) -> date:
    """The day an option expiry was first listed: a year ahead for a standard monthly, else nine weeks."""
    friday = expiry + timedelta(days=(4 - expiry.weekday()) % 7)
    return friday - timedelta(days=_MONTHLY_DAYS if _is_third(friday) else _WEEKLY_DAYS)


@cache
def future_expiries(session: date) -> tuple[date, ...]:
    """The next quarterly expiries of the equity-index futures: third Fridays, or the session before."""
    months = [(session.year + number // 4, 3 * (number % 4) + 3) for number in range(_FUTURES_LISTED + 4)]
    fridays = [_third_friday(year, month) for year, month in months]
    listed = [friday for friday in fridays if friday >= session][:_FUTURES_LISTED]
    return tuple(calendar.sessions_before(friday + timedelta(days=1), 1)[0] for friday in listed)


def _is_third(friday: date) -> bool:
    return 15 <= friday.day <= 21


def _third_friday(year: int, month: int) -> date:
    return date(year, month, 21) - timedelta(days=(date(year, month, 21).weekday() - 4) % 7)


def strikes(low: float, high: float, days_to_expiry: int) -> Floats:
    """Strikes of one expiry, ascending, when the price moved between `low` and `high` since its listing.

    Every point near the price, every fifth and tenth farther out; less of them long before expiry. A
    strike that was listed stays: the range only widens, the steps only get finer.
    """
    near, middle, far = (0.15, 0.30, 0.45) if days_to_expiry <= 100 else (0.0, 0.20, 0.45)
    parts = [
        np.arange(np.ceil(low * (1 - reach) / step), np.floor(high * (1 + reach) / step) + 1) * step
        for reach, step in ((near, 1.0), (middle, 5.0), (far, 10.0))
        if reach
    ]
    return np.unique(np.concatenate(parts))


def occ_symbol(symbol: str, expiry: date, right: Right, strike: float) -> str:
    """An option's own name, as the Options Clearing Corporation spells it."""
    return f"{symbol:<6}{expiry:%y%m%d}{right.value}{round(strike * 1000):08d}"


def future_symbol(root: str, expiry: date) -> str:
    """A future's own name: root, month code, last digit of the year."""
    return f"{root}{_MONTH_CODES[expiry.month - 1]}{expiry.year % 10}"


def option(con_id: int) -> ListedContract:
    """An option as the exchange describes it."""
    codes = decode_options(np.array([con_id], dtype=np.int64))
    underlying = UNDERLYINGS[int(codes.underlying[0])]
    expiry, strike = day_of(int(codes.day[0])), float(codes.strike[0])
    right = Right.CALL if codes.right[0] > 0 else Right.PUT
    return ListedContract(
        contract=Contract(
            con_id=con_id,
            security_type=SecurityType.OPTION,
            symbol=underlying.symbol,
            exchange="SMART",
            local_symbol=occ_symbol(underlying.symbol, expiry, right, strike),
            trading_class=underlying.symbol,
            multiplier=OPTION_MULTIPLIER,
            expiry=expiry,
            strike=strike,
            right=right,
        ),
        long_name=underlying.long_name,
        min_tick=OPTION_TICK,
        primary_exchange="",
        valid_exchanges="SMART,CBOE,AMEX,PHLX,ISE,BOX,BATS",
        underlying_con_id=underlying.con_id,
        time_zone="US/Eastern",
        exercise_style="AMERICAN",
    )


def future(con_id: int) -> ListedContract:
    """A future as the exchange describes it."""
    position, expiry = decode_future(con_id)
    underlying = UNDERLYINGS[position]
    return ListedContract(
        contract=Contract(
            con_id=con_id,
            security_type=SecurityType.FUTURE,
            symbol=underlying.future,
            exchange="CME",
            local_symbol=future_symbol(underlying.future, expiry),
            trading_class=underlying.future,
            multiplier=underlying.future_multiplier,
            expiry=expiry,
        ),
        long_name=underlying.future_name,
        min_tick=underlying.future_tick,
        primary_exchange="",
        valid_exchanges="CME",
        underlying_con_id=0,
        time_zone="US/Central",
    )


@cache
def fixed() -> dict[int, ListedContract]:
    """The stocks and indices, by con_id: they are listed always."""
    stocks: Sequence[ListedContract] = [
        ListedContract(
            contract=Contract(
                con_id=underlying.con_id,
                security_type=SecurityType.STOCK,
                symbol=underlying.symbol,
                exchange="SMART",
                local_symbol=underlying.symbol,
                trading_class=underlying.symbol,
            ),
            long_name=underlying.long_name,
            min_tick=STOCK_TICK,
            primary_exchange=underlying.primary_exchange,
            valid_exchanges="SMART,ARCA,NASDAQ,NYSE,BATS",
            underlying_con_id=0,
            time_zone="US/Eastern",
        )
        for underlying in UNDERLYINGS
    ]
    indices = [
        ListedContract(
            contract=Contract(
                con_id=index.con_id,
                security_type=SecurityType.INDEX,
                symbol=index.symbol,
                exchange="CBOE",
                local_symbol=index.symbol,
                trading_class=index.symbol,
            ),
            long_name=index.long_name,
            min_tick=INDEX_TICK,
            primary_exchange="",
            valid_exchanges="CBOE",
            underlying_con_id=0,
            time_zone="US/Central",
        )
        for index in VOLATILITY_INDICES
    ]
    return {listed.contract.con_id: listed for listed in (*stocks, *indices)}
