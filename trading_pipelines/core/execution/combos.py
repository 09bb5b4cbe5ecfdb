"""From decisions to orders: identities that survive a retry, and the combos they stand for.

A decision is identified by what was asked at which tick of which subject: no run, no quotes, no strikes.
So a retried tick with other quotes meets its own earlier order, and a different payload under the same
reference stops there instead of becoming a second order.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from trading_pipelines.core.execution.pricing import ComboQuote, Quote, combo_quote, limit_price
from trading_pipelines.core.market.quality import with_worthless_bids
from trading_pipelines.domain.decisions import Candidate, Plan
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.domain.orders import Action, OpeningTerms, OrderIntent, OrderLeg
from trading_pipelines.domain.parameters import Parameters
from trading_pipelines.domain.positions import StrategyPosition
from trading_pipelines.domain.tables import INTENTS

ORDERING = (Action.OPEN, Action.CLOSE, Action.REDUCE, Action.ROLL)
"""Actions that send orders."""
URGENT_RULES = frozenset({"catastrophe", "stop_loss"})
"""Rules that pay the urgent concession; so does closing a position that expires within expiry_exit_dte."""


def decision_id(account: str, session: date, as_of: datetime, subject: str, action: str) -> str:
    """The identity of a decision: 32 hexadecimal digits."""
    at = as_of.astimezone(UTC).isoformat()
    key = f"{account}|{session.isoformat()}|{at}|{subject}|{action}"
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def order_ref(account: str, decision_id: str, attempt: int) -> str:
    """The order's identity at the broker: 24 ASCII characters. `attempt` numbers a decision's orders."""
    digest = hashlib.sha256(f"{account}|{decision_id}|{attempt}".encode()).digest()
    return "tp1-" + base64.b32encode(digest).decode()[:20].lower()


def position_id(decision_id: str) -> str:
    """The identity of the position that a decision opens."""
    return f"pos-{hashlib.sha256(decision_id.encode()).hexdigest()[:16]}"


def closing_legs(legs: tuple[OrderLeg, ...]) -> tuple[OrderLeg, ...]:
    """The legs that undo `legs`: the same contracts, opposite sides."""
    return tuple(leg.model_copy(update={"side": leg.side.opposite}) for leg in legs)


def intents(
    decisions: pl.DataFrame,
    positions: Mapping[str, StrategyPosition],
    quotes: pl.DataFrame,
    account: str,
    parameters: Parameters,
) -> tuple[OrderIntent, ...]:
    """The orders that DECISIONS rows ask for, in their order; HOLD and NO_ENTRY ask for none.

    `positions` by position_id; `quotes` has con_id, bid, ask of the tick that was decided on. A roll
    yields two orders, the second `after` the first. MissingData when a leg's quote or a position that
    the decision was made on is not there: then decision and inputs are not of one tick.
    """
    sides = with_worthless_bids(quotes.select("con_id", "bid", "ask"), parameters.quality)
    market = {con_id: (bid, ask) for con_id, bid, ask in sides.iter_rows()}
    acting = decisions.filter(pl.col("action").is_in([action.value for action in ORDERING]))
    return tuple(
        intent
        for row in acting.iter_rows(named=True)
        for intent in _orders(row, positions, market, account, parameters)
    )


def read(rows: pl.DataFrame) -> tuple[OrderIntent, ...]:
    """The intents that INTENTS rows hold, in the order they are judged and sent: `after` comes after.

    The lake sorts rows by reference, which is a hash: a roll's opening half must not overtake the close.
    """
    orders = [OrderIntent.model_validate_json(text) for text in rows["intent"]]
    return tuple(sorted(orders, key=lambda order: order.after is not None))


def frame(orders: tuple[OrderIntent, ...]) -> pl.DataFrame:
    """INTENTS rows, without the derived columns."""
    schema = INTENTS.content
    plain = [name for name in schema if name != "intent"]
    rows = [
        {name: getattr(order, name) for name in plain} | {"intent": order.model_dump_json()}
        for order in orders
    ]
    return pl.DataFrame(rows, schema=schema)


def _orders(
    row: dict[str, Any],
    positions: Mapping[str, StrategyPosition],
    market: Mapping[int, Quote],
    account: str,
    parameters: Parameters,
) -> Iterator[OrderIntent]:
    plan = Plan.model_validate_json(row["plan"])
    names = ("decision_id", "session", "as_of", "underlying", "strategy", "rule", "units")
    common = {name: row[name] for name in names} | {
        "account": account,
        "tif": parameters.execution.time_in_force,
    }
    first = order_ref(account, row["decision_id"], 1)
    if plan.closes:
        held = positions.get(row["subject"])
        if held is None or closing_legs(held.legs) != plan.closes:
            raise MissingData(
                f"decision {row['decision_id']} closes {row['subject']}, which is not held as it was planned"
            )
        urgent = _is_urgent(row, held, parameters)
        yield OrderIntent(
            **common,
            order_ref=first,
            attempt=1,
            position_id=held.position_id,
            action=Action.REDUCE if row["action"] == Action.REDUCE else Action.CLOSE,
            legs=plan.closes,
            limit_price=_limit(row, plan.closes, market, parameters, urgent=urgent),
            multiplier=held.multiplier,
            opens=None,
        )
    if plan.opens:
        attempt = 2 if plan.closes else 1
        price = _limit(row, plan.opens.legs, market, parameters, urgent=False)
        yield OrderIntent(
            **common,
            order_ref=order_ref(account, row["decision_id"], attempt),
            attempt=attempt,
            position_id=position_id(row["decision_id"]),
            action=Action.OPEN,
            legs=plan.opens.legs,
            limit_price=price,
            multiplier=plan.opens.multiplier,
            opens=_terms(plan, plan.opens, price),
            after=first if plan.closes else None,
        )


def _terms(plan: Plan, candidate: Candidate, price: float) -> OpeningTerms:
    """The candidate's profit and loss at another price than its mid."""
    if plan.entry is None:
        raise MissingData(
            f"the plan to open {candidate.strategy} on {candidate.underlying} knows no entry context"
        )
    worse = price - candidate.price
    return OpeningTerms(
        max_profit=round(candidate.max_profit - worse, 9),
        max_loss=round(candidate.max_loss + worse, 9),
        entry=plan.entry,
        rolls=plan.rolls,
    )


def _is_urgent(row: dict[str, Any], held: StrategyPosition, parameters: Parameters) -> bool:
    session: date = row["session"]
    expires = held.expiry is not None and (held.expiry - session).days <= parameters.exits.expiry_exit_dte
    return row["rule"] in URGENT_RULES or expires


def _limit(
    row: dict[str, Any],
    legs: tuple[OrderLeg, ...],
    market: Mapping[int, Quote],
    parameters: Parameters,
    *,
    urgent: bool,
) -> float:
    quote: ComboQuote | None = combo_quote(legs, market)
    if quote is None:
        raise MissingData(
            f"decision {row['decision_id']} for {row['subject']} has a leg without a two-sided quote",
            "pass the quotes of the tick that was decided on",
        )
    return limit_price(quote, parameters.execution, parameters.risk, urgent=urgent)
