"""What can be traded: contracts as Interactive Brokers identifies them."""

from datetime import date
from enum import StrEnum

from trading_pipelines.domain.model import Model


class SecurityType(StrEnum):
    """IB's security types; the values are those of the wire."""

    STOCK = "STK"
    INDEX = "IND"
    FUTURE = "FUT"
    OPTION = "OPT"
    FUTURE_OPTION = "FOP"
    COMBO = "BAG"


class Right(StrEnum):
    """Option right; the values are those of the wire and of every table."""

    CALL = "C"
    PUT = "P"

    @property
    def sign(self) -> int:
        """+1 for a call, −1 for a put, as the pricing functions take it."""
        return 1 if self is Right.CALL else -1


class Side(StrEnum):
    """Buy or sell; the values are those of the wire."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for buy, −1 for sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The side that undoes this one."""
        return Side.SELL if self is Side.BUY else Side.BUY


class Contract(Model):
    """One tradable contract. `con_id` 0 means: not yet resolved by the broker.

    `symbol` is the ticker of the underlying (SPY, ES), `local_symbol` the contract's own
    name (OCC symbol, ESU4), `multiplier` the units of the underlying per contract.
    """

    con_id: int = 0
    security_type: SecurityType
    symbol: str
    exchange: str
    currency: str = "USD"
    local_symbol: str = ""
    trading_class: str = ""
    multiplier: float = 1.0
    expiry: date | None = None
    strike: float | None = None
    right: Right | None = None
