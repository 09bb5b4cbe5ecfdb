"""From decisions to orders: the intents, and the one op that may send them."""

import dagster as dg
import polars as pl

from trading_pipelines.adapters.journal import single_flight
from trading_pipelines.core.content import content_hash
from trading_pipelines.core.execution import combos
from trading_pipelines.defs import evidence, portfolio, risk, snapshots
from trading_pipelines.defs.failures import translated
from trading_pipelines.defs.lake_assets import TICK, describe, key, lake_asset, stamped
from trading_pipelines.defs.partitions import NYSE_SESSIONS
from trading_pipelines.defs.resources import Desk
from trading_pipelines.defs.ticks import tick_of
from trading_pipelines.domain import tables
from trading_pipelines.workflows import records, submit

REQUIRED_CHECKS = (
    snapshots.underlyings_are_fit,
    snapshots.options_are_fit,
    snapshots.account_is_reported,
    portfolio.books_agree,
    risk.every_intent_is_judged,
    risk.no_breach_is_approved,
    risk.trading_is_allowed,
)
"""What must have passed, on exactly what was decided on and judged, before an order leaves."""


@lake_asset(tables.INTENTS, decisions=tables.DECISIONS, options=tables.OPTIONS)
def intents(
    context: dg.AssetExecutionContext, desk: Desk, decisions: pl.DataFrame, options: pl.DataFrame
) -> pl.DataFrame:
    """The orders that this tick's decisions ask for, complete and immutable."""
    held = {position.position_id: position for position in desk.journal.positions()}
    return combos.frame(combos.intents(decisions, held, options, desk.account, desk.parameters))


@dg.op(
    pool="ib_orders",
    ins={"intents": dg.In(metadata=dict(TICK)), "verdicts": dg.In(metadata=dict(TICK))},
    out={"orders": dg.Out(), "fills": dg.Out()},
)
def place_ib_orders(
    context: dg.OpExecutionContext, desk: Desk, intents: pl.DataFrame, verdicts: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Send what was decided, checked and not sent before, each at most once; never retried.

    The op believes nothing it is told: see `evidence`, then `workflows/submit`.
    """
    with translated(may_retry=False), single_flight(desk.settings.journal):
        tick = tick_of(context)
        if not intents.is_empty():
            judged = {key(tables.VERDICTS): content_hash(verdicts, tables.VERDICTS.key)}
            decided_on = evidence.decided_on(desk.lake, tick)
            evidence.require_passed(context.instance, REQUIRED_CHECKS, tick, decided_on | judged)
        if intents.height or desk.journal.orders(unresolved=True):
            submit.submit(
                combos.read(intents),
                records.verdicts(verdicts),
                broker=desk.order_broker,
                market_data=desk.market_data,
                journal=desk.journal,
                clock=desk.clock,
                parameters=desk.parameters,
                mode=desk.settings.mode,
                holder=f"run {context.run.run_id}",
            )
        orders = records.order_rows(desk.journal, tick.session, tick.as_of)
        fills = records.new_fill_rows(desk.journal, desk.lake, tick.session, tick.as_of)
        return stamped(tables.ORDERS, orders, context, desk), stamped(tables.FILLS, fills, context, desk)


@dg.graph_multi_asset(
    name="execution",
    group_name="execution",
    partitions_def=NYSE_SESSIONS,
    ins={"intents": dg.AssetIn(key=key(tables.INTENTS)), "verdicts": dg.AssetIn(key=key(tables.VERDICTS))},
    outs={
        table.name: dg.AssetOut(
            key=key(table), **{name: value for name, value in describe(table).items() if name != "group_name"}
        )
        for table in (tables.ORDERS, tables.FILLS)
    },
)
def execution(intents: pl.DataFrame, verdicts: pl.DataFrame):
    """Place IB orders, after the risk checks: the state of each order and its fills."""
    return dict(zip(("orders", "fills"), place_ib_orders(intents, verdicts), strict=True))
