"""Statistics derived from snapshots and history."""

import dagster as dg
import polars as pl

from trading_pipelines.core.statistics import futures as futures_statistics
from trading_pipelines.core.statistics import options as option_statistics_of
from trading_pipelines.core.statistics import regime
from trading_pipelines.core.statistics import session as session_statistics_of
from trading_pipelines.defs.lake_assets import lake_asset
from trading_pipelines.defs.resources import Desk
from trading_pipelines.defs.ticks import tick_of
from trading_pipelines.domain import tables
from trading_pipelines.workflows import history


@lake_asset(tables.OPTION_GREEKS, options=tables.OPTIONS)
def option_greeks(context: dg.AssetExecutionContext, desk: Desk, options: pl.DataFrame) -> pl.DataFrame:
    """Implied volatility and Greeks of every quoted option at one tick, from its mid."""
    as_of = tick_of(context).as_of
    return option_statistics_of.greeks(options, as_of, desk.parameters.pricing)


@lake_asset(
    tables.OPTION_STATISTICS, deps=[tables.BARS], options=tables.OPTIONS, option_greeks=tables.OPTION_GREEKS
)
def option_statistics(
    context: dg.AssetExecutionContext, desk: Desk, options: pl.DataFrame, option_greeks: pl.DataFrame
) -> pl.DataFrame:
    """Implied-volatility level, rank, skew and term slope per underlying at one tick."""
    before = desk.daily_bars_before(tick_of(context).session, history.IMPLIED_VOLATILITY)
    return option_statistics_of.statistics(options, option_greeks, before, desk.parameters.statistics)


@lake_asset(
    tables.FUTURES_CORRELATIONS, deps=[tables.BARS], futures=tables.FUTURES, underlyings=tables.UNDERLYINGS
)
def futures_correlations(
    context: dg.AssetExecutionContext, desk: Desk, futures: pl.DataFrame, underlyings: pl.DataFrame
) -> pl.DataFrame:
    """Correlation and beta of each underlying with each index future."""
    tick, parameters = tick_of(context), desk.parameters
    before = desk.daily_bars_before(tick.session, history.TRADES)
    return futures_statistics.correlations(
        futures, underlyings, before, parameters.universe, parameters.statistics, tick.session, tick.as_of
    )


@lake_asset(
    tables.MARKET_REGIME,
    deps=[tables.BARS],
    underlyings=tables.UNDERLYINGS,
    option_statistics=tables.OPTION_STATISTICS,
    correlations=tables.FUTURES_CORRELATIONS,
)
def market_regime(
    context: dg.AssetExecutionContext,
    desk: Desk,
    underlyings: pl.DataFrame,
    option_statistics: pl.DataFrame,
    correlations: pl.DataFrame,
) -> pl.DataFrame:
    """Outlook and volatility regime per underlying, with the evidence."""
    tick, parameters = tick_of(context), desk.parameters
    before = desk.daily_bars_before(tick.session, history.TRADES)
    return regime.market_regime(
        underlyings,
        option_statistics,
        correlations,
        before,
        parameters.universe,
        parameters.regime,
        tick.session,
        tick.as_of,
    )


@lake_asset(
    tables.SESSION_STATISTICS,
    session_inputs={"underlyings": tables.UNDERLYINGS, "option_statistics": tables.OPTION_STATISTICS},
)
def session_statistics(
    context: dg.AssetExecutionContext, desk: Desk, underlyings: pl.DataFrame, option_statistics: pl.DataFrame
) -> pl.DataFrame:
    """The whole session per underlying: range, volatility, IV30, completeness of its snapshots."""
    tick = tick_of(context)
    return session_statistics_of.session_statistics(underlyings, option_statistics, tick.session, tick.as_of)
