"""When jobs run: exchange calendars decide, cron only asks every five minutes.

In simulated mode the gateway may live in another session than the wall clock: `clock_offset` is
added to the scheduled time, and is zero everywhere else.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from trading_pipelines import settings
from trading_pipelines.core.market import calendar
from trading_pipelines.defs import cycle, ticks
from trading_pipelines.defs.partitions import NEW_YORK

EVERY_FIVE_MINUTES = "*/5 * * * *"
STEP = timedelta(minutes=5)
BEFORE_OPEN = timedelta(minutes=30)
AFTER_CLOSE = timedelta(minutes=15)

Due = Callable[[datetime], tuple[date, datetime] | None]
"""From a time to the partition and `as_of` that are due in its five minutes, or None."""


def trading_cycle_due(at: datetime) -> tuple[date, datetime] | None:
    """The NYSE tick that began within the last five minutes."""
    return calendar.tick_at(at)


def pre_open_due(at: datetime) -> tuple[date, datetime] | None:
    """Half an hour before a session opens."""
    session = at.astimezone(ticks.NEW_YORK_ZONE).date()
    if not calendar.is_session(session):
        return None
    due = calendar.session_bounds(session)[0] - BEFORE_OPEN
    return (session, due) if due <= at < due + STEP else None


def end_of_day_due(at: datetime) -> tuple[date, datetime] | None:
    """A quarter of an hour after the close; rows carry the close."""
    session = at.astimezone(ticks.NEW_YORK_ZONE).date()
    if not calendar.is_session(session):
        return None
    close = calendar.session_bounds(session)[1]
    return (session, close) if close + AFTER_CLOSE <= at < close + AFTER_CLOSE + STEP else None


def futures_due(at: datetime) -> tuple[date, datetime] | None:
    """Every five minutes of the 23-hour Globex session, by CME trade date."""
    trade_date = calendar.trade_date(at)
    if trade_date is None:
        return None
    return trade_date, at.replace(minute=at.minute - at.minute % 5, second=0, microsecond=0)


def _schedule(job: cycle.Job, due: Due) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=job,
        name=f"{job.name}_schedule",
        description=due.__doc__,
        cron_schedule=EVERY_FIVE_MINUTES,
        execution_timezone=NEW_YORK,
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        # In UTC: a sum in New York time would be an hour off where the two clocks differ in DST.
        at = context.scheduled_execution_time.astimezone(UTC) + settings.load().clock_offset
        found = due(at)
        if found is None:
            return dg.SkipReason(
                f"{job.name} is not due at {at.astimezone(ticks.NEW_YORK_ZONE):%Y-%m-%d %H:%M} New York"
            )
        partition, as_of = found
        return dg.RunRequest(
            run_key=f"{job.name} {as_of.isoformat()}",
            partition_key=partition.isoformat(),
            tags=ticks.tags(as_of),
        )

    return schedule


SCHEDULES = (
    _schedule(cycle.TRADING_CYCLE, trading_cycle_due),
    _schedule(cycle.PRE_OPEN, pre_open_due),
    _schedule(cycle.END_OF_DAY, end_of_day_due),
    _schedule(cycle.FUTURES_SNAPSHOTS, futures_due),
)
