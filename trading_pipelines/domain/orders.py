"""Orders: what we intend, what the risk check says, what the broker reports, what was filled."""

import hashlib
from datetime import date, datetime
from enum import StrEnum

from trading_pipelines.domain.contracts import Contract, Side
from trading_pipelines.domain.model import Model


class Action(StrEnum):
    """What a decision does to a position."""

    HOLD = "hold"
    OPEN = "open"
    CLOSE = "close"
    REDUCE = "reduce"
    ROLL = "roll"
    NO_ENTRY = "no_entry"


class OrderState(StrEnum):
    """Where an intent stands in its life; `core/execution/lifecycle.py` holds the allowed moves."""

    INTENT = "intent"
    SENDING = "sending"
    ACKED = "acked"
    WORKING = "working"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCEL_SENT = "cancel_sent"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    PROVEN_ABSENT = "proven_absent"
    NEEDS_HUMAN = "needs_human"
    ABANDONED = "abandoned"


class OrderLeg(Model):
    """One leg of an order: `ratio` contracts per unit, bought or sold when the unit is bought."""

    contract: Contract
    ratio: int
    side: Side

    @property
    def signed_ratio(self) -> int:
        """Contracts gained per unit bought; negative for a sold leg."""
        return self.ratio * self.side.sign


class EntryContext(Model):
    """The market when a position was opened, for rules that compare with it; None was not known."""

    underlying_price: float
    iv30: float | None
    iv_rank: float | None
    vix: float | None


class OpeningTerms(Model):
    """What an opening order creates: `max_profit` and `max_loss` per unit and share at the limit price.

    Both are positive. A fill at another price moves them by the difference, in opposite directions.
    """

    max_profit: float
    max_loss: float
    entry: EntryContext
    rolls: int


class OrderIntent(Model):
    """An order we mean to send, complete and immutable.

    The unit is always bought: a credit is a negative `limit_price`. `limit_price` is the net
    debit of one unit per share of the underlying, before the multiplier. `after` names the
    order that must be filled first (the closing half of a roll).
    """

    order_ref: str
    decision_id: str
    account: str
    session: date
    as_of: datetime
    attempt: int
    position_id: str
    underlying: str
    strategy: str
    action: Action
    rule: str
    legs: tuple[OrderLeg, ...]
    units: int
    limit_price: float
    tif: str
    multiplier: float
    opens: OpeningTerms | None
    """None for an order that closes or reduces."""
    after: str | None = None

    @property
    def max_loss_usd(self) -> float:
        """Largest loss of the order's units held to expiry; 0 for an order that closes."""
        return self.opens.max_loss * self.multiplier * self.units if self.opens else 0.0

    @property
    def payload_hash(self) -> str:
        """SHA-256 of what the broker would be sent: the same ref with another payload stops."""
        legs = ";".join(f"{leg.contract.con_id}:{leg.signed_ratio}" for leg in self.legs)
        payload = f"{self.account}|{self.order_ref}|{legs}|{self.units}|{self.limit_price:.6f}|{self.tif}"
        return hashlib.sha256(payload.encode()).hexdigest()


class CheckResult(Model):
    """One pre-trade check: what was measured, against what limit, and whether it passed."""

    name: str
    passed: bool
    value: float | None = None
    limit: float | None = None
    detail: str = ""


class RiskVerdict(Model):
    """The risk check's answer for one intent, good until `valid_until` on the Clock."""

    order_ref: str
    decision_id: str
    payload_hash: str
    checks: tuple[CheckResult, ...]
    checked_at: datetime
    valid_until: datetime

    @property
    def approved(self) -> bool:
        """True when there is at least one check and every one of them passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)


class BrokerOrder(Model):
    """What the broker says of one order now. Identity is `order_ref` and `perm_id`, never `order_id`."""

    order_ref: str
    order_id: int
    perm_id: int
    client_id: int
    account: str
    status: str
    filled: float
    remaining: float
    average_price: float
    con_ids: tuple[int, ...]


class OrderRecord(Model):
    """An intent with all the journal knows of its life."""

    intent: OrderIntent
    state: OrderState
    order_id: int | None
    client_id: int | None
    perm_id: int | None
    epoch: int | None
    filled: float
    average_price: float | None
    detail: str
    recorded_at: datetime
    updated_at: datetime


class Fill(Model):
    """One execution. A combo yields one fill for the whole and one per leg; positions come from legs.

    `exec_id` is IB's; its last part counts corrections: a higher suffix supersedes the same prefix.
    """

    exec_id: str
    order_ref: str
    perm_id: int
    account: str
    contract: Contract
    side: Side
    quantity: float
    price: float
    filled_at: datetime
    commission: float | None
    realised_pnl: float | None

    @property
    def exec_key(self) -> str:
        """The execution without its correction count."""
        return self.exec_id.rpartition(".")[0]

    @property
    def correction(self) -> int:
        """How often this execution was corrected, as IB counts (1 is the original)."""
        return int(self.exec_id.rpartition(".")[2])


class MarginImpact(Model):
    """What a what-if order would do to margin, in account currency; None where the broker left it unset."""

    initial_margin_change: float | None
    maintenance_margin_change: float | None
    equity_with_loan: float | None
    commission: float | None
