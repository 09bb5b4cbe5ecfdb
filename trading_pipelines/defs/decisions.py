"""Rule evaluations and the decisions made of them, with everything they were made from."""

import json
from datetime import timedelta

import dagster as dg
import polars as pl

from trading_pipelines.core.content import content_hash
from trading_pipelines.core.market import calendar, quality
from trading_pipelines.core.rules import catastrophe, engine
from trading_pipelines.core.rules import decisions as deciding
from trading_pipelines.core.strategies import strikes
from trading_pipelines.defs.lake_assets import lake_asset
from trading_pipelines.defs.resources import Desk
from trading_pipelines.defs.ticks import Tick, tick_of
from trading_pipelines.domain import tables
from trading_pipelines.domain.tables import Table


@lake_asset(
    tables.EVALUATIONS,
    deps=[tables.OPTION_STATISTICS],
    strategies=tables.STRATEGIES,
    regime=tables.MARKET_REGIME,
    options=tables.OPTIONS,
    reconciliation=tables.RECONCILIATION,
    session_inputs={"underlyings": tables.UNDERLYINGS},
)
def evaluations(
    context: dg.AssetExecutionContext,
    desk: Desk,
    strategies: pl.DataFrame,
    regime: pl.DataFrame,
    options: pl.DataFrame,
    reconciliation: pl.DataFrame,
    underlyings: pl.DataFrame,
) -> pl.DataFrame:
    """Every exit rule of every position and every entry rule of every underlying, fired or not."""
    tick, parameters = tick_of(context), desk.parameters
    market = catastrophe.market(underlyings, _recent_statistics(desk, tick), tick.as_of, parameters)
    unresolved = {order.intent.underlying for order in desk.journal.orders(unresolved=True)}
    exits = engine.evaluate_exits(strategies, market, parameters, tick.as_of)
    entries = engine.evaluate_entries(
        regime,
        quality.option_quality(options, tick.as_of, parameters.quality),
        strategies,
        parameters,
        tick.session,
        tick.as_of,
        reconciliation=reconciliation,
        unresolved=unresolved,
    )
    return pl.concat([exits, entries])


@lake_asset(
    tables.DECISIONS,
    evaluations=tables.EVALUATIONS,
    strategies=tables.STRATEGIES,
    regime=tables.MARKET_REGIME,
    options=tables.OPTIONS,
    option_greeks=tables.OPTION_GREEKS,
    account=tables.ACCOUNT,
    underlyings=tables.UNDERLYINGS,
    option_statistics=tables.OPTION_STATISTICS,
)
def decisions(
    context: dg.AssetExecutionContext,
    desk: Desk,
    evaluations: pl.DataFrame,
    strategies: pl.DataFrame,
    regime: pl.DataFrame,
    options: pl.DataFrame,
    option_greeks: pl.DataFrame,
    account: pl.DataFrame,
    underlyings: pl.DataFrame,
    option_statistics: pl.DataFrame,
) -> pl.DataFrame:
    """The first rule that fires wins, for each position and each underlying; otherwise hold, or no entry."""
    tick, parameters = tick_of(context), desk.parameters
    market = catastrophe.market(underlyings, option_statistics, tick.as_of, parameters)
    chain = strikes.chain(options, option_greeks)
    proposals = engine.propose(evaluations, strategies, chain, tick.session, parameters)
    decided = deciding.decide(
        evaluations,
        strategies,
        proposals,
        regime,
        market,
        account.item(0, "net_liquidation") if account.height else None,
        parameters,
        tick.session,
        tick.as_of,
    )
    read = {
        tables.EVALUATIONS: evaluations,
        tables.STRATEGIES: strategies,
        tables.MARKET_REGIME: regime,
        tables.OPTIONS: options,
        tables.OPTION_GREEKS: option_greeks,
        tables.ACCOUNT: account,
        tables.UNDERLYINGS: underlyings,
        tables.OPTION_STATISTICS: option_statistics,
    }
    return decided.with_columns(
        inputs=pl.lit(_inputs(desk, tick, read)), config_hash=pl.lit(desk.settings.config_hash)
    )


def _recent_statistics(desk: Desk, tick: Tick) -> pl.DataFrame:
    """Option statistics of this session so far, and of the one before for its close."""
    before = calendar.sessions_before(tick.session, 1)[0]
    recent = desk.lake.read(tables.OPTION_STATISTICS, session=(before, tick.session + timedelta(days=1)))
    return recent.filter(pl.col("as_of") <= tick.as_of)


def _inputs(desk: Desk, tick: Tick, read: dict[Table, pl.DataFrame]) -> str:
    """For every slice that was read: session, tick, Delta version and content hash, as JSON."""
    return json.dumps(
        {
            "/".join(table.path): {
                "session": tick.session.isoformat(),
                "as_of": tick.as_of.isoformat(),
                "version": desk.lake.version(table),
                "content_hash": content_hash(frame, table.key),
            }
            for table, frame in read.items()
        },
        sort_keys=True,
    )
