"""From evaluations to decisions: the winner's outcome, or HOLD and NO_ENTRY with the reason why."""

from collections.abc import Mapping
from datetime import date, datetime

import polars as pl

from trading_pipelines.core.execution.combos import decision_id
from trading_pipelines.core.rules.engine import distances, winners
from trading_pipelines.core.rules.outcomes import of_entries, of_exit
from trading_pipelines.domain.decisions import Candidate, NoCandidate
from trading_pipelines.domain.orders import Action, EntryContext
from trading_pipelines.domain.parameters import Parameters
from trading_pipelines.domain.tables import DECISIONS

_ADDED_LATER = {"inputs", "config_hash", "run_id", "code_version"}
_RULE_COLUMNS = ("rule_number", "rule", "strategy", "evaluable", "fired", "value", "threshold", "detail")
_STATE_COLUMNS = (
    "units",
    "dte",
    "entry_price",
    "max_profit",
    "max_loss",
    "mark",
    "cost_to_close",
    "captured_percent",
    "peak_captured",
    "delta",
    "gamma",
    "vega_per_vol_point",
    "theta_per_day",
    "rolls",
    "data_status",
)


def decide(
    evaluations: pl.DataFrame,
    strategies: pl.DataFrame,
    proposals: Mapping[str, Candidate | NoCandidate],
    regime: pl.DataFrame,
    market: pl.DataFrame,
    net_liquidation: float | None,
    parameters: Parameters,
    session: date,
    as_of: datetime,
) -> pl.DataFrame:
    """DECISIONS rows of every subject evaluated, without inputs, config_hash and the derived columns.

    `proposals` are engine.propose's; MissingData when a winner needs one that is not there. MARKET_REGIME
    rows and catastrophe.MARKET_COLUMNS give the entry context; `net_liquidation` sizes entries. `plan` is
    a Plan as JSON for actions that trade, else null; `evidence` holds every rule's values and the position's.
    """
    account = parameters.account.account
    chosen = {row["subject"]: row for row in winners(evaluations).iter_rows(named=True)}
    positions = {
        row["position_id"]: row
        for row in strategies.filter(pl.col("position_id").is_in(list(chosen))).iter_rows(named=True)
    }
    contexts = _contexts(regime, market)
    outcomes = {
        subject: of_exit(winner, positions[subject], proposals, contexts, parameters)
        for subject, winner in chosen.items()
        if subject in positions
    }
    outcomes |= dict(of_entries(chosen, strategies, proposals, contexts, net_liquidation, parameters))
    rows = [
        {
            "subject": subject,
            "acts": outcome.action.value,
            "rule": chosen[subject]["rule"],
            "why": outcome.reason,
            "units": outcome.units,
            "plan": outcome.plan.model_dump_json() if outcome.plan else None,
        }
        for subject, outcome in outcomes.items()
    ]
    schema = {"subject": pl.String, "acts": pl.String, "rule": pl.String, "why": pl.String, "units": pl.Int64}
    won = pl.DataFrame(rows, schema=schema | {"plan": pl.String})
    decided = (
        _defaults(evaluations)
        .join(won, on="subject", how="left")
        .with_columns(
            session=pl.lit(session),
            account=pl.lit(account),
            action=pl.coalesce("acts", "action"),
            reason=pl.coalesce("why", "reason"),
            rule=pl.col("rule").fill_null("none"),
            units=pl.col("units").fill_null(0),
        )
    )
    ids = [
        decision_id(account, session, as_of, subject, action)
        for subject, action in decided.select("subject", "action").iter_rows()
    ]
    return (
        decided.with_columns(pl.Series("decision_id", ids, dtype=pl.String))
        .join(_evidence(evaluations, strategies), on="subject", how="left")
        .select(
            pl.col(name).cast(kind) for name, kind in DECISIONS.schema.items() if name not in _ADDED_LATER
        )
    )


def _defaults(evaluations: pl.DataFrame) -> pl.DataFrame:
    """One row per subject: HOLD with the rule nearest to firing, or NO_ENTRY with what the regime said."""
    nearest = (
        distances(evaluations)
        .filter(pl.col("distance_share").is_not_null())
        .sort("subject", "distance_share", "rule_number")
        .unique("subject", keep="first", maintain_order=True)
        .select("subject", near=pl.format("{} ({})", "rule", "detail"))
    )
    judged = pl.col("evaluable").sum()
    subjects = evaluations.group_by("subject", maintain_order=True).agg(
        pl.col("as_of", "underlying").first(),
        strategy=pl.col("strategy").filter(pl.col("strategy") != "").first().fill_null(""),
        judged=judged,
        rules=pl.len(),
        last=pl.col("detail").last(),
    )
    entry = pl.col("subject").str.starts_with("entry:")
    return subjects.join(nearest, on="subject", how="left").select(
        "subject",
        "as_of",
        "underlying",
        "strategy",
        action=pl.when(entry).then(pl.lit(Action.NO_ENTRY.value)).otherwise(pl.lit(Action.HOLD.value)),
        reason=pl.when(entry)
        .then(pl.format("No entry: {}.", "last"))
        .otherwise(
            pl.format(
                "Hold: none of {} rules fired, {} could be judged; nearest is {}.",
                "rules",
                "judged",
                pl.col("near").fill_null("unknown"),
            )
        ),
    )


def _evidence(evaluations: pl.DataFrame, strategies: pl.DataFrame) -> pl.DataFrame:
    """Per subject a JSON object: `rules`, a list of every rule's values, and `position`, what was valued."""
    rules = evaluations.group_by("subject", maintain_order=True).agg(rules=pl.struct(_RULE_COLUMNS))
    state = strategies.select(subject="position_id", position=pl.struct(_STATE_COLUMNS))
    joined = rules.join(state, on="subject", how="left")
    return joined.select("subject", evidence=pl.struct("rules", "position").struct.json_encode())


def _contexts(regime: pl.DataFrame, market: pl.DataFrame) -> dict[str, EntryContext]:
    joined = regime.select("underlying", "iv_rank", "vix").join(
        market.select("underlying", "price", "iv30"), on="underlying", how="inner"
    )
    return {
        underlying: EntryContext(underlying_price=price, iv30=iv30, iv_rank=iv_rank, vix=vix)
        for underlying, iv_rank, vix, price, iv30 in joined.iter_rows()
        if price is not None
    }
