"""Schedules follow the exchange: holidays, half days, DST, and the 23-hour futures session.

Expected times are the exchanges' published hours, not our calendar's answers.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from trading_pipelines.defs import schedules, ticks

NEW_YORK = ZoneInfo("America/New_York")


SCHEDULES = {schedule.name: schedule for schedule in schedules.SCHEDULES}


def requests(schedule_name: str, first: datetime, last: datetime) -> list[dg.RunRequest]:
    """What a schedule asks for at every five minutes from `first` to `last`."""
    found = []
    at = first
    while at <= last:
        with dg.build_schedule_context(scheduled_execution_time=at) as context:
            answer = SCHEDULES[schedule_name](context)
        if isinstance(answer, dg.RunRequest):
            found.append(answer)
        at += timedelta(minutes=5)
    return found


def day(text: str) -> tuple[datetime, datetime]:
    start = datetime.combine(date.fromisoformat(text), datetime.min.time(), NEW_YORK)
    return start, start + timedelta(hours=23, minutes=55)


def as_of(request: dg.RunRequest) -> datetime:
    return datetime.fromisoformat(request.tags[ticks.AS_OF_TAG])


def test_a_full_session_has_78_ticks_from_open_to_five_minutes_before_the_close():
    found = requests("trading_cycle_schedule", *day("2024-06-12"))
    assert len(found) == 78
    assert as_of(found[0]) == datetime(2024, 6, 12, 13, 30, tzinfo=UTC)
    assert as_of(found[-1]) == datetime(2024, 6, 12, 19, 55, tzinfo=UTC)
    assert {request.partition_key for request in found} == {"2024-06-12"}
    assert len({request.run_key for request in found}) == 78


@pytest.mark.parametrize("half_day", ["2024-07-03", "2015-12-24", "2024-11-29"])
def test_a_half_day_stops_at_13_00(half_day: str):
    found = requests("trading_cycle_schedule", *day(half_day))
    assert len(found) == 42
    assert as_of(found[-1]).astimezone(NEW_YORK).strftime("%H:%M") == "12:55"


@pytest.mark.parametrize("closed", ["2024-07-04", "2024-12-25", "2024-06-15", "2024-06-16", "2025-01-09"])
def test_a_holiday_or_weekend_has_no_tick(closed: str):
    assert requests("trading_cycle_schedule", *day(closed)) == []


@pytest.mark.parametrize(
    ("monday", "utc_open"), [("2024-03-08", 14), ("2024-03-11", 13), ("2024-11-01", 13), ("2024-11-04", 14)]
)
def test_the_open_moves_in_utc_when_new_york_changes_its_clocks(monday: str, utc_open: int):
    found = requests("trading_cycle_schedule", *day(monday))
    assert len(found) == 78
    assert (as_of(found[0]).hour, as_of(found[0]).minute) == (utc_open, 30)


def test_a_late_evaluation_still_names_the_scheduled_tick():
    at = datetime(2024, 6, 12, 10, 2, 17, tzinfo=NEW_YORK)
    (found,) = requests("trading_cycle_schedule", at, at)
    assert as_of(found).astimezone(NEW_YORK).strftime("%H:%M:%S") == "10:00:00"


def test_pre_open_is_asked_once_half_an_hour_before_the_open():
    (found,) = requests("pre_open_schedule", *day("2024-06-12"))
    assert as_of(found).astimezone(NEW_YORK).strftime("%H:%M") == "09:00"
    assert requests("pre_open_schedule", *day("2024-07-04")) == []


@pytest.mark.parametrize(("session", "close"), [("2024-06-12", "16:00"), ("2024-07-03", "13:00")])
def test_end_of_day_is_asked_once_after_the_close_and_carries_it(session: str, close: str):
    (found,) = requests("end_of_day_schedule", *day(session))
    assert as_of(found).astimezone(NEW_YORK).strftime("%H:%M") == close


def test_futures_follow_globex_around_the_clock_and_pause_from_17_to_18():
    # Tuesday to Wednesday of an ordinary week: 23 hours of five minutes.
    first = datetime(2024, 6, 11, 17, 0, tzinfo=NEW_YORK)
    found = requests("futures_snapshots_schedule", first, first + timedelta(hours=24) - timedelta(minutes=5))
    assert len(found) == 23 * 12
    assert as_of(found[0]).astimezone(NEW_YORK).strftime("%d %H:%M") == "11 18:00"
    assert {request.partition_key for request in found} == {"2024-06-12"}


def test_sunday_evening_belongs_to_monday_and_saturday_is_closed():
    sunday = datetime(2024, 6, 16, 18, 5, tzinfo=NEW_YORK)
    (found,) = requests("futures_snapshots_schedule", sunday, sunday)
    assert found.partition_key == "2024-06-17"
    assert requests("futures_snapshots_schedule", *day("2024-06-15")) == []


def test_a_shifted_clock_shifts_the_simulation_alone(monkeypatch: pytest.MonkeyPatch):
    saturday = datetime(2026, 11, 21, 10, 0, tzinfo=NEW_YORK)  # in winter; the session is in summer
    assert requests("trading_cycle_schedule", saturday, saturday) == []
    simulated = datetime(2024, 6, 12, 9, 30, tzinfo=NEW_YORK)
    offset = simulated.timestamp() - saturday.timestamp()
    monkeypatch.setenv("TRADING_PIPELINES_CLOCK_OFFSET_SECONDS", str(int(offset)))
    (found,) = requests("trading_cycle_schedule", saturday, saturday)
    assert as_of(found) == simulated
    assert found.partition_key == "2024-06-12"
