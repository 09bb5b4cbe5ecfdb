"""What becomes of a subject whose rules have a winner.

Whatever a rule says, nothing is closed, rolled or opened without fresh quotes, while an order for the
position works, or without a size; the outcome then holds and tells which rule had fired.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from trading_pipelines.core.execution.combos import closing_legs
from trading_pipelines.core.risk.sizing import units
from trading_pipelines.core.rules.rolls import net_price
from trading_pipelines.domain.decisions import Candidate, NoCandidate, Plan
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.domain.orders import Action, EntryContext, OrderLeg
from trading_pipelines.domain.parameters import Parameters

_LEGS = TypeAdapter(tuple[OrderLeg, ...])


@dataclass(frozen=True)
class Outcome:
    """An action with its reason, and for actions that trade the units and the plan."""

    action: Action
    reason: str
    units: int = 0
    plan: Plan | None = None


def of_exit(
    winner: Mapping[str, Any],
    position: Mapping[str, Any],
    proposals: Mapping[str, Candidate | NoCandidate],
    contexts: Mapping[str, EntryContext],
    parameters: Parameters,
) -> Outcome:
    """What a position's winner comes to: `winner` is its EVALUATIONS row, `position` its STRATEGIES row."""
    fired = f"{winner['rule']} fired ({winner['detail']})"
    if position["status"] != "open":
        return Outcome(
            Action.HOLD, f"Hold: {fired}, but the position is {position['status']} by an order at work."
        )
    if position["data_status"] != "fresh":
        return Outcome(
            Action.HOLD, f"Hold: {fired}, but its quotes are {position['data_status']}: no price to act on."
        )
    legs = closing_legs(_LEGS.validate_json(position["legs"]))
    count: int = position["units"]
    close = Plan(closes=legs, opens=None, entry=None, rolls=position["rolls"])
    if winner["action"] != Action.ROLL:
        return Outcome(Action.CLOSE, f"Close {_of(count, position)}: {fired}.", count, close)
    proposal = _proposal(winner["subject"], proposals)
    if isinstance(proposal, NoCandidate):
        text = f"Close {_of(count, position)}: {fired}, and there is nothing to roll into: {proposal.reason}."
        return Outcome(Action.CLOSE, text, count, close)
    net = net_price(
        proposal,
        mark=position["mark"],
        cost_to_close=position["cost_to_close"],
        concession=parameters.execution.spread_concession,
    )
    if net >= 0:
        text = (
            f"Close {_of(count, position)}: {fired}, and rolling to {proposal.expiry} would cost {net:.2f}."
        )
        return Outcome(Action.CLOSE, text, count, close)
    return Outcome(
        Action.ROLL,
        f"Roll {_of(count, position)} to {proposal.expiry} for a net credit of {-net:.2f}: {fired}.",
        count,
        Plan(
            closes=legs,
            opens=proposal,
            entry=_context(proposal, contexts),
            rolls=position["rolls"] + 1,
        ),
    )


def of_entries(
    chosen: Mapping[str, Mapping[str, Any]],
    strategies: pl.DataFrame,
    proposals: Mapping[str, Candidate | NoCandidate],
    contexts: Mapping[str, EntryContext],
    net_liquidation: float | None,
    parameters: Parameters,
) -> Iterator[tuple[str, Outcome]]:
    """Outcomes of entries in the subjects' order: each one's max loss is budget the next does not have."""
    at_risk = strategies.select((pl.col("max_loss") * pl.col("multiplier") * pl.col("units")).sum()).item()
    for subject, winner in chosen.items():
        if not subject.startswith("entry:"):
            continue
        if winner["action"] == Action.NO_ENTRY:
            yield subject, Outcome(Action.NO_ENTRY, f"No entry: {winner['rule']} ({winner['detail']}).")
            continue
        proposal = _proposal(subject, proposals)
        if isinstance(proposal, NoCandidate):
            text = f"No entry: {winner['detail']}, but there is no candidate: {proposal.reason}."
            yield subject, Outcome(Action.NO_ENTRY, text)
            continue
        # The limit is never beyond the far side, so neither is the loss.
        unit_loss = proposal.max_loss_usd(proposal.natural)
        size = units(
            max_loss_usd=unit_loss,
            net_liquidation=net_liquidation,
            open_max_loss_usd=at_risk,
            parameters=parameters,
        )
        if size.units == 0:
            loss = f"one {proposal.strategy} may lose {unit_loss:,.0f} dollars"
            yield subject, Outcome(Action.NO_ENTRY, f"No entry: {loss}, too much by {size.bound_by}.")
            continue
        at_risk += unit_loss * size.units
        yield (
            subject,
            Outcome(
                Action.OPEN,
                f"Open {size.units} × {_describe(proposal)}: {winner['detail']}; size by {size.bound_by}.",
                size.units,
                Plan(closes=(), opens=proposal, entry=_context(proposal, contexts), rolls=0),
            ),
        )


def _context(candidate: Candidate, contexts: Mapping[str, EntryContext]) -> EntryContext:
    unknown = EntryContext(underlying_price=candidate.underlying_price, iv30=None, iv_rank=None, vix=None)
    return contexts.get(candidate.underlying, unknown)


def _proposal(subject: str, proposals: Mapping[str, Candidate | NoCandidate]) -> Candidate | NoCandidate:
    if subject not in proposals:
        raise MissingData(f"no proposal for {subject}", "pass what propose() made of the same evaluations")
    return proposals[subject]


def _of(count: int, position: Mapping[str, Any]) -> str:
    return f"{count} × {position['underlying']} {position['strategy']}"


def _describe(candidate: Candidate) -> str:
    strikes = "/".join(f"{leg.contract.strike:g}" for leg in candidate.legs)
    kind = "credit" if candidate.price < 0 else "debit"
    numbers = (
        f"{kind} {abs(candidate.price):.2f}, max loss {candidate.max_loss:.2f}, delta {candidate.delta:+.2f}"
    )
    return f"{candidate.underlying} {candidate.strategy} {strikes} {candidate.expiry} ({numbers})"
