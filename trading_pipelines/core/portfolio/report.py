"""What a person reads: after the close what each position did and why, before the open what it is near to.

Frames first; `end_of_day_text` and `plan_text` are the same rows as plain lines, for a message.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from trading_pipelines.core.rules.engine import distances
from trading_pipelines.domain.orders import Action

_PARTS = ("delta_pnl_usd", "gamma_pnl_usd", "vega_pnl_usd", "theta_pnl_usd")
_NEAREST = ("nearest_rule", "value", "threshold", "distance", "distance_share")


@dataclass(frozen=True)
class Plan:
    """The session to come.

    `positions`: position_id, underlying, strategy, nearest_rule, value, threshold, distance (in the rule's
    unit), distance_share (of the threshold), not_judged (rules without data).
    `entries`: underlying, allowed, strategy (empty when none is chosen), reason.
    """

    positions: pl.DataFrame
    entries: pl.DataFrame


def attribution(
    before: pl.DataFrame, after: pl.DataFrame, market_before: pl.DataFrame, market_after: pl.DataFrame
) -> pl.DataFrame:
    """Profit and loss by Greek of the positions held at both times, on the units held after.

    `before` and `after` are STRATEGIES rows of two ticks, the markets have underlying, price and iv30 at
    those ticks. Greeks are those before (a Taylor step, second order in price): delta·ΔS + ½·gamma·ΔS² +
    vega·ΔIV30 in points + theta·calendar days. What they do not explain is the residual; a part whose
    input is missing is null and falls to it. One row per position, dollars.
    """
    start = before.select(
        "position_id", "underlying", "mark", "delta", "gamma", "vega_per_vol_point", "theta_per_day", "as_of"
    )
    moves = market_before.select("underlying", "price", "iv30").join(
        market_after.select("underlying", price_after="price", iv30_after="iv30"), on="underlying"
    )
    held = after.select(
        "position_id", "strategy", "units", "multiplier", "dte", mark_after="mark", as_of_after="as_of"
    )
    dollars = pl.col("multiplier") * pl.col("units")
    step = pl.col("price_after") - pl.col("price")
    days = (pl.col("as_of_after") - pl.col("as_of")).dt.total_seconds() / 86_400
    return (
        start.join(held, on="position_id")
        .join(moves, on="underlying", how="left")
        .with_columns(
            pnl_usd=(pl.col("mark_after") - pl.col("mark")) * dollars,
            delta_pnl_usd=pl.col("delta") * step * dollars,
            gamma_pnl_usd=0.5 * pl.col("gamma") * step**2 * dollars,
            vega_pnl_usd=pl.col("vega_per_vol_point")
            * (pl.col("iv30_after") - pl.col("iv30"))
            * 100
            * dollars,
            theta_pnl_usd=pl.col("theta_per_day") * days * dollars,
        )
        .with_columns(residual_usd=pl.col("pnl_usd") - pl.sum_horizontal(_PARTS))
        .select("position_id", "underlying", "strategy", "units", "dte", "pnl_usd", *_PARTS, "residual_usd")
        .sort("position_id")
    )


def end_of_day(
    before: pl.DataFrame,
    after: pl.DataFrame,
    market_before: pl.DataFrame,
    market_after: pl.DataFrame,
    evaluations: pl.DataFrame,
) -> pl.DataFrame:
    """The attribution of each position with the exit rule that is nearest to firing, and its distance.

    `evaluations` are the last tick's; `distance` is in the rule's own unit, 0 or less has fired.
    """
    explained = attribution(before, after, market_before, market_after)
    nearest = _nearest(evaluations).select("subject", *_NEAREST)
    return explained.join(nearest, left_on="position_id", right_on="subject", how="left")


def session_report(
    strategies: pl.DataFrame, option_statistics: pl.DataFrame, evaluations: pl.DataFrame
) -> pl.DataFrame:
    """The end-of-day frame of one session from all its ticks, without distance_share.

    A position is followed from its first valuation in the session to the last tick; one that was closed
    before, or never valued, is not in it.
    """
    valued = strategies.filter(pl.col("mark").is_not_null()).sort("as_of")
    market = option_statistics.select("as_of", "underlying", "iv30", price="spot")
    last = pl.col("as_of") == pl.col("as_of").max()
    after, market_after = valued.filter(last), market.filter(last)
    first = valued.unique("position_id", keep="first", maintain_order=True)
    parts = [
        end_of_day(
            before, after, market.filter(pl.col("as_of") == as_of), market_after, evaluations.filter(last)
        )
        for (as_of,), before in first.group_by("as_of", maintain_order=True)
    ]
    empty = end_of_day(valued.clear(), valued.clear(), market.clear(), market.clear(), evaluations.clear())
    return pl.concat([empty, *parts]).drop("distance_share").sort("position_id")


def plan_rows(coming: "Plan") -> pl.DataFrame:
    """Positions and entries of a plan as rows: PLAN columns without the tick and the derived ones."""
    positions = coming.positions.select(
        "underlying",
        "strategy",
        "nearest_rule",
        "value",
        "threshold",
        "distance",
        subject="position_id",
        reason=_next(),
    )
    entries = coming.entries.select(
        "underlying", "strategy", "allowed", "reason", subject=pl.format("entry:{}", "underlying")
    )
    return pl.concat([positions, entries], how="diagonal")


def plan(evaluations: pl.DataFrame) -> Plan:
    """What positions are near to and which entries are allowed, by the latest evaluations.

    The quiet windows are left out: before the open they hold for every entry, and pass by themselves.
    """
    entry = pl.col("subject").str.starts_with("entry:")
    exits = evaluations.filter(~entry)
    unjudged = exits.group_by("subject").agg(not_judged=(~pl.col("evaluable")).sum())
    positions = (
        exits.select("subject", "underlying", "strategy")
        .unique("subject")
        .join(_nearest(exits), on="subject", how="left")
        .join(unjudged, on="subject", how="left")
        .select("underlying", "strategy", *_NEAREST, "not_judged", position_id="subject")
        .select("position_id", "underlying", "strategy", *_NEAREST, "not_judged")
        .sort("distance_share", "position_id", nulls_last=True)
    )
    rules = evaluations.filter(entry & (pl.col("rule") != "quiet_window")).sort("subject", "rule_number")
    blocks = pl.col("fired") & (pl.col("action") == Action.NO_ENTRY.value)
    chosen = pl.col("fired") & (pl.col("action") == Action.OPEN.value)
    entries = (
        rules.group_by("underlying", maintain_order=True)
        .agg(
            blocked=blocks.any(),
            strategy=pl.col("strategy").filter(chosen).first().fill_null(""),
            because=pl.format("{} ({})", "rule", "detail").filter(blocks).str.join("; "),
            last=pl.col("detail").last(),
        )
        .select(
            "underlying",
            "strategy",
            allowed=~pl.col("blocked") & (pl.col("strategy") != ""),
            reason=pl.when("blocked").then("because").otherwise("last"),
        )
        .select("underlying", "allowed", "strategy", "reason")
    )
    return Plan(positions=positions, entries=entries)


def end_of_day_text(report: pl.DataFrame, session: date) -> str:
    """The end-of-day frame as lines: result, its parts, and the next rule with its distance."""
    number = [
        pl.col(name).round(0).cast(pl.Int64).cast(pl.String).fill_null("?")
        for name in ("pnl_usd", *_PARTS, "residual_usd")
    ]
    lines = report.select(
        pl.format(
            "{} {} ×{}: {} dollars (delta {}, gamma {}, vega {}, theta {}, residual {}); {}",
            "underlying",
            "strategy",
            "units",
            *number,
            _next(),
        )
    )
    total = report.get_column("pnl_usd").sum()
    return "\n".join(
        [f"End of day {session}: {total:+,.0f} dollars in {report.height} positions", *_flat(lines)]
    )


def plan_text(coming: Plan, session: date) -> str:
    """The plan as lines: positions by how near they are to a rule, then entries."""
    positions = coming.positions.select(pl.format("{} {}: {}", "underlying", "strategy", _next()))
    entries = coming.entries.select(
        pl.format(
            "{}: {}",
            "underlying",
            pl.when("allowed")
            .then(pl.format("{} may be opened", "strategy"))
            .otherwise(pl.format("no entry, {}", "reason")),
        )
    )
    return "\n".join(
        [
            f"Plan for {session}",
            f"Positions, nearest to a rule first ({positions.height}):",
            *_flat(positions),
            "Entries:",
            *_flat(entries),
        ]
    )


def _nearest(evaluations: pl.DataFrame) -> pl.DataFrame:
    """Per subject the rule that is nearest to firing, by the share of its threshold that is missing."""
    return (
        distances(evaluations)
        .filter(pl.col("distance_share").is_not_null())
        .sort("subject", "distance_share", "rule_number")
        .unique("subject", keep="first", maintain_order=True)
        .select("subject", "value", "threshold", "distance", "distance_share", nearest_rule="rule")
    )


def _next() -> pl.Expr:
    numbers = [pl.col(name).round(2) for name in ("threshold", "value", "distance")]
    away = pl.format("next is {} at {}, now {}, {} away", "nearest_rule", *numbers)
    fired = pl.format("{} fires at {}, now {}", "nearest_rule", *numbers[:2])
    return (
        pl.when(pl.col("nearest_rule").is_null())
        .then(pl.lit("no rule could be judged"))
        .when(pl.col("distance") > 0)
        .then(away)
        .otherwise(fired)
    )


def _flat(lines: pl.DataFrame) -> list[str]:
    return [f"· {line}" for line in lines.to_series().to_list()]
