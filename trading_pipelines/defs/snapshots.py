"""Snapshots of the market and of the account at one tick, and the contracts they are taken of."""

import dagster as dg
import polars as pl

from trading_pipelines.core.market import calendar, chain, quality
from trading_pipelines.defs.failures import translated
from trading_pipelines.defs.lake_assets import describe, fit_check, key, lake_asset
from trading_pipelines.defs.partitions import CME_TRADE_DATES, NYSE_SESSIONS
from trading_pipelines.defs.resources import Desk
from trading_pipelines.defs.ticks import Tick, tick_of
from trading_pipelines.domain import tables
from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.errors import StaleData
from trading_pipelines.workflows import history, snapshot
from trading_pipelines.workflows.gate import CLOCK_SKEW


@dg.asset(key=key(tables.BARS), **describe(tables.BARS))
def bars(context: dg.AssetExecutionContext, desk: Desk) -> dg.MaterializeResult[None]:
    """Daily bars and implied volatility of what is watched, completed once before a session."""
    with translated():
        session = tick_of(context).session
        if desk.lake.has_rows(tables.CONTRACTS, session=session):
            return dg.MaterializeResult(metadata={"dagster/row_count": 0})  # prepared before, today
        added = history.complete_daily_bars(
            desk.history, desk.market_data, desk.lake, session, desk.parameters
        )
        return dg.MaterializeResult(metadata={"dagster/row_count": added})


@dg.asset(
    key=key(tables.CONTRACTS),
    deps=[key(tables.BARS)],
    partitions_def=NYSE_SESSIONS,
    **describe(tables.CONTRACTS),
)
def contracts(context: dg.AssetExecutionContext, desk: Desk) -> dg.MaterializeResult[None]:
    """What the session's snapshots are taken of, asked once."""
    with translated():
        tick = tick_of(context)
        listed = snapshot.list_contracts(
            desk.market_data, desk.lake, desk.parameters.universe, tick.session, tick.as_of
        )
        return dg.MaterializeResult(metadata={"dagster/row_count": listed})


@lake_asset(tables.UNDERLYINGS, deps=[tables.CONTRACTS])
def underlyings(context: dg.AssetExecutionContext, desk: Desk) -> pl.DataFrame:
    """Quotes of the watched stocks and indices."""
    tick, parameters = current_tick(context, desk), desk.parameters
    watched = snapshot.listing(desk.lake, tick.session, SecurityType.STOCK, SecurityType.INDEX)
    quotes = desk.market_data.quotes(watched, timeout_seconds=parameters.snapshots.timeout_seconds)
    return chain.quote_rows(watched, quotes, tick.session, tick.as_of)


@lake_asset(tables.FUTURES, deps=[tables.CONTRACTS])
def futures(context: dg.AssetExecutionContext, desk: Desk) -> pl.DataFrame:
    """Quotes of the front futures at this NYSE tick."""
    tick, parameters = current_tick(context, desk), desk.parameters
    front = snapshot.listing(desk.lake, tick.session, SecurityType.FUTURE)
    quotes = desk.market_data.quotes(front, timeout_seconds=parameters.snapshots.timeout_seconds)
    return chain.quote_rows(front, quotes, tick.session, tick.as_of)


@lake_asset(tables.OPTIONS, deps=[tables.CONTRACTS], underlyings=tables.UNDERLYINGS)
def options(context: dg.AssetExecutionContext, desk: Desk, underlyings: pl.DataFrame) -> pl.DataFrame:
    """Quotes of the options that matter: near the money, in the expiry window, and all that is held."""
    tick, parameters = current_tick(context, desk), desk.parameters.snapshots
    chains = snapshot.listing(desk.lake, tick.session, SecurityType.OPTION)
    prices = underlyings.select("symbol", price=pl.coalesce("price", "previous_close"))
    working = [order.intent for order in desk.journal.orders(unresolved=True)]
    held = {leg.contract.con_id for owner in (*desk.journal.positions(), *working) for leg in owner.legs}
    selected = chain.select(chains, prices, tick.session, parameters, held)
    quotes = desk.market_data.quotes(selected, timeout_seconds=parameters.timeout_seconds)
    return chain.option_rows(selected, quotes, prices, tick.session, tick.as_of)


@lake_asset(tables.ACCOUNT)
def account(context: dg.AssetExecutionContext, desk: Desk) -> pl.DataFrame:
    """Account values at this tick."""
    tick = current_tick(context, desk)
    return pl.DataFrame([desk.broker.account().model_dump()]).with_columns(
        session=pl.lit(tick.session), as_of=pl.lit(tick.as_of).cast(tables.UTC_TIME)
    )


@dg.asset(key=key(tables.GLOBEX), partitions_def=CME_TRADE_DATES, **describe(tables.GLOBEX))
def globex(context: dg.AssetExecutionContext, desk: Desk) -> pl.DataFrame:
    """Quotes of the front futures, through the 23-hour session."""
    with translated():
        tick, parameters = tick_of(context), desk.parameters
        front = snapshot.front_futures(desk.market_data, parameters.universe, tick.session)
        quotes = desk.market_data.quotes(front, timeout_seconds=parameters.snapshots.timeout_seconds)
        rows = chain.quote_rows(front, quotes, tick.session, tick.as_of)
        return rows.rename({"session": "trade_date"}).select(tables.GLOBEX.schema.names())


@fit_check(tables.UNDERLYINGS)
def underlyings_are_fit(tick: Tick, desk: Desk, frame: pl.DataFrame) -> list[str]:
    """Prices that decisions may rest on: live, fresh, two-sided, and no jump that no market makes.

    The first tick of a session may have no quotes yet: nothing is decided on it, and nothing is wrong.
    """
    if _opens_without_quotes(tick, frame):
        return []
    return quality.underlying_findings(frame, tick.as_of, desk.parameters.quality)


@fit_check(tables.OPTIONS)
def options_are_fit(tick: Tick, desk: Desk, frame: pl.DataFrame) -> list[str]:
    """A chain that decisions may rest on: complete enough, fresh, live, not crossed.

    The first tick of a session may have no quotes yet: nothing is decided on it, and nothing is wrong.
    """
    if _opens_without_quotes(tick, frame):
        return []
    return quality.option_findings(frame, tick.as_of, desk.parameters.quality)


@fit_check(tables.ACCOUNT)
def account_is_reported(tick: Tick, desk: Desk, frame: pl.DataFrame) -> list[str]:
    """An account report that sizes and limits may rest on."""
    unusable = frame.filter(~(pl.col("net_liquidation") > 0)).height
    if frame.height == 1 and not unusable and frame.item(0, "account") == desk.account:
        return []
    return [f"the report of account {desk.account} is missing or has no net liquidation value"]


def _opens_without_quotes(tick: Tick, frame: pl.DataFrame) -> bool:
    return tick.as_of == calendar.session_bounds(tick.session)[0] and not frame["bid"].count()


def current_tick(context: dg.AssetExecutionContext, desk: Desk) -> Tick:
    """The run's tick while it lasts; StaleData afterwards: the market now is not the market of then."""
    tick, now = tick_of(context), desk.clock.now()
    if not tick.as_of - CLOCK_SKEW <= now < tick.as_of + calendar.TICK:
        raise StaleData(
            f"it is {now:%H:%M:%S} UTC: the tick of {tick.as_of:%Y-%m-%d %H:%M} is over, or to come",
            "a missed tick is a missed tick: run the current one",
        )
    return tick
