"""Rules that close a position on its own numbers: stop loss, take profit, time.

Stop loss and take profit need a fresh mark. The time exit is a matter of dates and stays evaluable on
stale or missing quotes; `decide` then holds, with that reason, because no order goes out without a price.
Losses are in points per unit and share, measured at mid.
"""

import polars as pl

from trading_pipelines.core.rules.rule import Condition
from trading_pipelines.domain.parameters import ExitParameters, Parameters

SINGLES = ("long_call", "long_put")
"""Strategies that are one bought option."""

_FRESH = pl.col("data_status") == "fresh"
_STALE = pl.format("the position's quotes are {}", pl.col("data_status").fill_null("missing"))


def stop_loss(parameters: Parameters) -> Condition:
    """Loss ≥ min(multiple × credit, share of max loss), tighter when late; debit: a share of the cost."""
    exits = parameters.exits
    credit = -pl.col("entry_price")
    late = pl.col("dte") < exits.late_dte
    credit_limit = (
        pl.when(late)
        .then(
            pl.min_horizontal(
                exits.stop_loss_late_credit_multiple * credit,
                exits.stop_loss_late_max_loss_share * pl.col("max_loss"),
            )
        )
        .otherwise(
            pl.min_horizontal(
                exits.stop_loss_credit_multiple * credit, exits.stop_loss_max_loss_share * pl.col("max_loss")
            )
        )
    )
    debit_limit = exits.stop_loss_debit_share * pl.col("entry_price")
    loss = pl.col("entry_price") - pl.col("mark")
    limit = pl.when(credit > 0).then(credit_limit).otherwise(debit_limit)
    return Condition(
        value=loss,
        threshold=limit,
        applies=pl.col("entry_price") != 0,
        evaluable=_FRESH,
        why_not=_STALE,
        detail=pl.format(
            "loss of {} points, limit {} ({} {} at entry, max loss {}, {} days to expiry)",
            loss.round(2),
            limit.round(2),
            pl.when(credit > 0).then(pl.lit("credit")).otherwise(pl.lit("debit")),
            credit.abs().round(2),
            pl.col("max_loss").round(2),
            "dte",
        ),
    )


def take_profit(parameters: Parameters) -> Condition:
    """Captured ≥ a percentage of the possible profit; of the cost for a single bought option."""
    exits = parameters.exits
    single = pl.col("strategy").is_in(SINGLES)
    limit = pl.when(single).then(exits.take_profit_single).otherwise(exits.take_profit_captured)
    return Condition(
        value=pl.col("captured_percent"),
        threshold=limit,
        evaluable=_FRESH,
        why_not=_STALE,
        detail=pl.format(
            "captured {} % of {}, limit {} %",
            pl.col("captured_percent").round(1),
            pl.when(single).then(pl.lit("its cost")).otherwise(pl.lit("the possible profit")),
            limit.round(1),
        ),
    )


def time_exit(parameters: Parameters) -> Condition:
    """Days to expiry ≤ time_exit_dte when no roll is allowed any more, ≤ expiry_exit_dte in any case."""
    exits = parameters.exits
    limit = (
        pl.when(may_roll(exits))
        .then(exits.expiry_exit_dte)
        .otherwise(max(exits.time_exit_dte, exits.expiry_exit_dte))
    )
    return Condition(
        value=pl.col("dte"),
        threshold=limit,
        detail=pl.format(
            "{} days to expiry, limit {} ({} of {} rolls done{})",
            "dte",
            limit,
            "rolls",
            pl.lit(exits.max_rolls),
            pl.lit("" if exits.roll_enabled else ", rolling is off"),
        ),
    )


def may_roll(exits: ExitParameters) -> pl.Expr:
    """True where the position may still be rolled."""
    return pl.lit(exits.roll_enabled) & (pl.col("rolls") < exits.max_rolls)
