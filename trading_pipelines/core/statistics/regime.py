"""Trend and volatility regime of each underlying, with the evidence; a missing input leaves a null."""

from datetime import date, datetime

import polars as pl

from trading_pipelines.core.market import calendar
from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.parameters import RegimeParameters, UniverseParameters
from trading_pipelines.domain.tables import MARKET_REGIME, UTC_TIME


def market_regime(
    underlyings: pl.DataFrame,
    option_statistics: pl.DataFrame,
    correlations: pl.DataFrame,
    bars: pl.DataFrame,
    universe: UniverseParameters,
    parameters: RegimeParameters,
    session: date,
    as_of: datetime,
) -> pl.DataFrame:
    """MARKET_REGIME rows (without provenance), one per underlying whose options are traded.

    `outlook`: bullish when the price is above both averages by more than the band, bearish when below
    both, else neutral. `average_20` and `average_50` are of the last `short_average` and `long_average`
    closes with this tick's price as the newest; a session without its close leaves them null.
    `volatility`: high from an IV rank of `high_iv_rank`, else low. `vix_regime`: low, normal, high,
    extreme. `term_structure`: inverted when the three-month index is below the thirty-day one, else
    contango. `average_correlation`: mean daily correlation of the underlyings with the futures on other
    indices (FUTURES_CORRELATIONS), one number for the market.
    """
    traded = [instrument.symbol for instrument in universe.underlyings if instrument.trade_options]
    price = pl.col("price")
    priced = underlyings.filter(price.is_finite() & (price > 0)).select("symbol", "price").unique("symbol")
    rows = (
        pl.DataFrame({"underlying": traded}, schema={"underlying": pl.String})
        .join(priced, left_on="underlying", right_on="symbol", how="left", maintain_order="left")
        .join(
            option_statistics.select("underlying", "iv_rank").unique("underlying"),
            on="underlying",
            how="left",
            maintain_order="left",
        )
        .pipe(_with_averages, bars, parameters, session)
        .with_columns(
            session=pl.lit(session),
            as_of=pl.lit(as_of).cast(UTC_TIME),
            vix=_price_of(priced, universe.volatility_index),
            vix3m=_price_of(priced, universe.volatility_index_3m),
            average_correlation=_average_correlation(correlations, universe, traded),
        )
        .with_columns(
            outlook=_outlook(parameters.band),
            volatility=_either(pl.col("iv_rank") >= parameters.high_iv_rank, "high", "low"),
            vix_regime=_vix_regime(parameters),
            term_structure=_either(pl.col("vix3m") < pl.col("vix"), "inverted", "contango"),
        )
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in MARKET_REGIME.content.items())


def _with_averages(
    rows: pl.DataFrame, bars: pl.DataFrame, parameters: RegimeParameters, session: date
) -> pl.DataFrame:
    """The rows with average_20 and average_50, each null unless every one of its values is there."""
    lengths = {"average_20": parameters.short_average, "average_50": parameters.long_average}
    sessions = [*calendar.sessions_before(session, max(lengths.values()) - 1), session]
    close = pl.col("close")
    past = bars.filter(
        (pl.col("resolution") == "daily")
        & (pl.col("what") == "trades")
        & (pl.col("security_type") != SecurityType.FUTURE)
        & (pl.col("session") < session)
        & close.is_finite()
        & (close > 0)
    ).unique(["symbol", "session"], keep="last")
    values = pl.concat(
        [
            past.select("session", "close", underlying="symbol"),
            rows.select(pl.lit(session).alias("session"), "underlying", close="price").drop_nulls(),
        ],
        how="diagonal",
    )
    for name, length in lengths.items():
        averages = (
            values.filter(pl.col("session") >= sessions[-length])
            .group_by("underlying")
            .agg(pl.when(pl.len() == length).then(close.mean()).alias(name))
        )
        rows = rows.join(averages, on="underlying", how="left", maintain_order="left")
    return rows


def _outlook(band: float) -> pl.Expr:
    low = pl.min_horizontal("average_20", "average_50")
    high = pl.max_horizontal("average_20", "average_50")
    known = pl.all_horizontal(pl.col(name).is_not_null() for name in ("price", "average_20", "average_50"))
    return (
        pl.when(known & (pl.col("price") > high * (1 + band)))
        .then(pl.lit("bullish"))
        .when(known & (pl.col("price") < low * (1 - band)))
        .then(pl.lit("bearish"))
        .when(known)
        .then(pl.lit("neutral"))
    )


def _vix_regime(parameters: RegimeParameters) -> pl.Expr:
    vix = pl.col("vix")
    return (
        pl.when(vix < parameters.vix_low)
        .then(pl.lit("low"))
        .when(vix < parameters.vix_normal)
        .then(pl.lit("normal"))
        .when(vix <= parameters.vix_high)
        .then(pl.lit("high"))
        .when(vix > parameters.vix_high)
        .then(pl.lit("extreme"))
    )


def _either(condition: pl.Expr, yes: str, no: str) -> pl.Expr:
    """One of two words, null where the condition is unknown."""
    return pl.when(condition).then(pl.lit(yes)).when(~condition).then(pl.lit(no))


def _price_of(priced: pl.DataFrame, symbol: str) -> pl.Expr:
    found = priced.filter(pl.col("symbol") == symbol)["price"]
    return pl.lit(found[0] if len(found) else None, dtype=pl.Float64)


def _average_correlation(
    correlations: pl.DataFrame, universe: UniverseParameters, traded: list[str]
) -> pl.Expr:
    cash = {root.symbol: root.cash for root in universe.futures}
    own = pl.col("future").replace_strict(cash, default=None, return_dtype=pl.String)
    others = correlations.filter(
        (pl.col("frequency") == "daily") & pl.col("underlying").is_in(traded) & (own != pl.col("underlying"))
    )
    mean = others.select(pl.col("correlation").mean()).item()
    return pl.lit(mean, dtype=pl.Float64)
