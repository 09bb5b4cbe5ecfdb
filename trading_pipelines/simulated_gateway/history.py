"""Historical bars: IB's durations, bar sizes and end times, in terms of what the market source counts."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trading_pipelines.core.market.calendar import NEW_YORK
from trading_pipelines.domain.errors import SchemaMismatch
from trading_pipelines.simulated_gateway.requests import HistoryRequest
from trading_pipelines.simulated_gateway.source import Bar, MarketSource

DAY_SECONDS = 86_400
_UNITS = {"secs": 1, "sec": 1, "mins": 60, "min": 60, "hours": 3600, "hour": 3600}
_SESSIONS = {"D": 1, "W": 5, "M": 21, "Y": 252}
_END = re.compile(r"(\d{8})([ -])(\d\d:\d\d:\d\d)(?: (\S+))?")
_SHOWN = {
    "TRADES",
    "MIDPOINT",
    "BID",
    "ASK",
    "OPTION_IMPLIED_VOLATILITY",
    "HISTORICAL_VOLATILITY",
}


def bar_seconds(size: str) -> int:
    """Seconds of an IB bar size such as `5 mins`; SchemaMismatch for another."""
    number, _, unit = size.strip().partition(" ")
    if unit == "day" and number == "1":
        return DAY_SECONDS
    if unit not in _UNITS or not number.isdigit() or not 0 < int(number) * _UNITS[unit] < DAY_SECONDS:
        raise SchemaMismatch(f"Historical data bar size setting is invalid: {size}")
    return int(number) * _UNITS[unit]


def end_time(text: str, now: datetime) -> datetime:
    """When the last bar may end: `20240612 16:00:00 US/Eastern`, UTC with a dash, or nothing for now."""
    if not text:
        return now
    match = _END.fullmatch(text)
    if match is None:
        raise SchemaMismatch(f"Invalid end date and time: {text}")
    day, dash, clock, zone = match.groups()
    try:
        known = UTC if dash == "-" else ZoneInfo(zone) if zone else NEW_YORK
        return datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S").replace(tzinfo=known).astimezone(UTC)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise SchemaMismatch(f"Invalid end date and time: {text}") from error


def history(source: MarketSource, con_id: int, request: HistoryRequest, now: datetime) -> list[Bar]:
    """The bars a request asks for, ascending; empty when there are none. SchemaMismatch says what is wrong.

    A duration in days, weeks, months or years counts sessions (1, 5, 21 and 252 of them).
    """
    if request.what not in _SHOWN:
        raise SchemaMismatch(f"{request.what} is not simulated")
    seconds, end = bar_seconds(request.bar_size), min(end_time(request.end, now), now)
    number, _, unit = request.duration.strip().partition(" ")
    if not number.isdigit() or unit not in {"S", *_SESSIONS}:
        raise SchemaMismatch(f"Invalid duration: {request.duration}")
    if unit == "S":
        count = max(1, int(number) // seconds)
        return source.bars(con_id, what=request.what, seconds=seconds, end=end, count=count)
    sessions = int(number) * _SESSIONS[unit]
    if seconds == DAY_SECONDS:
        return source.bars(con_id, what=request.what, seconds=seconds, end=end, count=sessions)
    per_day = -(-DAY_SECONDS // seconds)
    bars = source.bars(con_id, what=request.what, seconds=seconds, end=end, count=sessions * per_day)
    days = sorted({bar.start.astimezone(NEW_YORK).date() for bar in bars})[-sessions:]
    return [bar for bar in bars if bar.start.astimezone(NEW_YORK).date() in days]
