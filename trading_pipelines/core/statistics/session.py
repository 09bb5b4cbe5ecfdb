"""One NYSE session as a whole, from its ticks."""

from datetime import date, datetime

import polars as pl

from trading_pipelines.core.market import calendar
from trading_pipelines.domain.tables import SESSION_STATISTICS

SESSIONS_A_YEAR = 252


def session_statistics(
    underlyings: pl.DataFrame, option_statistics: pl.DataFrame, session: date, as_of: datetime
) -> pl.DataFrame:
    """SESSION_STATISTICS rows from the session's UNDERLYINGS and OPTION_STATISTICS ticks.

    `realised_volatility` is annualised from the squared log returns between ticks (no overnight
    part), null below two prices; `snapshots` of `expected` says how complete the session is.
    """
    expected = len(calendar.ticks(session))
    prices = (
        underlyings.filter(pl.col("price").is_not_null())
        .sort("symbol", "as_of")
        .with_columns(log_return=pl.col("price").log().diff().over("symbol"))
        .group_by("symbol", maintain_order=True)
        .agg(
            open=pl.col("price").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").last(),
            realised_volatility=(pl.col("log_return") ** 2).drop_nulls().mean() * expected * SESSIONS_A_YEAR,
            snapshots=pl.col("as_of").n_unique(),
        )
        .with_columns(pl.col("realised_volatility").sqrt())
    )
    implied = (
        option_statistics.sort("underlying", "as_of")
        .group_by("underlying", maintain_order=True)
        .agg(
            iv30_open=pl.col("iv30").drop_nulls().first(),
            iv30_close=pl.col("iv30").drop_nulls().last(),
            iv_rank_close=pl.col("iv_rank").drop_nulls().last(),
            quoted_share=(pl.col("quoted") / pl.col("contracts")).mean(),
        )
    )
    return (
        prices.rename({"symbol": "underlying"})
        .join(implied, on="underlying", how="left")
        .with_columns(
            session=pl.lit(session),
            as_of=pl.lit(as_of).cast(SESSION_STATISTICS.schema["as_of"]),
            snapshots=pl.col("snapshots").cast(pl.Int64),
            expected=pl.lit(expected, dtype=pl.Int64),
        )
        .select(SESSION_STATISTICS.content.names())
    )
