"""Rule 10: the market ran away from a position within the hour, in price or in volatility.

It compares with the last value at least `catastrophe_minutes` old; before there is one in the session,
with the previous close. It acts on fresh data only: on anything else it is not evaluable, the position
is held, and the evaluation's detail is a critical alert.
"""

from datetime import datetime, timedelta

import polars as pl

from trading_pipelines.core.rules.rule import Condition
from trading_pipelines.domain.parameters import Parameters

MARKET_COLUMNS = pl.Schema(
    {
        "underlying": pl.String(),
        "price": pl.Float64(),
        "price_then": pl.Float64(),
        "iv30": pl.Float64(),
        "iv30_then": pl.Float64(),
        "fresh": pl.Boolean(),
    }
)
"""One row per underlying: price and 30-day implied volatility now and `catastrophe_minutes` ago.

`fresh` says whether the price now is live and young enough to act on.
"""


def market(
    underlyings: pl.DataFrame, option_statistics: pl.DataFrame, as_of: datetime, parameters: Parameters
) -> pl.DataFrame:
    """MARKET_COLUMNS at a tick, from UNDERLYINGS and OPTION_STATISTICS rows of this tick and earlier ones.

    Pass the session so far and, for volatility's value at the previous close, the session before.
    """
    then = as_of - timedelta(minutes=parameters.exits.catastrophe_minutes)
    now = underlyings.filter(pl.col("as_of") == as_of)
    age = pl.lit(as_of) - pl.col("quoted_at")
    fresh = (age <= timedelta(seconds=parameters.quality.max_age_seconds)) & pl.col("market_data_type").is_in(
        parameters.quality.live_types
    )
    session = now.get_column("session").max()
    earlier = underlyings.filter(pl.col("session") == session).select("as_of", "price", underlying="symbol")
    volatility = option_statistics.select("as_of", "underlying", "iv30")
    return (
        now.select(
            "price",
            "previous_close",
            underlying="symbol",
            fresh=(fresh & pl.col("price").is_finite()).fill_null(False),
        )
        .join(_latest(earlier, "price", then), on="underlying", how="left")
        .join(volatility.filter(pl.col("as_of") == as_of).drop("as_of"), on="underlying", how="left")
        .join(_latest(volatility, "iv30", then), on="underlying", how="left")
        .with_columns(price_then=pl.coalesce("price_then", "previous_close"))
        .select(pl.col(name).cast(kind) for name, kind in MARKET_COLUMNS.items())
        .sort("underlying")
    )


def catastrophe(parameters: Parameters) -> Condition:
    """Fires when price moved against the position's delta, or volatility rose against a short vega.

    Value and threshold are those of the branch that is nearer to firing, as fractions.
    """
    exits = parameters.exits
    move = pl.col("price") / pl.col("price_then") - 1
    delta, vega = pl.col("delta"), pl.col("vega_per_vol_point")
    adverse = pl.when(delta.is_finite()).then(-delta.sign() * move)
    rise = pl.when(vega.is_finite() & (vega < 0)).then(pl.col("iv30") / pl.col("iv30_then") - 1)
    never = pl.lit(float("-inf"))
    volatility_leads = (rise / exits.catastrophe_iv_rise).fill_null(never) > (
        adverse / exits.catastrophe_move
    ).fill_null(never)
    minutes = exits.catastrophe_minutes
    return Condition(
        value=pl.when(volatility_leads).then(rise).otherwise(adverse),
        threshold=pl.when(volatility_leads).then(exits.catastrophe_iv_rise).otherwise(exits.catastrophe_move),
        evaluable=pl.col("fresh") & (pl.col("data_status") == "fresh"),
        detail=pl.format(
            f"{{}} moved {{}} % in {minutes} minutes at a delta of {{}} "
            f"(limit {exits.catastrophe_move:.1%} against it), implied volatility {{}} % at a vega of {{}} "
            f"(limit +{exits.catastrophe_iv_rise:.0%} when it is short)",
            "underlying",
            _percent(move),
            pl.col("delta").round(3).cast(pl.String).fill_null("?"),
            _percent(pl.col("iv30") / pl.col("iv30_then") - 1),
            pl.col("vega_per_vol_point").round(3).cast(pl.String).fill_null("?"),
        ),
        why_not=pl.format(
            "CRITICAL, the position is held without this protection: market of {} {}, position's quotes {}, "
            f"price {minutes} minutes ago {{}}",
            "underlying",
            pl.when(pl.col("fresh").fill_null(False)).then(pl.lit("fresh")).otherwise(pl.lit("not fresh")),
            pl.col("data_status").fill_null("missing"),
            pl.col("price_then").round(2).cast(pl.String).fill_null("unknown"),
        ),
    )


def _latest(rows: pl.DataFrame, name: str, at: datetime) -> pl.DataFrame:
    """The last finite value of a column at or before a time, per underlying, as `<name>_then`."""
    return (
        rows.filter((pl.col("as_of") <= at) & pl.col(name).is_finite())
        .sort("as_of")
        .group_by("underlying")
        .agg(pl.col(name).last().alias(f"{name}_then"))
    )


def _percent(share: pl.Expr) -> pl.Expr:
    return (share * 100).round(1).cast(pl.String).fill_null("?")
