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


def nyse_sessions(first: date, last: date) -> dg.DailyPartitionsDefinition:
    """One key per NYSE session from `first`, today's included; days without trading are known to `last`.

    On such a day the next session's key is there already (dagster 33551): nothing may be asked for a
    key because it exists, the exchange calendar decides.
    """
    return _days(first, calendar.non_sessions(first, last), end_offset=1)


def cme_trade_dates(first: date, last: date) -> dg.DailyPartitionsDefinition:
    """One key per CME trade date from `first`; the next one opens at 18:00 New York of the day before."""
    return _days(first, calendar.cme_non_trade_dates(first, last), end_offset=2)


_FIRST = settings.first_session()
_LAST = max(date.today(), _FIRST) + HORIZON  # noqa: DTZ011 (a horizon of days needs no zone)

NYSE_SESSIONS = nyse_sessions(_FIRST, _LAST)
CME_TRADE_DATES = cme_trade_dates(_FIRST, _LAST)
