"""All rules over all subjects; the lowest number that fires wins, and nothing happens when none does.

A tick's decisions take three steps, so that the chain is asked only for what a rule wants:

    evaluations = pl.concat([evaluate_exits(…), evaluate_entries(…)])
    proposals = propose(evaluations, strategies, chain, …)      what rolls and entries would open
    decisions = decide(evaluations, strategies, proposals, …)   core/rules/decisions.py
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime

import polars as pl

from trading_pipelines.core.rules import catastrophe, entries, exits, rolls
from trading_pipelines.core.rules.rule import Rule, Sense, evaluate
from trading_pipelines.core.strategies.selection import select
from trading_pipelines.core.strategies.strikes import CHAIN_COLUMNS
from trading_pipelines.domain.decisions import Candidate, NoCandidate
from trading_pipelines.domain.orders import Action
from trading_pipelines.domain.parameters import Parameters

EXIT_RULES: tuple[Rule, ...] = (
    Rule(10, "catastrophe", Action.CLOSE, Sense.AT_LEAST, catastrophe.catastrophe),
    Rule(40, "stop_loss", Action.CLOSE, Sense.AT_LEAST, exits.stop_loss),
    Rule(50, "take_profit", Action.CLOSE, Sense.AT_LEAST, exits.take_profit),
    Rule(80, "time_exit", Action.CLOSE, Sense.AT_MOST, exits.time_exit),
    Rule(120, "dte_roll", Action.ROLL, Sense.AT_MOST, rolls.dte_roll),
)
"""What ends a position, by priority."""

ENTRY_RULES: tuple[Rule, ...] = (
    Rule(10, "disabled", Action.NO_ENTRY, Sense.AT_LEAST, entries.disabled),
    Rule(20, "quiet_window", Action.NO_ENTRY, Sense.AT_LEAST, entries.quiet_window),
    Rule(30, "event_date", Action.NO_ENTRY, Sense.AT_LEAST, entries.event_date),
    Rule(40, "locked_symbol", Action.NO_ENTRY, Sense.AT_LEAST, entries.locked_symbol),
    Rule(50, "missing_inputs", Action.NO_ENTRY, Sense.AT_LEAST, entries.missing_inputs),
    Rule(60, "vix_limit", Action.NO_ENTRY, Sense.ABOVE, entries.vix_limit),
    Rule(70, "data_quality", Action.NO_ENTRY, Sense.BELOW, entries.data_quality),
    Rule(80, "reconciliation", Action.NO_ENTRY, Sense.AT_LEAST, entries.reconciliation),
    Rule(90, "unresolved_order", Action.NO_ENTRY, Sense.AT_LEAST, entries.unresolved_order),
    Rule(100, "max_positions", Action.NO_ENTRY, Sense.AT_LEAST, entries.max_positions),
    Rule(110, "entered_today", Action.NO_ENTRY, Sense.AT_LEAST, entries.entered_today),
    Rule(200, "regime", Action.OPEN, Sense.AT_LEAST, entries.regime),
)
"""What forbids an entry, by priority, and last what chooses it."""


def evaluate_exits(
    strategies: pl.DataFrame, market: pl.DataFrame, parameters: Parameters, as_of: datetime
) -> pl.DataFrame:
    """EVALUATIONS rows: every exit rule of every STRATEGIES row at `as_of`.

    `market` has catastrophe.MARKET_COLUMNS; an underlying that is not in it is not fresh.
    """
    positions = strategies.filter(pl.col("as_of") == as_of).with_columns(subject="position_id")
    return evaluate(EXIT_RULES, positions.join(market, on="underlying", how="left"), parameters)


def evaluate_entries(
    regime: pl.DataFrame,
    option_quality: pl.DataFrame,
    strategies: pl.DataFrame,
    parameters: Parameters,
    session: date,
    as_of: datetime,
    *,
    reconciliation: pl.DataFrame,
    unresolved: Collection[str],
) -> pl.DataFrame:
    """EVALUATIONS rows: every entry rule of every traded underlying; the subject is `entry:<underlying>`.

    `unresolved` names underlyings with an order that may still work at the broker.
    """
    subjects = entries.inputs(
        regime, option_quality, strategies, reconciliation, unresolved, parameters, session, as_of
    )
    return evaluate(ENTRY_RULES, subjects, parameters)


def winners(evaluations: pl.DataFrame) -> pl.DataFrame:
    """The EVALUATIONS row of the lowest number that fired, for each subject that has one."""
    fired = evaluations.filter("fired").sort("subject", "rule_number")
    return fired.unique("subject", keep="first", maintain_order=True)


def distances(evaluations: pl.DataFrame, rules: Sequence[Rule] = EXIT_RULES) -> pl.DataFrame:
    """EVALUATIONS rows that could be judged, with how far each is from firing.

    Adds `distance` in the rule's own unit and `distance_share` of its threshold; 0 or less has fired.
    """
    value, threshold = pl.col("value"), pl.col("threshold")
    distance = pl.coalesce(
        pl.when(pl.col("rule") == rule.name).then(rule.sense.distance(value, threshold)) for rule in rules
    )
    scale = pl.when(threshold != 0).then(threshold.abs()).otherwise(1.0)
    return (
        evaluations.filter("evaluable")
        .with_columns(distance=distance)
        .with_columns(distance_share=pl.col("distance") / scale)
    )


def propose(
    evaluations: pl.DataFrame,
    strategies: pl.DataFrame,
    chain: pl.DataFrame,
    session: date,
    parameters: Parameters,
) -> dict[str, Candidate | NoCandidate]:
    """By subject, what a winning roll or entry would open, chosen from strikes.CHAIN_COLUMNS of this tick."""
    chains = {key[0]: rows for key, rows in chain.partition_by("underlying", as_dict=True).items()}
    expiries = strategies.select("expiry", subject="position_id")
    wanted = (
        winners(evaluations)
        .filter(pl.col("action").is_in([Action.ROLL, Action.OPEN]))
        .join(expiries, on="subject", how="left")
        .select("subject", "underlying", "strategy", "expiry")
    )
    empty = pl.DataFrame(schema=CHAIN_COLUMNS)
    found: dict[tuple[str, str, date | None], Candidate | NoCandidate] = {}
    proposals = {}
    for subject, underlying, strategy, expiry in wanted.iter_rows():
        key = (underlying, strategy, expiry)
        if key not in found:
            rows = chains.get(underlying, empty)
            proposal = select(rows, strategy, session, parameters, after=expiry)
            found[key] = proposal.model_copy(update={"underlying": underlying})
        proposals[subject] = found[key]
    return proposals
