"""What a decision proposes and plans, and alerts; evaluations and decisions are frames (`tables.py`)."""

from datetime import date, datetime
from enum import StrEnum

from trading_pipelines.domain.model import Model
from trading_pipelines.domain.orders import EntryContext, OrderLeg


class Candidate(Model):
    """One unit that could be opened. All prices are per unit and share; the unit is always bought.

    `price` is the net debit at mid, `natural` at the far sides of the market; a credit is negative.
    `max_profit` and `max_loss` are positive and hold at `price`. Greeks carry the sign of holding it.
    """

    underlying: str
    strategy: str
    legs: tuple[OrderLeg, ...]
    multiplier: float
    expiry: date
    dte: int
    underlying_price: float
    width: float
    price: float
    natural: float
    max_profit: float
    max_loss: float
    break_evens: tuple[float, ...]
    delta: float
    gamma: float
    vega_per_vol_point: float
    theta_per_day: float
    short_delta: float
    """Largest absolute delta among the sold legs; 0 when none is sold."""

    def price_at(self, concession: float) -> float:
        """The net debit `concession` of the way from mid (0) to the far side (1)."""
        return self.price + concession * (self.natural - self.price)

    def max_loss_usd(self, price: float) -> float:
        """Largest loss of one unit bought at `price` and held to expiry."""
        return (self.max_loss + price - self.price) * self.multiplier


class NoCandidate(Model):
    """Nothing could be built, because …"""

    underlying: str
    strategy: str
    reason: str


class Plan(Model):
    """What a decision wants done: the legs that undo what is held, the unit to open, or both (a roll)."""

    closes: tuple[OrderLeg, ...]
    opens: Candidate | None
    entry: EntryContext | None
    """The market now, remembered by the position that is opened."""
    rolls: int
    """How often the opened position will have been rolled."""


class Severity(StrEnum):
    """How loud an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Alert(Model):
    """Something a person should know; `key` makes a repetition recognisable."""

    key: str
    severity: Severity
    title: str
    text: str
    at: datetime
