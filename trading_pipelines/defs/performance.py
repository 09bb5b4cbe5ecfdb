"""What the session came to, and what each position did and is near to."""

import dagster as dg
import polars as pl

from trading_pipelines.core.portfolio import performance as metrics
from trading_pipelines.core.portfolio import report as reports
from trading_pipelines.defs.alerts import tell
from trading_pipelines.defs.lake_assets import lake_asset
from trading_pipelines.defs.resources import Desk
from trading_pipelines.defs.ticks import tick_of
from trading_pipelines.domain import tables


@lake_asset(
    tables.PERFORMANCE,
    strategies=tables.STRATEGIES,
    underlyings=tables.UNDERLYINGS,
    session_inputs={
        "account": tables.ACCOUNT,
        "orders": tables.ORDERS,
        "fills": tables.FILLS,
        "decisions": tables.DECISIONS,
    },
)
def session(
    context: dg.AssetExecutionContext,
    desk: Desk,
    strategies: pl.DataFrame,
    underlyings: pl.DataFrame,
    account: pl.DataFrame,
    orders: pl.DataFrame,
    fills: pl.DataFrame,
    decisions: pl.DataFrame,
) -> pl.DataFrame:
    """The session so far: profit and loss, risk, and what was decided, sent and filled."""
    tick = tick_of(context)
    now = account.filter(pl.col("as_of") == tick.as_of)
    at_open = account.filter(pl.col("as_of") == pl.col("as_of").min())
    return metrics.session_performance(
        now, at_open, strategies, underlyings, orders, fills, decisions, tick.session, tick.as_of
    )


@lake_asset(
    tables.REPORT,
    session_inputs={
        "strategies": tables.STRATEGIES,
        "option_statistics": tables.OPTION_STATISTICS,
        "evaluations": tables.EVALUATIONS,
    },
)
def report(
    context: dg.AssetExecutionContext,
    desk: Desk,
    strategies: pl.DataFrame,
    option_statistics: pl.DataFrame,
    evaluations: pl.DataFrame,
) -> pl.DataFrame:
    """What each position did in the session, by Greek, and the next rule to fire; told to a person."""
    tick = tick_of(context)
    rows = reports.session_report(strategies, option_statistics, evaluations)
    tell(context, desk, f"End of day {tick.session}", reports.end_of_day_text(rows, tick.session))
    return rows.with_columns(session=pl.lit(tick.session), as_of=pl.lit(tick.as_of).cast(tables.UTC_TIME))
