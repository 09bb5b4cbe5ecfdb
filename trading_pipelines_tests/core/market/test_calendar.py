"""Answers from the exchanges' published holidays and hours, never from the library under the calendar."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.market import calendar
from trading_pipelines.domain.errors import DataError

NEW_YORK = ZoneInfo("America/New_York")


def new_york(year: int, month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=NEW_YORK).astimezone(UTC)


# ICE/NYSE Group press releases "NYSE Holiday and Early Closings Calendar"; 2012-10-29/30 was Sandy,
# 2018-12-05 and 2025-01-09 days of mourning, 2001-09-11 to -14 the attacks.
PUBLISHED_HOLIDAYS = {
    2001: "01-01 01-15 02-19 04-13 05-28 07-04 09-03 09-11 09-12 09-13 09-14 11-22 12-25",
    2012: "01-02 01-16 02-20 04-06 05-28 07-04 09-03 10-29 10-30 11-22 12-25",
    2015: "01-01 01-19 02-16 04-03 05-25 07-03 09-07 11-26 12-25",
    2018: "01-01 01-15 02-19 03-30 05-28 07-04 09-03 11-22 12-05 12-25",
    2022: "01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 12-26",
    2024: "01-01 01-15 02-19 03-29 05-27 06-19 07-04 09-02 11-28 12-25",
    2025: "01-01 01-09 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25",
}
PUBLISHED_HALF_DAYS = {
    2015: "11-27 12-24",
    2018: "07-03 11-23 12-24",
    2022: "11-25",
    2024: "07-03 11-29 12-24",
    2025: "07-03 11-28 12-24",
}


def dates(year: int, days: str) -> list[date]:
    return [date.fromisoformat(f"{year}-{day}") for day in days.split()]


@pytest.mark.parametrize("year", PUBLISHED_HOLIDAYS)
def test_weekdays_without_a_session_are_the_published_holidays(year: int) -> None:
    holidays = dates(year, PUBLISHED_HOLIDAYS[year])

    assert calendar.non_sessions(date(year, 1, 1), date(year, 12, 31)) == holidays
    assert not any(calendar.is_session(day) for day in holidays)


@pytest.mark.parametrize("year", PUBLISHED_HALF_DAYS)
def test_sessions_that_end_at_one_are_the_published_half_days(year: int) -> None:
    half_days = [
        session
        for session in calendar.sessions_between(date(year, 1, 1), date(year, 12, 31))
        if calendar.session_bounds(session)[1].astimezone(NEW_YORK).hour == 13
    ]

    assert half_days == dates(year, PUBLISHED_HALF_DAYS[year])


@pytest.mark.parametrize(("year", "count"), [(2015, 252), (2023, 250), (2024, 252), (2025, 250)])
def test_a_year_has_the_published_number_of_sessions(year: int, count: int) -> None:
    assert len(calendar.sessions_between(date(year, 1, 1), date(year, 12, 31))) == count


def test_a_session_opens_half_past_nine_and_closes_at_four_in_new_york() -> None:
    assert calendar.session_bounds(date(2024, 6, 12)) == (
        datetime(2024, 6, 12, 13, 30, tzinfo=UTC),
        datetime(2024, 6, 12, 20, 0, tzinfo=UTC),
    )


def test_the_day_before_independence_day_closes_at_one() -> None:
    assert calendar.session_bounds(date(2024, 7, 3))[1] == datetime(2024, 7, 3, 17, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "after", "open_before", "open_after"),
    [
        (date(2024, 3, 8), date(2024, 3, 11), 14, 13),
        (date(2024, 11, 1), date(2024, 11, 4), 13, 14),
    ],
)
def test_the_open_moves_in_utc_when_new_york_changes_its_clocks(
    before: date, after: date, open_before: int, open_after: int
) -> None:
    assert calendar.session_bounds(before)[0].hour == open_before
    assert calendar.session_bounds(after)[0].hour == open_after


@pytest.mark.parametrize(
    ("day", "closing"),
    [
        (date(2024, 6, 21), new_york(2024, 6, 21, 16)),
        (date(2024, 11, 29), new_york(2024, 11, 29, 13)),
        (date(2014, 1, 18), new_york(2014, 1, 18, 16)),  # monthlies expired on Saturdays until 2015
        (date(2090, 1, 20), new_york(2090, 1, 20, 16)),
    ],
)
def test_options_expire_with_the_session_or_at_four(day: date, closing: datetime) -> None:
    assert calendar.closing_time(day) == closing


def test_a_holiday_is_refused_with_the_sessions_around_it() -> None:
    with pytest.raises(DataError, match=r"2024-07-04 is not an NYSE session.*2024-07-03 and 2024-07-05"):
        calendar.session_bounds(date(2024, 7, 4))


@pytest.mark.parametrize("day", [date(1997, 12, 31), date(2100, 1, 4)])
def test_a_day_beyond_the_calendar_is_refused_with_the_range_it_covers(day: date) -> None:
    for question in (
        calendar.is_session,
        calendar.session_bounds,
        calendar.session_of,
        calendar.trade_date_of,
    ):
        with pytest.raises(DataError, match=f"covers 1998-01-01 to 20.*not {day}"):
            question(day)
    with pytest.raises(DataError, match="covers 1998-01-01"):
        calendar.tick_at(datetime(day.year, day.month, day.day, 15, tzinfo=UTC))


def test_sessions_before_a_day_are_ascending_and_leave_it_out() -> None:
    assert calendar.sessions_before(date(2024, 7, 8), 3) == dates(2024, "07-02 07-03 07-05")
    assert calendar.sessions_before(date(2024, 7, 7), 2) == dates(2024, "07-03 07-05")
    assert calendar.sessions_before(date(2024, 7, 8), 0) == []


def test_more_sessions_than_the_calendar_has_are_refused() -> None:
    with pytest.raises(DataError, match="begins on 1998-01-02"):
        calendar.sessions_before(date(1998, 1, 6), 3)


def test_daily_history_of_1998_is_covered() -> None:
    assert calendar.sessions_between(date(1998, 1, 1), date(1998, 1, 6)) == dates(1998, "01-02 01-05 01-06")


def test_a_full_session_has_78_ticks_and_a_half_day_42() -> None:
    full, half = calendar.ticks(date(2024, 6, 12)), calendar.ticks(date(2015, 12, 24))

    assert (len(full), full[0], full[-1]) == (78, new_york(2024, 6, 12, 9, 30), new_york(2024, 6, 12, 15, 55))
    assert (len(half), half[-1]) == (42, new_york(2015, 12, 24, 12, 55))


@pytest.mark.parametrize(
    ("at", "tick"),
    [
        (new_york(2024, 6, 12, 9, 29), None),
        (new_york(2024, 6, 12, 9, 30), new_york(2024, 6, 12, 9, 30)),
        (new_york(2024, 6, 12, 9, 34), new_york(2024, 6, 12, 9, 30)),
        (new_york(2024, 6, 12, 15, 59), new_york(2024, 6, 12, 15, 55)),
        (new_york(2024, 6, 12, 16, 0), None),
        (new_york(2024, 7, 3, 12, 59), new_york(2024, 7, 3, 12, 55)),
        (new_york(2024, 7, 3, 13, 0), None),
        (new_york(2024, 7, 4, 11, 0), None),
        (new_york(2024, 6, 15, 11, 0), None),
    ],
)
def test_a_time_belongs_to_the_last_tick_of_an_open_session(at: datetime, tick: datetime | None) -> None:
    assert calendar.tick_at(at) == (None if tick is None else (tick.astimezone(NEW_YORK).date(), tick))


@given(st.timedeltas(timedelta(0), timedelta(days=1000)))
def test_a_tick_never_lies_in_the_future_nor_more_than_five_minutes_back(age: timedelta) -> None:
    at = datetime(2023, 1, 1, tzinfo=UTC) + age
    found = calendar.tick_at(at)
    if found is not None:
        session, tick = found
        assert tick <= at < tick + timedelta(minutes=5)
        assert tick in calendar.ticks(session)


# CME Group, "Globex equity index futures: 17:00 Chicago to 16:00 Chicago, Sunday to Friday", and its
# holiday schedules of 2023 and 2024.
@pytest.mark.parametrize(
    ("at", "day"),
    [
        (new_york(2024, 6, 12, 10), date(2024, 6, 12)),
        (new_york(2024, 6, 12, 16, 59), date(2024, 6, 12)),
        (new_york(2024, 6, 12, 17, 0), None),
        (new_york(2024, 6, 12, 17, 59), None),
        (new_york(2024, 6, 12, 18, 0), date(2024, 6, 13)),
        (new_york(2024, 6, 14, 18, 0), None),  # Friday evening
        (new_york(2024, 6, 16, 17, 59), None),
        (new_york(2024, 6, 16, 18, 0), date(2024, 6, 17)),  # Sunday evening is Monday's
        (new_york(2024, 3, 10, 18, 0), date(2024, 3, 11)),  # the Sundays the clocks change
        (new_york(2024, 11, 3, 18, 0), date(2024, 11, 4)),
        (new_york(2024, 7, 4, 12, 59), date(2024, 7, 4)),
        (new_york(2024, 7, 4, 13, 0), None),
        (new_york(2024, 7, 4, 18, 0), date(2024, 7, 5)),
        (new_york(2024, 7, 3, 13, 14), date(2024, 7, 3)),
        (new_york(2024, 7, 3, 13, 15), None),
        (new_york(2024, 6, 19, 13, 0), None),  # Juneteenth
        (new_york(2024, 3, 29, 10), None),  # Good Friday
        (new_york(2023, 12, 25, 10), None),
        (new_york(2023, 12, 25, 18, 0), date(2023, 12, 26)),
    ],
)
def test_a_time_belongs_to_the_trade_date_of_cme_hours(at: datetime, day: date | None) -> None:
    assert calendar.trade_date(at) == day


def test_cme_rests_on_three_holidays_and_trades_on_the_others() -> None:
    # New Year, Good Friday, Christmas; the NYSE rests on seven more days of 2024.
    assert calendar.cme_non_trade_dates(date(2024, 1, 1), date(2024, 12, 31)) == dates(
        2024, "01-01 03-29 12-25"
    )
    assert len(calendar.trade_dates_between(date(2024, 1, 1), date(2024, 12, 31))) == 252 + 7


def test_sessions_and_trade_dates_map_onto_each_other() -> None:
    assert calendar.trade_date_of(date(2024, 6, 12)) == date(2024, 6, 12)
    assert calendar.session_of(date(2024, 6, 12)) == date(2024, 6, 12)
    assert calendar.session_of(date(2024, 7, 4)) is None


def test_a_day_without_trading_has_no_mapping() -> None:
    with pytest.raises(DataError, match=r"2024-07-04 is not an NYSE session"):
        calendar.trade_date_of(date(2024, 7, 4))
    with pytest.raises(DataError, match=r"2024-03-29 is not a CME trade date.*2024-03-28 and 2024-04-01"):
        calendar.session_of(date(2024, 3, 29))


def test_every_session_lies_within_the_hours_of_its_trade_date() -> None:
    for session in calendar.sessions_between(date(2014, 1, 1), date(2025, 12, 31)):
        opened, closed = calendar.session_bounds(session)
        globex_opened, globex_closed = calendar.trade_date_bounds(calendar.trade_date_of(session))
        assert globex_opened < opened < closed <= globex_closed
