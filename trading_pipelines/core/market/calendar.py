"""When markets trade: NYSE sessions and their five-minute ticks, CME trade dates, and how they map.

Days and holidays come from `exchange_calendars` (XNYS, CMES). Its CMES is one calendar for every CME
product: a session runs from 18:00 New York of the evening before to 18:00, without the daily break,
and it knows neither the equity-index early closes beside NYSE half days nor Juneteenth. So CMES says
which days are trade dates, and the hours here are those of CME equity-index futures:

- open at 18:00 New York of the calendar day before, Sunday evening for Monday;
- close at 17:00 New York; 13:15 on an NYSE half day; 13:00 on an NYSE holiday that CME trades;
- 17:00 to 18:00 New York, weekends, and the time after an early close belong to no trade date.

Not modelled: a pre-market session of an hour or two on some Good Fridays and days of mourning. A
holiday's hours are a trade date of their own here, while CME books their trades on the next one.
"""

import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from trading_pipelines.domain.errors import DataError

NEW_YORK = ZoneInfo("America/New_York")
FIRST_DAY = date(1998, 1, 1)
"""Daily history reaches back to 1998; the library alone would cover twenty years."""
TICK = timedelta(minutes=5)


@dataclass(frozen=True)
class _Calendar:
    """Trading days with their hours in UTC, ascending; covers FIRST_DAY to its last day."""

    name: str
    days: tuple[date, ...]
    opens: tuple[datetime, ...]
    closes: tuple[datetime, ...]
    positions: Mapping[date, int]

    def require(self, day: date) -> None:
        """DataError when the calendar does not reach `day`."""
        if not FIRST_DAY <= day <= self.days[-1]:
            raise DataError(
                f"the {self.name} calendar covers {FIRST_DAY} to {self.days[-1]}, not {day}",
                "ask for a day in that range, or install a newer exchange-calendars",
            )

    def between(self, first: date, last: date) -> list[date]:
        """Trading days from `first` to `last`, both included."""
        self.require(first)
        self.require(last)
        return list(self.days[bisect_left(self.days, first) : bisect_right(self.days, last)])

    def weekdays_off(self, first: date, last: date) -> list[date]:
        """Weekdays from `first` to `last` without trading."""
        open_days = set(self.between(first, last))
        days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
        return [day for day in days if day.weekday() < 5 and day not in open_days]

    def at(self, at: datetime) -> int | None:
        """Position of the trading day with open ≤ `at` < close; None in between."""
        self.require(at.astimezone(NEW_YORK).date())
        position = bisect_right(self.opens, at) - 1
        return position if position >= 0 and at < self.closes[position] else None

    def neighbours(self, day: date) -> str:
        """The trading days around one that is none, for a message."""
        position = bisect_left(self.days, day)
        return " and ".join(str(near) for near in self.days[max(position - 1, 0) : position + 1])


def _calendar(name: str, days: list[date], opens: list[datetime], closes: list[datetime]) -> _Calendar:
    positions = {day: position for position, day in enumerate(days)}
    return _Calendar(name, tuple(days), tuple(opens), tuple(closes), positions)


@cache
def _nyse() -> _Calendar:
    days, opens, closes = _published("XNYS")
    return _calendar("NYSE", days, opens, closes)


@cache
def _globex() -> _Calendar:
    days, _, _ = _published("CMES")
    opens = [_new_york(day - timedelta(days=1), time(18)) for day in days]
    return _calendar("CME Globex", days, opens, [_new_york(day, _globex_close(day)) for day in days])


def _published(code: str) -> tuple[list[date], list[datetime], list[datetime]]:
    """Sessions, opens and closes (UTC) of one calendar of the library."""
    with warnings.catch_warnings():
        # The library's own use of pandas is deprecated in pandas 4; it is not ours to mend.
        warnings.simplefilter("ignore", DeprecationWarning)
        import exchange_calendars  # a second and a half, with pandas: only who asks pays

        library = exchange_calendars.get_calendar(code, start=FIRST_DAY.isoformat())
        sessions = [day.date() for day in library.sessions]
        opens, closes = (
            [moment.to_pydatetime().astimezone(UTC) for moment in moments]
            for moments in (library.opens, library.closes)
        )
    return sessions, opens, closes


def _globex_close(day: date) -> time:
    """When equity-index futures stop on a trade date, New York time."""
    nyse = _nyse()
    position = nyse.positions.get(day)
    if position is None:
        return time(13)
    return time(13, 15) if nyse.closes[position].astimezone(NEW_YORK).hour < 16 else time(17)


def _new_york(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, NEW_YORK).astimezone(UTC)


def _session_position(session: date) -> int:
    nyse = _nyse()
    nyse.require(session)
    if session not in nyse.positions:
        raise DataError(
            f"{session} is not an NYSE session", f"the sessions around it are {nyse.neighbours(session)}"
        )
    return nyse.positions[session]


def is_session(day: date) -> bool:
    """Whether the NYSE trades on a day; DataError outside the calendar."""
    _nyse().require(day)
    return day in _nyse().positions


def session_bounds(session: date) -> tuple[datetime, datetime]:
    """Open and close of an NYSE session in UTC; DataError when the day is none."""
    position = _session_position(session)
    return _nyse().opens[position], _nyse().closes[position]


def closing_time(day: date) -> datetime:
    """When options that expire on a day stop: the session's close, else 16:00 New York; in UTC.

    A day beyond the calendar (a long-dated expiry) counts as a full session.
    """
    position = _nyse().positions.get(day)
    return _new_york(day, time(16)) if position is None else _nyse().closes[position]


def sessions_between(first: date, last: date) -> list[date]:
    """NYSE sessions from `first` to `last`, both included; DataError outside the calendar."""
    return _nyse().between(first, last)


def sessions_before(session: date, count: int) -> list[date]:
    """The `count` NYSE sessions before a day (itself a session or not), ascending; DataError if fewer."""
    nyse = _nyse()
    nyse.require(session)
    position = bisect_left(nyse.days, session)
    if count > position:
        raise DataError(
            f"the NYSE calendar begins on {nyse.days[0]}: {position} sessions before {session}, not {count}",
            "ask for fewer sessions or a later day",
        )
    return list(nyse.days[position - count : position])


def ticks(session: date) -> list[datetime]:
    """Every tick of an NYSE session in UTC: open + 5k minutes, before the close (78, or 42 on a half day)."""
    opened, closed = session_bounds(session)
    return [opened + number * TICK for number in range(-((opened - closed) // TICK))]


def tick_at(at: datetime) -> tuple[date, datetime] | None:
    """The session and its last tick at or before `at`, while open ≤ at < close; None otherwise."""
    nyse = _nyse()
    position = nyse.at(at)
    if position is None:
        return None
    opened = nyse.opens[position]
    return nyse.days[position], opened + (at - opened) // TICK * TICK


def non_sessions(first: date, last: date) -> list[date]:
    """Weekdays from `first` to `last` that are no NYSE session: what a partition calendar leaves out."""
    return _nyse().weekdays_off(first, last)


def trade_date(at: datetime) -> date | None:
    """The CME trade date at a time; 18:00 New York rolls to the next, None while Globex is closed."""
    globex = _globex()
    position = globex.at(at)
    return None if position is None else globex.days[position]


def trade_date_bounds(trade_date: date) -> tuple[datetime, datetime]:
    """Open (18:00 New York the day before) and close of a CME trade date, UTC; DataError when it is none."""
    position = _trade_date_position(trade_date)
    return _globex().opens[position], _globex().closes[position]


def trade_dates_between(first: date, last: date) -> list[date]:
    """CME trade dates from `first` to `last`, both included; DataError outside the calendar."""
    return _globex().between(first, last)


def cme_non_trade_dates(first: date, last: date) -> list[date]:
    """Weekdays from `first` to `last` that are no CME trade date."""
    return _globex().weekdays_off(first, last)


def trade_date_of(session: date) -> date:
    """The CME trade date an NYSE session lies in: the same day; DataError when it is no session."""
    return _nyse().days[_session_position(session)]


def session_of(trade_date: date) -> date | None:
    """The NYSE session within a CME trade date; None when the NYSE is closed, DataError when it is none."""
    _trade_date_position(trade_date)
    return trade_date if is_session(trade_date) else None


def _trade_date_position(trade_date: date) -> int:
    globex = _globex()
    globex.require(trade_date)
    if trade_date not in globex.positions:
        raise DataError(
            f"{trade_date} is not a CME trade date",
            f"the trade dates around it are {globex.neighbours(trade_date)}",
        )
    return globex.positions[trade_date]
