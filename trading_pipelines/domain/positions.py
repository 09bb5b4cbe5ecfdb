"""What is held: the broker's positions, and our strategies with their state."""

from datetime import date, datetime
from enum import StrEnum

from trading_pipelines.domain.contracts import Contract
from trading_pipelines.domain.model import Model
from trading_pipelines.domain.orders import EntryContext, OrderLeg


class AccountState(Model):
    """Account values in account currency, as the broker reports them at `at`."""

    account: str
    at: datetime
    net_liquidation: float
    cash: float
    buying_power: float
    available_funds: float
    excess_liquidity: float
    initial_margin: float
    maintenance_margin: float
    daily_pnl: float | None
    realised_pnl: float | None
    unrealised_pnl: float | None


class BrokerPosition(Model):
    """A position as the broker counts it; `average_cost` is per contract, multiplier included."""

    account: str
    contract: Contract
    quantity: float
    average_cost: float


class PositionStatus(StrEnum):
    """Where a strategy position stands."""

    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class PositionTrade(Model):
    """What one order has done to a position so far; `units` gained, negative when it closed some.

    `price` is the average net debit of a bought unit per share: what closing cost, or brought if negative.
    """

    order_ref: str
    units: int
    price: float
    commission_usd: float


class StrategyPosition(Model):
    """One strategy we hold: legs per unit, units, what it cost and what rules must remember.

    `entry_price` is the net debit per unit and share: a credit is negative. `max_profit` and
    `max_loss` are per unit and share, both positive. State that rules need survives restarts here.
    """

    position_id: str
    account: str
    underlying: str
    strategy: str
    legs: tuple[OrderLeg, ...]
    units: int
    multiplier: float
    entry_price: float
    max_profit: float
    max_loss: float
    opened_session: date
    opened_at: datetime
    entry: EntryContext
    status: PositionStatus
    peak_captured: float = 0.0
    """Highest share of the possible profit seen so far, in percent."""
    rolls: int = 0
    realised_pnl_usd: float = 0.0
    """Of the units closed, less all commissions."""
    trades: tuple[PositionTrade, ...] = ()
    """Our orders that filled; units that no trade explains were there before us."""

    @property
    def expiry(self) -> date | None:
        """The first expiry among the legs, which decides days to expiry."""
        return min((leg.contract.expiry for leg in self.legs if leg.contract.expiry), default=None)
