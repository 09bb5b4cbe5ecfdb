"""What all clients of a gateway share: market, clock, account, orders and the truth, and what a step does."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from trading_pipelines.domain.positions import StrategyPosition
from trading_pipelines.simulated_gateway.account import Account, Holding
from trading_pipelines.simulated_gateway.clock import GatewayClock
from trading_pipelines.simulated_gateway.order_book import OrderBook
from trading_pipelines.simulated_gateway.orders import Execution, Order
from trading_pipelines.simulated_gateway.source import MarketSource
from trading_pipelines.simulated_gateway.truth import TruthLog


class Client(Protocol):
    """One connected client, as the venue sees it."""

    @property
    def line_count(self) -> int:
        """Market-data lines in use."""
        ...

    def order_changed(self, order: Order) -> None:
        """Tell the state of one of the client's orders."""
        ...

    def order_filled(self, order: Order, executions: Sequence[Execution]) -> None:
        """Tell a fill of one of the client's orders."""
        ...

    def order_error(self, order_id: int, error: tuple[int, str]) -> None:
        """Tell an error about one of the client's orders."""
        ...

    def account_changed(self, con_ids: Sequence[int]) -> None:
        """Tell subscribers new account values, and the positions of these contracts."""
        ...

    def market_moved(self) -> None:
        """Tell subscribers new quotes and account values."""
        ...


class Venue:
    """The state behind every connection. It tells clients what happens to their orders."""

    def __init__(
        self,
        source: MarketSource,
        clock: GatewayClock,
        account: Account,
        truth: TruthLog,
        *,
        seed: int,
        limits: bool,
        book: Sequence[StrategyPosition],
    ) -> None:
        self.source = source
        self.clock = clock
        self.account = account
        self.truth = truth
        self.limits = limits
        self.book = tuple(book)
        self.orders = OrderBook(source, clock, account, truth, seed, self)
        self.clients: dict[int, Client] = {}
        self.messages = 0
        truth.record("start", clock.now(), {"account": account.name, "cash": account.cash, "seed": seed})
        truth.record("position", clock.now(), *map(_position_fact, account.open_positions()))

    def step(self, to: datetime) -> None:
        """Move the clock: orders die when their day ends, streams are quoted, working orders look again."""
        self.clock.check(to)
        for moment in self.orders.deaths(until=to):
            self.clock.advance_to(moment)
            self.orders.expire()
        self.clock.advance_to(to)
        self.refresh()

    def refresh(self) -> None:
        """Everything that follows from the time having passed."""
        self.account.begin_day()
        self.orders.expire()
        for client in list(self.clients.values()):
            client.market_moved()
        self.orders.evaluate()

    def state(self) -> dict[str, int]:
        """How much there is of what."""
        return {
            "clients": len(self.clients),
            "messages": self.messages,
            "lines": sum(client.line_count for client in self.clients.values()),
            "orders": len(self.orders),
            "working": len(self.orders.working()),
            "fills": self.orders.fill_count,
        }

    def order_changed(self, order: Order) -> None:
        """Pass it on to the client that owns the order, if it is there."""
        if client := self.clients.get(order.client_id):
            client.order_changed(order)

    def order_filled(self, order: Order, executions: Sequence[Execution]) -> None:
        """Tell the owner of the fill, and every subscriber of the account."""
        if owner := self.clients.get(order.client_id):
            owner.order_filled(order, executions)
        con_ids = [each.listed.contract.con_id for each in executions if each.listed is not None]
        for client in list(self.clients.values()):
            client.account_changed(con_ids)

    def order_error(self, client_id: int, order_id: int, error: tuple[int, str]) -> None:
        """Pass it on to the client that owns the order, if it is there."""
        if client := self.clients.get(client_id):
            client.order_error(order_id, error)


def _position_fact(holding: Holding) -> dict[str, object]:
    """A position at the start, as the truth log keeps it."""
    contract = holding.listed.contract
    return {
        "con_id": contract.con_id,
        "local_symbol": contract.local_symbol,
        "quantity": holding.quantity,
        "average_cost": holding.average_cost,
    }
