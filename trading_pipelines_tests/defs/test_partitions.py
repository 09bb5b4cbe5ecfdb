"""Partition keys are the exchanges' days: their published holidays of 2024, at a clock that stands still."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from trading_pipelines.defs import partitions

NEW_YORK = ZoneInfo("America/New_York")
FIRST, LAST = date(2024, 1, 2), date(2025, 1, 31)

NYSE_HOLIDAYS = (
    "2024-01-01 New Year's Day",
    "2024-01-15 Martin Luther King, Jr. Day",
    "2024-02-19 Washington's Birthday",
    "2024-03-29 Good Friday",
    "2024-05-27 Memorial Day",
    "2024-06-19 Juneteenth",
    "2024-07-04 Independence Day",
    "2024-09-02 Labor Day",
    "2024-11-28 Thanksgiving Day",
    "2024-12-25 Christmas Day",
)
"""nyse.com, Holidays and Trading Hours."""
CME_HOLIDAYS = ("2024-01-01 New Year's Day", "2024-03-29 Good Friday", "2024-12-25 Christmas Day")
"""CME Group holiday calendar: days without any trading in equity-index futures."""

SESSIONS = partitions.nyse_sessions(FIRST, LAST)
TRADE_DATES = partitions.cme_trade_dates(FIRST, LAST)


def weekdays_of_2024(without: tuple[str, ...]) -> list[str]:
    closed = {line.split()[0] for line in without}
    days = (date(2024, 1, 1) + timedelta(days=number) for number in range(366))
    return [day.isoformat() for day in days if day.weekday() < 5 and day.isoformat() not in closed]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def newest_session(text: str) -> str:
    return SESSIONS.get_partition_keys(current_time=at(text))[-1]


def test_sessions_of_2024_are_the_weekdays_less_the_nyse_holidays() -> None:
    assert SESSIONS.get_partition_keys(current_time=at("2024-12-31T23:59")) == weekdays_of_2024(NYSE_HOLIDAYS)


def test_trade_dates_of_2024_are_the_weekdays_less_the_cme_holidays() -> None:
    keys = TRADE_DATES.get_partition_keys(current_time=at("2024-12-31T23:59"))
    assert [key for key in keys if key < "2025"] == weekdays_of_2024(CME_HOLIDAYS)


@pytest.mark.parametrize(
    "session",
    [
        "2024-06-12",
        "2024-07-03",  # a half day
        "2024-03-11",  # the Monday after clocks went forward
        "2024-11-04",  # the Monday after they went back
    ],
)
@pytest.mark.parametrize("time", ["00:01", "09:30", "13:30", "23:59"])
def test_todays_session_has_its_key_all_day(session: str, time: str) -> None:
    assert newest_session(f"{session}T{time}") == session


@pytest.mark.parametrize(
    ("day", "next_session"),
    [
        ("2024-06-15", "2024-06-17"),  # Saturday
        ("2024-06-19", "2024-06-20"),  # Juneteenth
        ("2024-07-04", "2024-07-05"),
        ("2024-03-10", "2024-03-11"),  # Sunday, clocks go forward
        ("2024-11-03", "2024-11-04"),  # Sunday, clocks go back
        ("2024-12-25", "2024-12-26"),
    ],
)
def test_on_a_day_without_trading_the_next_sessions_key_is_there_and_no_other(
    day: str, next_session: str
) -> None:
    keys = SESSIONS.get_partition_keys(current_time=at(f"{day}T12:00"))
    assert keys[-1] == next_session
    assert day not in keys


@pytest.mark.parametrize(
    ("opens", "trade_date"),
    [
        ("2024-06-11T18:00", "2024-06-12"),
        ("2024-06-16T18:00", "2024-06-17"),  # Sunday evening
        ("2024-06-18T18:00", "2024-06-19"),  # CME trades on Juneteenth
        ("2024-03-10T18:00", "2024-03-11"),  # the Sunday clocks went forward
        ("2024-11-03T18:00", "2024-11-04"),  # the Sunday they went back
        ("2024-03-31T18:00", "2024-04-01"),  # after Good Friday
        ("2024-12-25T18:00", "2024-12-26"),
    ],
)
def test_a_trade_date_has_its_key_when_it_opens_the_evening_before(opens: str, trade_date: str) -> None:
    assert trade_date in TRADE_DATES.get_partition_keys(current_time=at(opens))


def test_the_sets_that_are_loaded_begin_where_the_configuration_says_and_hold_today() -> None:
    for loaded in (partitions.NYSE_SESSIONS, partitions.CME_TRADE_DATES):
        keys = loaded.get_partition_keys()
        assert keys[0] >= loaded.start.date().isoformat()
        assert keys[-1] >= datetime.now(NEW_YORK).date().isoformat()
