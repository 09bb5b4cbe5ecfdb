"""How each underlying moves with each index future: correlation and beta of their returns."""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import product

import numpy as np
import polars as pl
from scipy.special import stdtr

from trading_pipelines.core.market import calendar
from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.parameters import StatisticsParameters, UniverseParameters
from trading_pipelines.domain.tables import FUTURES_CORRELATIONS, UTC_TIME

_PAIR = ["future", "underlying"]


def correlations(
    futures: pl.DataFrame,
    underlyings: pl.DataFrame,
    bars: pl.DataFrame,
    universe: UniverseParameters,
    parameters: StatisticsParameters,
    session: date,
    as_of: datetime,
) -> pl.DataFrame:
    """FUTURES_CORRELATIONS rows (without provenance): every future × underlying × frequency, also unknown.

    `daily`: log returns from close to close over the `correlation_sessions` sessions before `session`.
    `session`: the same window moved on by one, its last return from the previous close to the prices of
    this tick (FUTURES and UNDERLYINGS rows). Only sessions that both have count, within one contract, so
    that neither a CME holiday nor a roll makes a return. `beta` is the underlying's per unit of the
    future's. `p_value`: two-sided, of no correlation, by Student's t with n − 2 degrees of freedom.
    Null below `min_correlation_observations`; `observations` says how many there were.
    """
    window = calendar.sessions_before(session, parameters.correlation_sessions + 1)
    closes = _paired_closes(bars, universe, window)
    daily = _returns(closes, futures).sort("day").group_by(_PAIR).tail(parameters.correlation_sessions)
    today = _returns_today(closes.filter(day=len(window) - 1), futures, underlyings)
    earlier = daily.filter(pl.col("day") > 1).join(today, on=_PAIR, how="semi")
    observed = pl.concat(
        [
            daily.with_columns(frequency=pl.lit("daily")),
            pl.concat([earlier, today]).with_columns(frequency=pl.lit("session")),
        ]
    )
    grid = pl.DataFrame(
        list(
            product(
                [root.symbol for root in universe.futures],
                [instrument.symbol for instrument in universe.underlyings],
                ["daily", "session"],
            )
        ),
        schema={"future": pl.String, "underlying": pl.String, "frequency": pl.String},
        orient="row",
    )
    rows = grid.join(
        _estimates(observed, parameters.min_correlation_observations),
        on=[*_PAIR, "frequency"],
        how="left",
        maintain_order="left",
    ).with_columns(
        pl.col("observations").fill_null(0),
        session=pl.lit(session),
        as_of=pl.lit(as_of).cast(UTC_TIME),
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in FUTURES_CORRELATIONS.content.items())


def _paired_closes(bars: pl.DataFrame, universe: UniverseParameters, window: Sequence[date]) -> pl.DataFrame:
    """Closes of future and underlying on the sessions both have; `day` counts the window's sessions."""
    days = pl.DataFrame({"session": window, "day": range(len(window))}, schema_overrides={"day": pl.Int64})
    close = pl.col("close")
    known = bars.filter(
        (pl.col("resolution") == "daily") & (pl.col("what") == "trades") & close.is_finite() & (close > 0)
    ).join(days, on="session")
    is_future = pl.col("security_type") == SecurityType.FUTURE
    roots = known.filter(is_future & pl.col("symbol").is_in([root.symbol for root in universe.futures]))
    cash = known.filter(
        ~is_future & pl.col("symbol").is_in([instrument.symbol for instrument in universe.underlyings])
    )
    return (
        roots.unique(["symbol", "expiry", "day"], keep="last")
        .select("expiry", "day", future="symbol", future_close="close")
        .join(
            cash.unique(["symbol", "day"], keep="last").select(
                "day", underlying="symbol", underlying_close="close"
            ),
            on="day",
        )
    )


def _returns(closes: pl.DataFrame, futures: pl.DataFrame) -> pl.DataFrame:
    """Daily log returns of each pair; of a root's contracts today's comes first, then the nearest."""
    series = [*_PAIR, "expiry"]
    front = futures.select(future="symbol", front="expiry").unique("future")
    return (
        closes.sort(*series, "day")
        .with_columns(
            future_return=pl.col("future_close").log().diff().over(series),
            underlying_return=pl.col("underlying_close").log().diff().over(series),
            step=pl.col("day").diff().over(series),
        )
        .filter(pl.col("step") == 1)
        .join(front, on="future", how="left")
        .sort(pl.col("expiry").eq_missing(pl.col("front")), "expiry", descending=[True, False])
        .unique([*_PAIR, "day"], keep="first", maintain_order=True)
        .select(*_PAIR, "day", "future_return", "underlying_return")
    )


def _returns_today(
    last_closes: pl.DataFrame, futures: pl.DataFrame, underlyings: pl.DataFrame
) -> pl.DataFrame:
    """Log returns from the closes of the session before to the prices of this tick."""
    quoted = futures.select("expiry", future="symbol", future_price="price").unique(["future", "expiry"])
    priced = underlyings.select(underlying="symbol", underlying_price="price").unique("underlying")
    return (
        last_closes.join(quoted, on=["future", "expiry"], nulls_equal=True)
        .join(priced, on="underlying")
        .filter(
            pl.all_horizontal(
                pl.col(name).is_finite() & (pl.col(name) > 0) for name in ("future_price", "underlying_price")
            )
        )
        .select(
            *_PAIR,
            pl.col("day") + 1,
            future_return=(pl.col("future_price") / pl.col("future_close")).log(),
            underlying_return=(pl.col("underlying_price") / pl.col("underlying_close")).log(),
        )
    )


def _estimates(observed: pl.DataFrame, min_observations: int) -> pl.DataFrame:
    """Per pair and frequency: observations, correlation, beta, p_value."""
    future, underlying = pl.col("future_return"), pl.col("underlying_return")
    estimates = observed.group_by(*_PAIR, "frequency").agg(
        observations=pl.len().cast(pl.Int64),
        correlation=pl.corr(future, underlying).fill_nan(None),
        beta=(pl.cov(future, underlying) / future.var()).fill_nan(None),
    )
    enough = (pl.col("observations") >= max(min_observations, 3)) & pl.col("correlation").is_not_null()
    estimates = estimates.with_columns(
        pl.when(enough).then(name).alias(name) for name in ("correlation", "beta")
    )
    freedom = estimates["observations"].to_numpy() - 2.0
    r = np.clip(estimates["correlation"].to_numpy(), -1.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(r) * np.sqrt(freedom / (1.0 - r * r))
    return estimates.with_columns(pl.Series("p_value", 2.0 * stdtr(freedom, -t)).fill_nan(None))
