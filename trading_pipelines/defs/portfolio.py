"""What we hold, what it is worth, and whether the broker agrees."""

import dagster as dg
import polars as pl

from trading_pipelines.core.market import calendar, quality
from trading_pipelines.core.portfolio import reconciliation as books
from trading_pipelines.core.portfolio import report, valuation
from trading_pipelines.core.rules import catastrophe, engine
from trading_pipelines.defs.alerts import tell
from trading_pipelines.defs.lake_assets import fit_check, lake_asset
from trading_pipelines.defs.resources import Desk
from trading_pipelines.defs.ticks import Tick, tick_of
from trading_pipelines.domain import tables
from trading_pipelines.workflows import synchronise


@lake_asset(
    tables.POSITIONS,
    options=tables.OPTIONS,
    underlyings=tables.UNDERLYINGS,
    futures=tables.FUTURES,
)
def positions(
    context: dg.AssetExecutionContext,
    desk: Desk,
    options: pl.DataFrame,
    underlyings: pl.DataFrame,
    futures: pl.DataFrame,
) -> pl.DataFrame:
    """The broker's positions, marked; first the journal hears what became of its orders."""
    tick = tick_of(context)
    synchronise.synchronise(broker=desk.broker, journal=desk.journal, clock=desk.clock)
    return valuation.mark(
        desk.broker.positions(),
        desk.journal.positions(),
        options,
        underlyings,
        futures,
        tick.session,
        tick.as_of,
    )


@lake_asset(
    tables.STRATEGIES, deps=[tables.POSITIONS], options=tables.OPTIONS, option_greeks=tables.OPTION_GREEKS
)
def strategies(
    context: dg.AssetExecutionContext, desk: Desk, options: pl.DataFrame, option_greeks: pl.DataFrame
) -> pl.DataFrame:
    """Our strategy positions, valued; their peaks are remembered in the journal."""
    tick, journal = tick_of(context), desk.journal
    valued = valuation.value(
        journal.positions(), options, option_greeks, tick.session, tick.as_of, desk.parameters.quality
    )
    synchronise.remember_peaks(journal, valued, tick.as_of)
    return valued


@lake_asset(tables.RECONCILIATION, deps=[tables.POSITIONS])
def reconciliation(context: dg.AssetExecutionContext, desk: Desk) -> pl.DataFrame:
    """Our books against the broker's positions."""
    tick = tick_of(context)
    return books.reconcile(desk.broker.positions(), desk.journal.positions(), tick.session, tick.as_of)


@fit_check(tables.RECONCILIATION)
def books_agree(tick: Tick, desk: Desk, frame: pl.DataFrame) -> list[str]:
    """What we expect to hold, the broker reports.

    Positions that we never opened only freeze their symbol (a pre-trade check sees to it); a position
    of ours that is missing or of another size stops everything.
    """
    return [
        f"{row['local_symbol'] or row['symbol']}: we expect {row['expected']:g}, the broker reports "
        f"{row['actual']:g} ({row['kind']})"
        for row in frame.filter(~pl.col("kind").is_in(["match", "external"])).iter_rows(named=True)
    ]


@lake_asset(tables.PLAN, deps=[tables.RECONCILIATION])
def plan(context: dg.AssetExecutionContext, desk: Desk) -> pl.DataFrame:
    """Before the open, by what was last known: the rule each position is nearest to, and allowed entries."""
    tick, parameters = tick_of(context), desk.parameters
    options, greeks, regime = (
        _last_known(desk, tick, table)
        for table in (tables.OPTIONS, tables.OPTION_GREEKS, tables.MARKET_REGIME)
    )
    known_at = options["as_of"].max() or tick.as_of  # quotes are judged by the time they were taken
    valued = valuation.value(
        desk.journal.positions(), options, greeks, tick.session, known_at, parameters.quality
    )
    exits = engine.evaluate_exits(
        valued, pl.DataFrame(schema=catastrophe.MARKET_COLUMNS), parameters, known_at
    )
    entries = engine.evaluate_entries(
        regime,
        quality.option_quality(options, known_at, parameters.quality),
        valued,
        parameters,
        tick.session,
        tick.as_of,
        reconciliation=desk.lake.read(tables.RECONCILIATION, session=tick.session, as_of=tick.as_of),
        unresolved={order.intent.underlying for order in desk.journal.orders(unresolved=True)},
    )
    coming = report.plan(pl.concat([exits, entries]))
    tell(context, desk, f"Plan for {tick.session}", report.plan_text(coming, tick.session))
    return report.plan_rows(coming).with_columns(
        session=pl.lit(tick.session), as_of=pl.lit(tick.as_of).cast(tables.UTC_TIME)
    )


def _last_known(desk: Desk, tick: Tick, table: tables.Table) -> pl.DataFrame:
    """The last tick of the session before."""
    before = desk.lake.read(table, session=calendar.sessions_before(tick.session, 1)[0])
    return before.filter(pl.col("as_of") == pl.col("as_of").max())
