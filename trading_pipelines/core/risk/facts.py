"""What is so at the moment an order is judged, as the outside reported it."""

from datetime import datetime

from pydantic import ConfigDict

from trading_pipelines.domain.model import Model
from trading_pipelines.domain.orders import OrderIntent, OrderState
from trading_pipelines.domain.positions import StrategyPosition


class _Fact(Model):
    """NaN and infinities come in, and fail their check there."""

    model_config = ConfigDict(allow_inf_nan=True)


class LegQuote(_Fact):
    """The market of one leg, asked again for this order."""

    con_id: int
    bid: float | None
    ask: float | None
    quoted_at: datetime | None
    market_data_type: int | None


class UnresolvedOrder(_Fact):
    """An order that may still work at the broker."""

    order_ref: str
    position_id: str
    underlying: str
    state: OrderState


class RiskFacts(_Fact):
    """All that an intent's checks look at. None is not known, and what is not known does not pass.

    Every time is the Clock's; dollars are in account currency.
    """

    mode: str
    """simulated, paper or live."""
    account: str
    """The account that is connected."""
    halted: str | None
    session_open: datetime
    session_close: datetime
    net_liquidation: float | None
    free_funds: float | None
    """What is available for initial margin now."""
    margin_change: float | None
    """Change of initial margin by a what-if of this order; None where the broker left it unset."""
    open_max_loss_usd: float | None
    """Sum of the max losses of positions held and of other opening orders that may still work."""
    daily_pnl_usd: float | None
    orders_today: int
    orders_last_minute: int
    known_refs: frozenset[str]
    """References of orders that were sent, or are being sent."""
    unresolved: tuple[UnresolvedOrder, ...]
    differences: tuple[int, ...]
    """Contracts of the underlying in which our books and the broker differ, by con_id."""
    held: StrategyPosition | None
    """The position that an order closes; None when it opens one."""
    quotes: tuple[LegQuote, ...]

    def after(self, intent: OrderIntent) -> "RiskFacts":
        """The facts with an approved intent counted, for the next intent of the same tick."""
        at_risk = self.open_max_loss_usd
        return self.model_copy(
            update={
                "open_max_loss_usd": None if at_risk is None else at_risk + intent.max_loss_usd,
                "orders_today": self.orders_today + 1,
                "orders_last_minute": self.orders_last_minute + 1,
                "known_refs": self.known_refs | {intent.order_ref},
            }
        )
