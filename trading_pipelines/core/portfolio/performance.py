"""How a session goes: profit and loss, risk, and what was decided, sent and filled."""

from datetime import date, datetime

import polars as pl

from trading_pipelines.domain.orders import Action
from trading_pipelines.domain.tables import PERFORMANCE, UTC_TIME


def session_performance(
    account: pl.DataFrame,
    account_at_open: pl.DataFrame,
    strategies: pl.DataFrame,
    underlyings: pl.DataFrame,
    orders: pl.DataFrame,
    fills: pl.DataFrame,
    decisions: pl.DataFrame,
    session: date,
    as_of: datetime,
) -> pl.DataFrame:
    """PERFORMANCE: one row per account of the ACCOUNT rows now, against those of the session's first tick.

    `strategies` and `underlyings` are of this tick; `orders`, `fills` and `decisions` of the session so far.
    `delta_usd` is dollars of underlying the positions stand for (delta × price), theta and vega in dollars
    a day and a volatility point. `decisions` counts those that asked for an order, `orders` order references,
    `fills` executions of single contracts: a combo's own row repeats its legs and is not counted.
    """
    at_open = account_at_open.select("account", net_liquidation_at_open="net_liquidation")
    acting = pl.col("action").is_in([Action.OPEN, Action.CLOSE, Action.REDUCE, Action.ROLL])
    own = fills.filter(pl.col("security_type") != "BAG").unique("exec_id")
    parts = (
        _risk(strategies, underlyings),
        own.group_by("account").agg(
            realised_pnl_usd=pl.col("realised_pnl").sum(),
            commissions_usd=pl.col("commission").sum(),
            fills=pl.len(),
        ),
        decisions.filter(acting).unique("decision_id").group_by("account").agg(decisions=pl.len()),
    )
    row = account.select("account", "net_liquidation").join(at_open, on="account", how="left")
    for part in parts:
        row = row.join(part, on="account", how="left")
    return row.with_columns(
        session=pl.lit(session),
        as_of=pl.lit(as_of, dtype=UTC_TIME),
        session_pnl_usd=pl.col("net_liquidation") - pl.col("net_liquidation_at_open"),
        orders=pl.lit(orders.get_column("order_ref").n_unique()),
    ).select(
        (pl.col(name).cast(kind).fill_null(0) if name in _ZERO_WHEN_NONE else pl.col(name).cast(kind))
        for name, kind in PERFORMANCE.schema.items()
        if name not in {"run_id", "code_version"}
    )


_ZERO_WHEN_NONE = {
    "realised_pnl_usd",
    "commissions_usd",
    "open_positions",
    "unrealised_pnl_usd",
    "delta_usd",
    "theta_per_day_usd",
    "vega_per_vol_point_usd",
    "decisions",
    "orders",
    "fills",
}


def _risk(strategies: pl.DataFrame, underlyings: pl.DataFrame) -> pl.DataFrame:
    """Dollars per account; a position without a value adds nothing, its `data_status` says so."""
    prices = underlyings.select("price", underlying="symbol").unique("underlying")
    contracts = pl.col("multiplier") * pl.col("units")
    return (
        strategies.join(prices, on="underlying", how="left")
        .group_by("account")
        .agg(
            open_positions=pl.len(),
            unrealised_pnl_usd=pl.col("unrealised_pnl_usd").sum(),
            delta_usd=(pl.col("delta") * pl.col("price") * contracts).sum(),
            theta_per_day_usd=(pl.col("theta_per_day") * contracts).sum(),
            vega_per_vol_point_usd=(pl.col("vega_per_vol_point") * contracts).sum(),
        )
    )
