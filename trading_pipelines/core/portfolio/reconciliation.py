"""Our books against the broker's positions."""

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from trading_pipelines.domain.positions import BrokerPosition, PositionStatus, StrategyPosition
from trading_pipelines.domain.tables import RECONCILIATION, UTC_TIME

_CONTRACT = {
    "account": pl.String,
    "con_id": pl.Int64,
    "symbol": pl.String,
    "local_symbol": pl.String,
    "quantity": pl.Float64,
}
_KEY = ["account", "con_id"]


def reconcile(
    broker_positions: Sequence[BrokerPosition],
    positions: Sequence[StrategyPosition],
    session: date,
    as_of: datetime,
) -> pl.DataFrame:
    """RECONCILIATION rows, one for each account and contract that either side knows.

    Expected is what the legs of our positions that are not closed add up to; a position's units are the
    units filled so far. `kind`: match · missing (we expect it, the broker has none) · external (the broker
    has it, we know nothing) · quantity (both, but not as many). `difference` is actual less expected.
    """
    ours = [
        (
            position.account,
            leg.contract.con_id,
            leg.contract.symbol,
            leg.contract.local_symbol,
            float(leg.signed_ratio * position.units),
        )
        for position in positions
        if position.status is not PositionStatus.CLOSED
        for leg in position.legs
    ]
    theirs = [
        (
            position.account,
            position.contract.con_id,
            position.contract.symbol,
            position.contract.local_symbol,
            position.quantity,
        )
        for position in broker_positions
    ]
    both = _sum(theirs, "actual").join(
        _sum(ours, "expected"), on=_KEY, how="full", coalesce=True, suffix="_ours"
    )
    expected, actual = pl.col("expected"), pl.col("actual")
    return (
        both.with_columns(
            pl.coalesce(pl.col(name).replace("", None), f"{name}_ours").fill_null("").alias(name)
            for name in ("symbol", "local_symbol")
        )
        .with_columns(expected.fill_null(0.0), actual.fill_null(0.0))
        .filter((expected != 0) | (actual != 0))
        .with_columns(
            session=pl.lit(session),
            as_of=pl.lit(as_of, dtype=UTC_TIME),
            difference=actual - expected,
            kind=pl.when(actual == expected)
            .then(pl.lit("match"))
            .when(actual == 0)
            .then(pl.lit("missing"))
            .when(expected == 0)
            .then(pl.lit("external"))
            .otherwise(pl.lit("quantity")),
        )
        .select(RECONCILIATION.content.names())
        .sort(_KEY)
    )


def _sum(rows: Sequence[tuple[str, int, str, str, float]], name: str) -> pl.DataFrame:
    """Quantities added per account and contract, in a column `name`."""
    return (
        pl.DataFrame(rows, schema=_CONTRACT, orient="row")
        .group_by(_KEY)
        .agg(pl.col("symbol", "local_symbol").first(), pl.col("quantity").sum().alias(name))
    )
