"""Which options of a chain are quoted at a tick, and the snapshot rows that contracts and quotes make.

What is wrong with a row is not judged here but in `quality`.
"""

from collections.abc import Collection
from datetime import date, datetime

import polars as pl

from trading_pipelines.core.strategies.strikes import is_standard_monthly
from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.parameters import SnapshotParameters
from trading_pipelines.domain.tables import OPTIONS, QUOTE_COLUMNS, UNDERLYINGS, UTC_TIME

_ENTRY_WINDOW = 15
"""Days around the target in which a standard monthly is preferred to a nearer weekly."""
_AT_THE_MONEY = 3
"""Strikes of each right that every expiry keeps: they bracket the money, and so its term structure."""
_EXPIRY_STEP = 0.05
"""Each expiry farther down the ranking gives up strikes of this fraction of the price on either side."""


def select(
    listing: pl.DataFrame,
    prices: pl.DataFrame,
    session: date,
    parameters: SnapshotParameters,
    held: Collection[int],
) -> pl.DataFrame:
    """The rows of `listing` to quote, in its order: within DTE and moneyness, at most `max_contracts`.

    `listing` has the CONTRACTS columns, `prices` the columns symbol and price. What is `held` (con_ids)
    is always in, whatever its strike or expiry, if it is listed. An underlying without a price has no
    strikes to choose from: only what is held of it. Where contracts must be left out, underlyings
    take turns, so that a dense grid does not crowd out a sparse one. Every expiry keeps the strikes
    around the money, which the term structure is made of; of the others those far from the money go
    first, and the later the expiry stands in the ranking: the expiry entries would take, the other
    standard monthlies (between them lie IV30 and IV60), the rest by distance to the target.
    """
    distance = (pl.col("strike") / pl.col("price") - 1.0).abs().round(12)  # 112 is within 12 % of 100
    candidates = (
        listing.lazy()
        .select("con_id", "symbol", "expiry", "strike", "right")
        .with_row_index("position")
        .unique("con_id", keep="first")
        .join(prices.lazy().select("symbol", "price").unique("symbol"), on="symbol", how="left")
        .with_columns(
            dte=(pl.col("expiry") - pl.lit(session)).dt.total_days(),
            distance=pl.when(pl.col("price").is_finite() & (pl.col("price") > 0)).then(distance),
            held=pl.col("con_id").is_in(list(held)),
        )
        .with_columns(
            wanted=pl.col("dte").is_between(parameters.min_dte, parameters.max_dte)
            & (pl.col("distance") <= parameters.moneyness).fill_null(False)
        )
        .filter(pl.col("held") | pl.col("wanted"))
        .collect()
    )
    kept = candidates.filter("held")
    room = max(parameters.max_contracts - kept.height, 0)
    others = candidates.filter(~pl.col("held"))
    if others.height > room:
        ranked = others.join(_expiry_ranks(others, parameters.target_dte), on=["symbol", "expiry"])
        nearest = pl.struct("distance", "position").rank("ordinal").over("symbol", "expiry", "right")
        wanted_less = pl.when(nearest > _AT_THE_MONEY).then(
            pl.col("distance") + _EXPIRY_STEP * pl.col("rank")
        )
        turn = pl.struct(wanted_less.fill_null(0.0), "position").rank("ordinal").over("symbol")
        others = ranked.sort(turn, "position").head(room)
    positions = pl.concat([kept["position"], others["position"]]).sort()
    return listing[positions]


def _expiry_ranks(candidates: pl.DataFrame, target_dte: int) -> pl.DataFrame:
    """Per underlying and expiry how much it matters: `rank` 0 is the expiry that entries would take."""
    days = candidates["expiry"].unique()
    monthly = [day for day in days if is_standard_monthly(day)]
    expiries = candidates.select("symbol", "expiry", "dte").unique()
    return (
        expiries.with_columns(
            weekly=~pl.col("expiry").is_in(monthly), away=(pl.col("dte") - target_dte).abs()
        )
        .sort("symbol", pl.col("weekly") | (pl.col("away") > _ENTRY_WINDOW), "away", "expiry")
        .with_columns(other=pl.int_range(pl.len()).over("symbol") > 0)
        .sort("symbol", "other", "weekly", "away", "expiry")
        .select("symbol", "expiry", rank=pl.int_range(pl.len()).over("symbol"))
    )


def option_rows(
    selected: pl.DataFrame, quotes: pl.DataFrame, prices: pl.DataFrame, session: date, as_of: datetime
) -> pl.DataFrame:
    """OPTIONS rows, one per row of `selected` (CONTRACTS columns) and in its order.

    `quotes` has QUOTE_COLUMNS; a contract without a row there gets the status `missing`. `prices`
    (symbol, price) gives each its `underlying_price`, null where there is none.
    """
    rows = (
        _quoted(selected, quotes, session, as_of)
        .join(prices.select("symbol", underlying_price="price").unique("symbol"), on="symbol", how="left")
        .with_columns(underlying="symbol")
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in OPTIONS.schema.items())


def quote_rows(contracts: pl.DataFrame, quotes: pl.DataFrame, session: date, as_of: datetime) -> pl.DataFrame:
    """UNDERLYINGS (and FUTURES) rows, one per row of `contracts` (CONTRACT_COLUMNS) and in its order.

    `price` is the mid of a two-sided market, for an index its last value; null where there is none.
    """
    bid, ask, last = pl.col("bid"), pl.col("ask"), pl.col("last")
    two_sided = (bid > 0) & (ask >= bid) & ask.is_finite()
    rows = _quoted(contracts, quotes, session, as_of).with_columns(
        price=pl.when(pl.col("security_type") == SecurityType.INDEX)
        .then(pl.when((last > 0) & last.is_finite()).then(last))
        .otherwise(pl.when(two_sided).then((bid + ask) / 2))
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in UNDERLYINGS.schema.items())


def _quoted(contracts: pl.DataFrame, quotes: pl.DataFrame, session: date, as_of: datetime) -> pl.DataFrame:
    """Contracts with their quotes, stamped with the tick."""
    return (
        contracts.drop("session", "as_of", strict=False)
        .join(quotes.select(QUOTE_COLUMNS.names()), on="con_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("status").fill_null("missing"),
            session=pl.lit(session),
            as_of=pl.lit(as_of).cast(UTC_TIME),
        )
    )
