"""What the session came to, and what each position did and is near to."""

import dagster as dg
import polars as pl

from trading_pipelines.core.portfolio import performance as metrics
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
