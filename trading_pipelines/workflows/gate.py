"""What must hold in the instant before an order leaves; asked again here, whatever was checked before."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from trading_pipelines.core.execution.pricing import collar, combo_quote
from trading_pipelines.core.market.quality import with_worthless_bids
from trading_pipelines.domain.errors import TradingError
from trading_pipelines.domain.orders import OrderIntent, OrderRecord, OrderState, RiskVerdict
from trading_pipelines.domain.parameters import Parameters
from trading_pipelines.domain.tables import CONTRACT_COLUMNS
from trading_pipelines.ports import Broker, Clock, Journal, MarketData

CLOCK_SKEW: Final = timedelta(seconds=2)
"""Times stamped by one clock may be apart by its second and a message's way."""
LIVE_PORTS: Final = frozenset({7496, 4001})
PAPER_PORTS: Final = frozenset({7497, 4002})
PAPER_PREFIX: Final = "D"
"""IB's paper accounts begin with D (DU, DF), live accounts never do."""


@dataclass(frozen=True)
class OrderPath:
    """Everything an order passes on its way; `mode` is simulated, paper or live."""

    broker: Broker
    market_data: MarketData
    journal: Journal
    clock: Clock
    parameters: Parameters
    mode: str


def refusal(path: OrderPath, intent: OrderIntent, verdict: RiskVerdict | None) -> str:
    """Why this intent must not be sent now; empty when it may.

    In order: kill switch, account, arming, verdict, size, other orders, caps, the legs' own quotes.
    """
    now = path.clock.now()
    checks: tuple[Callable[[], str], ...] = (
        lambda: _halted(path),
        lambda: _wrong_account(path, intent),
        lambda: _not_armed(path, intent, now),
        lambda: _no_verdict(intent, verdict, now),
        lambda: _wrong_size(path, intent),
        lambda: _in_the_way(path, intent),
        lambda: _capped(path, intent, now),
        lambda: _unfit_legs(path, intent),
    )
    return next((reason for check in checks if (reason := check())), "")


def _halted(path: OrderPath) -> str:
    reason = path.journal.halted()
    return f"trading is halted: {reason}" if reason is not None else ""


def _wrong_account(path: OrderPath, intent: OrderIntent) -> str:
    """Account, allow-list, port and mode must all say the same."""
    account, port, mode = intent.account, path.parameters.broker.port, path.mode
    allowed = path.parameters.account
    if account != allowed.account or account not in allowed.allowed:
        return f"account {account} is not the configured and allowed one"
    paper_account = account.startswith(PAPER_PREFIX)
    agrees = {
        "live": not paper_account and port in LIVE_PORTS,
        "paper": paper_account and port in PAPER_PORTS,
        "simulated": paper_account and port not in LIVE_PORTS,
    }
    return "" if agrees.get(mode) else f"mode {mode} does not go with account {account} at port {port}"


def _not_armed(path: OrderPath, intent: OrderIntent, now: datetime) -> str:
    if path.mode == "simulated" or path.journal.armed(path.mode, intent.account, now):
        return ""
    return f"mode {path.mode} is not armed for {intent.account}"


def _no_verdict(intent: OrderIntent, verdict: RiskVerdict | None, now: datetime) -> str:
    """A verdict counts for exactly the payload it was given for, while it is valid."""
    if verdict is None:
        return "there is no risk verdict"
    failed = ", ".join(check.name for check in verdict.checks if not check.passed)
    problems = (
        (
            (verdict.order_ref, verdict.decision_id) != (intent.order_ref, intent.decision_id),
            "the risk verdict is of another decision",
        ),
        (verdict.payload_hash != intent.payload_hash, "the risk verdict is of another payload"),
        (not verdict.approved, f"risk did not approve: {failed or 'no check was made'}"),
        (now > verdict.valid_until, f"the risk verdict ended at {verdict.valid_until}, it is {now}"),
        (verdict.checked_at > now + CLOCK_SKEW, f"the risk verdict is of {verdict.checked_at}, it is {now}"),
    )
    return next((text for found, text in problems if found), "")


def _wrong_size(path: OrderPath, intent: OrderIntent) -> str:
    largest = path.parameters.risk.max_units_per_order
    if not 1 <= intent.units <= largest:
        return f"{intent.units} units, where 1 to {largest} are allowed"
    if intent.opens is not None:
        return ""
    held = next((p for p in path.journal.positions() if p.position_id == intent.position_id), None)
    if held is None or intent.units > held.units:
        return (
            f"it closes {intent.units} units of {intent.position_id}, which holds {held.units if held else 0}"
        )
    return ""


def _in_the_way(path: OrderPath, intent: OrderIntent) -> str:
    """Unknown means no new orders; a position has one order at a time."""
    for record in path.journal.orders(unresolved=True):
        other = record.intent
        if other.order_ref == intent.order_ref:
            continue
        if record.state in (OrderState.SENDING, OrderState.UNKNOWN):
            return f"nobody knows whether order {other.order_ref} works: resolve it first"
        if record.state is OrderState.NEEDS_HUMAN and other.underlying == intent.underlying:
            return f"{intent.underlying} is frozen: order {other.order_ref} waits for a person"
        if other.position_id == intent.position_id:
            return f"order {other.order_ref} of position {intent.position_id} still works"
    return ""


def _capped(path: OrderPath, intent: OrderIntent, now: datetime) -> str:
    limits = path.parameters.risk
    sent = [record for record in path.journal.orders(session=intent.session) if was_sent(record)]
    if len(sent) >= limits.max_orders_per_day:
        return f"{len(sent)} orders were sent this session, the cap is {limits.max_orders_per_day}"
    recent = [record for record in sent if record.recorded_at > now - timedelta(minutes=1)]
    if len(recent) >= limits.max_orders_per_minute:
        return f"{len(recent)} orders were sent within a minute, the cap is {limits.max_orders_per_minute}"
    return ""


def was_sent(record: OrderRecord) -> bool:
    """Whether the order reached SENDING: from there on it counts as an order at the broker."""
    return record.epoch is not None


def _unfit_legs(path: OrderPath, intent: OrderIntent) -> str:
    """Ask the order's own legs again: two-sided, live, fresh, and the limit near their mid."""
    contracts = [leg.contract.model_dump(include=set(CONTRACT_COLUMNS)) for leg in intent.legs]
    try:
        quotes = path.market_data.quotes(
            pl.DataFrame(contracts, schema=CONTRACT_COLUMNS),
            timeout_seconds=path.parameters.snapshots.timeout_seconds,
        )
        now = path.clock.now()
    except TradingError as error:
        return f"its legs cannot be quoted: {error.problem}"
    oldest = now - timedelta(seconds=path.parameters.risk.max_quote_age_seconds)
    live = list(path.parameters.quality.live_types)
    unfit = quotes.filter(
        ~(
            (pl.col("status") == "ok")
            & pl.col("market_data_type").is_in(live)
            & pl.col("quoted_at").is_between(oldest, now + CLOCK_SKEW)
        ).fill_null(value=False)
    )
    if unfit.height or set(quotes["con_id"]) != {leg.contract.con_id for leg in intent.legs}:
        return f"a leg is not quoted live and fresh: {_names(intent, unfit['con_id'].to_list())}"
    sides = with_worthless_bids(quotes.select("con_id", "bid", "ask"), path.parameters.quality)
    market = {con_id: (bid, ask) for con_id, bid, ask in sides.iter_rows()}
    unit = combo_quote(intent.legs, market)
    if unit is None:
        one_sided = [
            con_id for con_id, (bid, ask) in market.items() if bid is None or ask is None or bid > ask
        ]
        return f"a leg is one-sided or crossed: {_names(intent, one_sided)}"
    reach = collar(unit.mid, path.parameters.risk) + path.parameters.execution.price_increment
    if not abs(intent.limit_price - unit.mid) <= reach:
        return f"limit {intent.limit_price:.2f} is more than {reach:.2f} from mid {unit.mid:.2f}"
    return ""


def _names(intent: OrderIntent, con_ids: list[int]) -> str:
    named = [
        leg.contract.local_symbol or str(leg.contract.con_id)
        for leg in intent.legs
        if leg.contract.con_id in con_ids
    ]
    return ", ".join(named) or "of the unit"
