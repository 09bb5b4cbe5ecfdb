"""Daily bars from an IB gateway."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

import ib_async as ib
import polars as pl
from ib_async.wrapper import RequestError

from trading_pipelines.adapters import ib_contracts
from trading_pipelines.adapters.ib_session import IBSession
from trading_pipelines.core.market import calendar
from trading_pipelines.domain.contracts import Contract
from trading_pipelines.domain.errors import DataError, PacingViolation
from trading_pipelines.domain.tables import BARS

WHAT_TO_SHOW: Final = {"trades": "TRADES", "implied_volatility": "OPTION_IMPLIED_VOLATILITY"}
NO_HISTORY: Final = (162, 200)
"""162 carries both "no data" and "pacing violation"; 200 is an unknown contract."""
LONGEST_IN_DAYS: Final = 365
"""IB wants longer durations in years."""
FEWEST_SESSIONS_A_YEAR: Final = 250


class IBHistory:
    """ports.History over one session."""

    def __init__(self, session: IBSession) -> None:
        self._session = session

    def daily_bars(self, contract: Contract, *, what: str, sessions: int, before: date) -> pl.DataFrame:
        """BARS rows, ascending: the last `sessions` NYSE sessions before `before`; empty without history.

        Stamped with the session's open and close. Days that are no NYSE session (CME trades on some
        holidays) are left out. DataError for another `what`, PacingViolation when IB refused the rate.
        """
        if what not in WHAT_TO_SHOW:
            raise DataError(f"no daily bars of {what!r}", f"ask for one of {', '.join(WHAT_TO_SHOW)}")
        # A bar of the day before ends before this midnight, today's does not.
        end = datetime.combine(before, datetime.min.time(), calendar.NEW_YORK).astimezone(UTC)

        async def bars() -> list[ib.BarData]:
            try:
                return list(
                    await self._session.ib.reqHistoricalDataAsync(
                        ib_contracts.to_ib(contract),
                        end,
                        _duration(sessions),
                        "1 day",
                        WHAT_TO_SHOW[what],
                        useRTH=True,
                        formatDate=1,
                        timeout=self._session.parameters.request_timeout_seconds,
                    )
                )
            except RequestError as error:
                if error.code in NO_HISTORY and "pacing" not in error.message.lower():
                    return []
                if error.code in NO_HISTORY:
                    raise PacingViolation(
                        f"IB refused the pace of history: {error.message}", "wait"
                    ) from error
                raise

        received = self._session.call(bars)
        return _frame(received, contract, what, before).tail(sessions)


def _duration(sessions: int) -> str:
    """IB's duration that holds at least this many sessions."""
    if sessions <= LONGEST_IN_DAYS:
        return f"{sessions} D"
    return f"{-(-sessions // FEWEST_SESSIONS_A_YEAR)} Y"


def _frame(bars: list[ib.BarData], contract: Contract, what: str, before: date) -> pl.DataFrame:
    days = [bar.date.date() if isinstance(bar.date, datetime) else bar.date for bar in bars]
    if not days:
        return BARS.schema.to_frame()
    sessions = calendar.sessions_between(min(days), before - timedelta(days=1))
    bounds = [calendar.session_bounds(day) for day in sessions]
    times = pl.DataFrame(
        {
            "session": sessions,
            "started_at": [opened for opened, _ in bounds],
            "as_of": [closed for _, closed in bounds],
        },
        schema={name: BARS.schema[name] for name in ("session", "started_at", "as_of")},
    )
    prices = pl.DataFrame(
        {
            "session": days,
            "open": [bar.open for bar in bars],
            "high": [bar.high for bar in bars],
            "low": [bar.low for bar in bars],
            "close": [bar.close for bar in bars],
            "volume": [bar.volume for bar in bars],
        },
        schema={name: BARS.schema[name] for name in ("session", "open", "high", "low", "close", "volume")},
    )
    return (
        prices.join(times, on="session", how="inner")
        .unique("session", keep="last")
        .sort("session")
        .with_columns(
            # Indices and volatilities have no volume; IB says −1.
            pl.when(pl.col("volume") >= 0).then(pl.col("volume")).alias("volume"),
            pl.lit("daily").alias("resolution"),
            pl.lit(what).alias("what"),
            pl.lit(contract.security_type.value).alias("security_type"),
            pl.lit(contract.symbol).alias("symbol"),
            pl.lit(contract.expiry, dtype=pl.Date).alias("expiry"),
            pl.lit(contract.strike, dtype=pl.Float64).alias("strike"),
            pl.lit(contract.right.value if contract.right else None, dtype=pl.String).alias("right"),
            pl.lit("ib").alias("source"),
        )
        .select(BARS.schema.names())
    )
