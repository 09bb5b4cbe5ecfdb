"""The two partition sets: NYSE sessions, and CME trade dates for the 23-hour futures session.

Dagster needs them while definitions load, so this is the one place that asks the configuration
then: for the first session (docs/decisions/0001).
"""

from datetime import date, datetime, timedelta

import dagster as dg

from trading_pipelines import settings
from trading_pipelines.core.market import calendar

NEW_YORK = "America/New_York"
WEEKENDS = ["0 0 * * 6", "0 0 * * 0"]
HORIZON = timedelta(days=14)
"""Exclusions reach this far beyond today; a running code location is reloaded more often."""


def _days(first: date, exclusions: list[date], end_offset: int) -> dg.DailyPartitionsDefinition:
    return dg.DailyPartitionsDefinition(
        start_date=datetime.combine(first, datetime.min.time()),
        timezone=NEW_YORK,
        exclusions=[*(datetime.combine(day, datetime.min.time()) for day in exclusions), *WEEKENDS],
        end_offset=end_offset,
    )


_FIRST = settings.first_session()
_LAST = max(date.today(), _FIRST) + HORIZON  # noqa: DTZ011 (a horizon of days needs no zone)

NYSE_SESSIONS = _days(_FIRST, calendar.non_sessions(_FIRST, _LAST), end_offset=1)
"""One key per NYSE session, today's included."""

CME_TRADE_DATES = _days(_FIRST, calendar.cme_non_trade_dates(_FIRST, _LAST), end_offset=2)
"""One key per CME trade date; the next one opens at 18:00 New York of the day before."""
