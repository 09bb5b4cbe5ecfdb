"""What the inside needs of the outside world, as Protocols. Adapters and fakes implement them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

import polars as pl

from trading_pipelines.domain.contracts import Contract
from trading_pipelines.domain.decisions import Alert
from trading_pipelines.domain.orders import (
    BrokerOrder,
    Fill,
    MarginImpact,
    OrderIntent,
    OrderRecord,
    OrderState,
)
from trading_pipelines.domain.positions import AccountState, BrokerPosition, StrategyPosition
from trading_pipelines.domain.tables import Extent, Table


class Clock(Protocol):
    """The broker's clock: every age and validity compares times stamped by it."""

    def now(self) -> datetime:
        """The time in UTC; BrokerUnavailable when the broker does not answer."""
        ...


class MarketData(Protocol):
    """Contracts and quotes."""

    def resolve(self, contracts: Sequence[Contract]) -> tuple[Contract, ...]:
        """The same contracts with con_id and every field the broker knows; MissingData names the unknown."""
        ...

    def list_options(self, underlying: Contract) -> pl.DataFrame:
        """All listed options of a resolved underlying, CONTRACT_COLUMNS + exercise_style; may be empty."""
        ...

    def list_futures(self, symbol: str, exchange: str) -> tuple[Contract, ...]:
        """Listed futures of one root, nearest expiry first."""
        ...

    def quotes(self, contracts: pl.DataFrame, *, timeout_seconds: float) -> pl.DataFrame:
        """QUOTE_COLUMNS, one row per contract of `contracts` (CONTRACT_COLUMNS), in its order.

        What did not answer in time is a row with status `missing`.
        """
        ...


class History(Protocol):
    """Bars of the past."""

    def daily_bars(self, contract: Contract, *, what: str, sessions: int, before: date) -> pl.DataFrame:
        """BARS columns, daily, ascending, the last `sessions` sessions before `before`.

        `what` is `trades` or `implied_volatility` (annualised, a fraction). Empty when the broker
        has none.
        """
        ...


class Broker(Protocol):
    """The account and its orders."""

    def account(self) -> AccountState:
        """Account values now."""
        ...

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Every position; an empty report that was not confirmed raises, it is not 'flat'."""
        ...

    def next_order_id(self, above: int = 0) -> int:
        """An order id larger than `above` and than every id seen in this session.

        A gateway may issue ids again after its restart: `above` is the largest the journal knows.
        """
        ...

    @property
    def client_id(self) -> int:
        """The client id that owns the orders sent here."""
        ...

    def place(self, intent: OrderIntent, order_id: int) -> BrokerOrder:
        """Send once, wait for the broker's word on this order_ref.

        OrderRejected when the broker refused, OrderStateUnknown when nothing came back in time,
        BrokerUnavailable only when it is certain that nothing was sent.
        """
        ...

    def await_fill(self, order_ref: str, *, timeout_seconds: float) -> BrokerOrder:
        """The order's last known state once it is terminal, or when the time is over."""
        ...

    def cancel(self, order_ref: str, order_id: int) -> None:
        """Ask for cancellation; the outcome arrives through `orders` and `fills`."""
        ...

    def orders(self) -> tuple[BrokerOrder, ...]:
        """Open and completed orders of this session, over all clients."""
        ...

    def fills(self) -> tuple[Fill, ...]:
        """Executions of this session with their commissions, corrections included."""
        ...

    def what_if(self, intent: OrderIntent) -> MarginImpact:
        """Margin and commission the order would cause, without sending it."""
        ...


class Journal(Protocol):
    """What must be durable before an order leaves; every method commits before it returns."""

    def lease(self, holder: str, at: datetime) -> int:
        """Take the single-flight lease; returns its epoch, larger than any before. BrokerError if held."""
        ...

    def assert_epoch(self, epoch: int) -> None:
        """OrderStateUnknown unless `epoch` is still the newest: a stopped process must not send."""
        ...

    def record_intent(self, intent: OrderIntent, at: datetime) -> bool:
        """True when new; False when the same ref and payload is there already.

        OrderRejected when the ref is there with another payload.
        """
        ...

    def transition(
        self,
        order_ref: str,
        state: OrderState,
        at: datetime,
        *,
        order_id: int | None = None,
        client_id: int | None = None,
        perm_id: int | None = None,
        epoch: int | None = None,
        filled: float | None = None,
        average_price: float | None = None,
        detail: str = "",
    ) -> None:
        """Move an order along; a move the lifecycle does not allow raises and changes nothing."""
        ...

    def order(self, order_ref: str) -> OrderRecord | None:
        """One order, or None."""
        ...

    def orders(self, *, session: date | None = None, unresolved: bool = False) -> tuple[OrderRecord, ...]:
        """Orders of a session, or all; `unresolved` keeps those that may still work at the broker."""
        ...

    def record_fills(self, fills: Sequence[Fill]) -> tuple[Fill, ...]:
        """Store fills by exec_id; returns the new ones. A known exec_id is silently the same fill."""
        ...

    def fills(self, *, order_ref: str | None = None, session: date | None = None) -> tuple[Fill, ...]:
        """Fills after corrections: the highest suffix of each execution."""
        ...

    def save_position(self, position: StrategyPosition, at: datetime) -> None:
        """Insert or replace one strategy position."""
        ...

    def positions(self, *, closed: bool = False) -> tuple[StrategyPosition, ...]:
        """Strategy positions that are not closed, or all."""
        ...

    def is_sealed(self, session: date, as_of: datetime) -> bool:
        """True once an intent of this tick was recorded: its slices may not change any more."""
        ...

    def halt(self, reason: str, at: datetime) -> None:
        """Throw the kill switch; it latches until `resume`."""
        ...

    def resume(self, at: datetime) -> None:
        """Release the kill switch."""
        ...

    def halted(self) -> str | None:
        """Why trading is halted, or None."""
        ...

    def arm(self, mode: str, account: str, until: datetime, at: datetime) -> None:
        """Allow orders of one mode and account until a time."""
        ...

    def disarm(self, at: datetime) -> None:
        """Withdraw every arming."""
        ...

    def armed(self, mode: str, account: str, at: datetime) -> bool:
        """True when an arming of exactly this mode and account is still valid."""
        ...


class Lake(Protocol):
    """The tables, for steps that keep something once rather than at every tick."""

    def read(self, table: Table, **scope: Extent) -> pl.DataFrame:
        """The rows in scope, sorted by the table's key; an empty typed frame when there are none."""
        ...

    def has_rows(self, table: Table, **scope: Extent) -> bool:
        """Whether any row is in scope."""
        ...

    def replace(self, table: Table, frame: pl.DataFrame, **scope: Extent) -> int:
        """Make `frame` all that the table holds in scope; returns the version committed."""
        ...


class Alerts(Protocol):
    """A way to a person."""

    def send(self, alert: Alert) -> bool:
        """True when it was delivered; never raises for an unreachable person."""
        ...
