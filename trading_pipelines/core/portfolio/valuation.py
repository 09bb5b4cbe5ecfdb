"""What our strategies and the broker's positions are worth on one tick's quotes.

Marks are mids. `cost_to_close` is what buying the unit back costs at once, at the far side of every
leg; captured profit and losses use the mark, so that a wide market does not look like a loss.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import polars as pl
from pydantic import TypeAdapter

from trading_pipelines.core.market.quality import with_worthless_bids
from trading_pipelines.domain.orders import OrderLeg
from trading_pipelines.domain.parameters import QualityParameters
from trading_pipelines.domain.positions import BrokerPosition, PositionStatus, StrategyPosition
from trading_pipelines.domain.tables import CONTRACT_COLUMNS, POSITIONS, STRATEGIES, UTC_TIME

_LEGS = TypeAdapter(tuple[OrderLeg, ...])
_GREEKS = ("delta", "gamma", "vega_per_vol_point", "theta_per_day")
_MODEL = {
    "delta": "model_delta",
    "gamma": "model_gamma",
    "vega_per_vol_point": "model_vega",
    "theta_per_day": "model_theta",
}
_TWO_SIDED = (
    (pl.col("bid") >= 0)
    & (pl.col("ask") >= pl.col("bid"))
    & (pl.col("ask") > 0)
    & pl.col("ask").is_finite()
    & pl.col("bid").is_finite()
)
"""A bid of 0 is a market: a worthless option can be bought back. Null where a side is missing."""
_DERIVED = {"run_id", "code_version"}
_VALUED = {
    *_DERIVED,
    *_GREEKS,
    "session",
    "as_of",
    "dte",
    "mark",
    "cost_to_close",
    "captured_percent",
    "unrealised_pnl_usd",
    "short_delta",
    "quoted_at",
    "data_status",
}
"""Columns of STRATEGIES that a position alone does not know."""


def value(
    positions: Sequence[StrategyPosition],
    options: pl.DataFrame,
    option_greeks: pl.DataFrame,
    session: date,
    as_of: datetime,
    parameters: QualityParameters,
) -> pl.DataFrame:
    """STRATEGIES rows of all positions that are not closed, valued on OPTIONS and OPTION_GREEKS of one tick.

    Mark, cost to close and Greeks are per unit and share, with the sign of holding it; `captured_percent`
    is of the possible profit: of the credit, of a debit spread's maximum, of a single option's cost.
    `short_delta` is the largest |delta| of a sold leg, `quoted_at` the oldest quote of the legs.
    `data_status` is `missing` when a leg has no two-sided quote (mark and all that follows are null),
    `stale` when one is too old or not live, else `fresh`. Where our own Greeks are missing (a mid below
    intrinsic value has no implied volatility) the broker's model stands in.
    """
    held = [position for position in positions if position.status is not PositionStatus.CLOSED]
    frame = _positions(held, session, as_of)
    market = with_worthless_bids(options, parameters)
    legs = _legs(held).join(_quotes(market, option_greeks), on="con_id", how="left")
    valued = frame.join(_per_unit(legs), on="position_id", how="left")
    age = pl.lit(as_of) - pl.col("quoted_at")
    fresh = (age <= timedelta(seconds=parameters.max_age_seconds)) & pl.col("market_data_types").list.eval(
        pl.element().is_in(parameters.live_types).fill_null(False)
    ).list.all()
    captured = (pl.col("mark") - pl.col("entry_price")) / pl.col("possible_profit") * 100
    return (
        valued.with_columns(
            captured_percent=captured,
            unrealised_pnl_usd=(pl.col("mark") - pl.col("entry_price"))
            * pl.col("multiplier")
            * pl.col("units"),
            data_status=pl.when(pl.col("mark").is_null())
            .then(pl.lit("missing"))
            .when(fresh.fill_null(False))
            .then(pl.lit("fresh"))
            .otherwise(pl.lit("stale")),
        )
        .with_columns(
            # A peak on a stale quote would be a profit that was never there to take.
            peak_captured=pl.when(pl.col("data_status") == "fresh")
            .then(pl.max_horizontal("peak_captured", "captured_percent"))
            .otherwise(pl.col("peak_captured"))
        )
        .select(pl.col(name).cast(kind) for name, kind in STRATEGIES.schema.items() if name not in _DERIVED)
        .sort("position_id")
    )


def mark(
    broker_positions: Sequence[BrokerPosition],
    positions: Sequence[StrategyPosition],
    options: pl.DataFrame,
    underlyings: pl.DataFrame,
    futures: pl.DataFrame,
    session: date,
    as_of: datetime,
) -> pl.DataFrame:
    """POSITIONS rows: the broker's positions marked at mid (`price` of stocks, indices and futures).

    Null where the snapshot has no quote. `average_cost_usd` is per contract, multiplier included, as the
    broker counts it; `position_ids` names our strategies that own the contract, separated by commas.
    """
    contracts = [
        position.contract.model_dump()
        | {
            "account": position.account,
            "quantity": position.quantity,
            "average_cost_usd": position.average_cost,
        }
        for position in broker_positions
    ]
    reported = {"account", *CONTRACT_COLUMNS, "quantity", "average_cost_usd"}
    schema = {name: kind for name, kind in POSITIONS.schema.items() if name in reported}
    marks = pl.concat(
        [
            options.select("con_id", mark=pl.when(_TWO_SIDED).then((pl.col("bid") + pl.col("ask")) / 2)),
            underlyings.select("con_id", mark="price"),
            futures.select("con_id", mark="price"),
        ]
    ).unique("con_id", keep="first", maintain_order=True)
    held = [position for position in positions if position.status is not PositionStatus.CLOSED]
    owners = (
        _legs(held).group_by("con_id").agg(position_ids=pl.col("position_id").unique().sort().str.join(","))
    )
    frame = pl.DataFrame(contracts, schema=schema)
    return (
        frame.join(marks, on="con_id", how="left")
        .join(owners, on="con_id", how="left")
        .with_columns(session=pl.lit(session), as_of=pl.lit(as_of, dtype=UTC_TIME))
        .with_columns(
            market_value_usd=pl.col("quantity") * pl.col("mark") * pl.col("multiplier"),
            unrealised_pnl_usd=pl.col("quantity")
            * (pl.col("mark") * pl.col("multiplier") - pl.col("average_cost_usd")),
            position_ids=pl.col("position_ids").fill_null(""),
        )
        .select(pl.col(name).cast(kind) for name, kind in POSITIONS.schema.items() if name not in _DERIVED)
        .sort("account", "con_id")
    )


def _positions(held: Sequence[StrategyPosition], session: date, as_of: datetime) -> pl.DataFrame:
    """The columns of STRATEGIES that a position knows itself, and what 100 % of its profit is."""
    rows = [
        {
            "account": position.account,
            "position_id": position.position_id,
            "underlying": position.underlying,
            "strategy": position.strategy,
            "status": position.status.value,
            "units": position.units,
            "multiplier": position.multiplier,
            "legs": _LEGS.dump_json(position.legs).decode(),
            "expiry": position.expiry,
            "opened_session": position.opened_session,
            "entry_price": position.entry_price,
            "entry_underlying": position.entry.underlying_price,
            "entry_iv30": position.entry.iv30,
            "entry_vix": position.entry.vix,
            "max_profit": position.max_profit,
            "max_loss": position.max_loss,
            "peak_captured": position.peak_captured,
            "rolls": position.rolls,
            "possible_profit": _possible_profit(position),
        }
        for position in held
    ]
    known = {name: kind for name, kind in STRATEGIES.schema.items() if name not in _VALUED}
    return pl.DataFrame(rows, schema=known | {"possible_profit": pl.Float64()}).with_columns(
        session=pl.lit(session),
        as_of=pl.lit(as_of, dtype=UTC_TIME),
        dte=(pl.col("expiry") - pl.lit(session)).dt.total_days(),
    )


def _possible_profit(position: StrategyPosition) -> float | None:
    """What 100 % captured is, per unit and share; None when there is no such amount."""
    if position.entry_price < 0:
        return -position.entry_price
    profit = position.max_profit if len(position.legs) > 1 else position.entry_price
    return profit if profit > 0 else None


def _legs(held: Sequence[StrategyPosition]) -> pl.DataFrame:
    rows = [
        (position.position_id, leg.contract.con_id, leg.signed_ratio)
        for position in held
        for leg in position.legs
    ]
    return pl.DataFrame(
        rows, schema={"position_id": pl.String, "con_id": pl.Int64, "signed_ratio": pl.Int64}, orient="row"
    )


def _quotes(options: pl.DataFrame, option_greeks: pl.DataFrame) -> pl.DataFrame:
    quotes = options.select(
        "con_id", "bid", "ask", "quoted_at", "market_data_type", *(pl.col(name) for name in _MODEL.values())
    )
    own = option_greeks.select("con_id", *_GREEKS)
    return quotes.join(own, on="con_id", how="left").with_columns(
        pl.coalesce(pl.col(name).fill_nan(None), pl.col(_MODEL[name])) for name in _GREEKS
    )


def _per_unit(legs: pl.DataFrame) -> pl.DataFrame:
    """Legs summed per position_id; a sum is null unless every leg has its part, and rid of binary noise."""
    ratio = pl.col("signed_ratio")
    bought = ratio > 0
    # Closing sells what was bought, at the bid, and buys back what was sold, at the ask.
    to_close = -ratio * pl.when(bought).then("bid").otherwise("ask")
    parts = {
        "mark": pl.when(_TWO_SIDED).then(ratio * (pl.col("bid") + pl.col("ask")) / 2),
        "cost_to_close": pl.when(_TWO_SIDED).then(to_close),
        **{name: ratio * pl.col(name) for name in _GREEKS},
    }
    return legs.group_by("position_id").agg(
        *(
            pl.when(part.is_not_null().all()).then(part.sum().round(9)).alias(name)
            for name, part in parts.items()
        ),
        short_delta=pl.when(pl.col("delta").is_not_null().all()).then(
            pl.col("delta").filter(ratio < 0).abs().max()
        ),
        quoted_at=pl.when(pl.col("quoted_at").is_not_null().all()).then(pl.col("quoted_at").min()),
        market_data_types="market_data_type",
    )
