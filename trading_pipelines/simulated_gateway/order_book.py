"""All orders of the account: how they are taken, fill, are cancelled and die. Messages are made elsewhere."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from trading_pipelines.core.execution.fills import limit_fill, uniform_draw
from trading_pipelines.domain.contracts import Side
from trading_pipelines.simulated_gateway import ids
from trading_pipelines.simulated_gateway.account import Account, MarginPreview
from trading_pipelines.simulated_gateway.clock import GatewayClock
from trading_pipelines.simulated_gateway.matching import Leg, leg_prices, unit_market
from trading_pipelines.simulated_gateway.order_requests import OrderRequest
from trading_pipelines.simulated_gateway.orders import (
    Execution,
    Order,
    Refusal,
    Status,
    check,
    day_ends,
    resolve,
)
from trading_pipelines.simulated_gateway.source import MarketQuote, MarketSource
from trading_pipelines.simulated_gateway.truth import TruthLog, fill_fact, order_fact


class OrderListener(Protocol):
    """Who tells the client that owns an order what becomes of it."""

    def order_changed(self, order: Order) -> None:
        """The order is new, modified or cancelled."""
        ...

    def order_filled(self, order: Order, executions: Sequence[Execution]) -> None:
        """The order filled."""
        ...

    def order_error(self, client_id: int, order_id: int, error: tuple[int, str]) -> None:
        """An order or a cancellation was refused, or (202) the order is cancelled."""
        ...


class OrderBook:
    """Every order and execution of a run. Same seed, same orders at the same times: same ids, same fills."""

    def __init__(
        self,
        source: MarketSource,
        clock: GatewayClock,
        account: Account,
        truth: TruthLog,
        seed: int,
        listener: OrderListener,
    ) -> None:
        self._source = source
        self._clock = clock
        self._account = account
        self._truth = truth
        self._seed = seed
        self._listener = listener
        self._orders: dict[tuple[int, int], Order] = {}
        self.executions: list[Execution] = []
        self.fill_count = 0
        origin = hashlib.sha256(f"{seed}|{clock.now().isoformat()}".encode()).digest()
        self._origin = int.from_bytes(origin[:4], "big")

    def __len__(self) -> int:
        return len(self._orders)

    @property
    def next_id(self) -> int:
        """An order id larger than any seen."""
        return 1 + max((order_id for _, order_id in self._orders), default=0)

    def working(self) -> list[Order]:
        """Orders that may still fill, as they came."""
        return [order for order in self._orders.values() if order.status is Status.SUBMITTED]

    def completed(self) -> list[Order]:
        """Orders that are filled, cancelled or rejected, as they came."""
        return [order for order in self._orders.values() if order.status is not Status.SUBMITTED]

    def preview(self, client_id: int, request: OrderRequest) -> tuple[tuple[Leg, ...], MarginPreview]:
        """What an order would do to the account; Refusal when it would not be taken."""
        self._truth.record("what_if", self._clock.now(), order_fact(client_id, request))
        legs = resolve(self._source, request)
        check(request, legs, self._account.name)
        return legs, self._impact(request, legs)

    def place(self, client_id: int, request: OrderRequest) -> None:
        """Take in an order, or a change of one that works, and fill what is marketable."""
        now, fact = self._clock.now(), order_fact(client_id, request)
        known = self._orders.get((client_id, request.order_id))
        self._truth.record("modify" if known else "order", now, fact)
        try:
            order = self._modify(known, request) if known else self._accept(client_id, request)
        except Refusal as refusal:
            code, reason = refusal.error
            self._truth.record("rejected", now, {**fact, "code": code, "reason": reason})
            self._listener.order_error(client_id, request.order_id, refusal.error)
            return
        self._listener.order_changed(order)
        self._match([order])
        if request.tif == "IOC" and order.status is Status.SUBMITTED:
            self._end(order, "immediate or cancel")

    def cancel(self, client_id: int, order_id: int) -> None:
        """Cancel one order of a client."""
        self._truth.record("cancel", self._clock.now(), {"client_id": client_id, "order_id": order_id})
        order = self._orders.get((client_id, order_id))
        if order is None:
            foreign = any(number == order_id for _, number in self._orders)
            error = ids.ORDER_OF_OTHER_CLIENT if foreign else ids.ORDER_NOT_FOUND
            self._listener.order_error(client_id, order_id, error(order_id))
        elif order.status is not Status.SUBMITTED:
            error = ids.ORDER_NOT_CANCELLABLE
            self._listener.order_error(client_id, order_id, error(order_id, order.status.value))
        else:
            self._end(order, "")

    def cancel_all(self, client_id: int) -> None:
        """Cancel every working order of every client, because one client asked for it."""
        self._truth.record("cancel", self._clock.now(), {"client_id": client_id, "order_id": None})
        for order in self.working():
            self._end(order, "")

    def evaluate(self) -> None:
        """Look at the market again for every working order."""
        self._match(self.working())

    def deaths(self, until: datetime) -> list[datetime]:
        """When working orders die, up to a time, ascending."""
        dying = {order.dies_at for order in self.working() if order.dies_at is not None}
        return sorted(moment for moment in dying if moment <= until)

    def expire(self) -> None:
        """Let die what does not live beyond now."""
        for order in self.working():
            if order.dies_at is not None and order.dies_at <= self._clock.now():
                self._end(order, "the day is over")

    def _accept(self, client_id: int, request: OrderRequest) -> Order:
        if any(client == client_id and number > request.order_id for client, number in self._orders):
            raise Refusal(ids.DUPLICATE_ORDER())
        legs = resolve(self._source, request)
        check(request, legs, self._account.name)
        order = Order(
            client_id=client_id,
            perm_id=1_000_000_000 + self._origin % 800_000_000 + len(self._orders),
            request=request,
            legs=legs,
            dies_at=self._death(request, legs),
        )
        self._orders[client_id, request.order_id] = order
        objection = self._objection(request, legs)
        if objection:
            order.status, order.completed_at = Status.INACTIVE, self._clock.now()
            order.completed_because = f"Rejected by System: {objection}"
            raise Refusal(ids.REJECTED(objection))
        return order

    def _modify(self, order: Order, request: OrderRequest) -> Order:
        if order.status is Status.FILLED:
            raise Refusal(ids.MODIFY_FILLED())
        if order.status is not Status.SUBMITTED:
            raise Refusal(ids.DUPLICATE_ORDER())
        legs = resolve(self._source, request)
        if legs != order.legs or request.side is not order.request.side:
            raise Refusal(ids.MODIFY_MISMATCH())
        check(request, legs, self._account.name)
        objection = self._objection(request, legs)
        if objection:
            raise Refusal(ids.REJECTED(objection))
        order.request, order.dies_at = request, self._death(request, legs)
        return order

    def _death(self, request: OrderRequest, legs: Sequence[Leg]) -> datetime | None:
        return None if request.tif == "GTC" else day_ends(legs, self._clock.now())

    def _objection(self, request: OrderRequest, legs: Sequence[Leg]) -> str:
        """Why the market or the account cannot take an order; empty when they can."""
        now = self._clock.now()
        shut = [leg.listed for leg in legs if not self._source.is_open(leg.listed.contract.con_id, now)]
        if shut:
            return f"the market of {shut[0].contract.local_symbol or shut[0].contract.symbol} is closed"
        impact = self._impact(request, legs)
        needed = impact.before.initial + impact.change.initial
        if impact.change.initial > 0 and needed > impact.equity:
            return (
                "IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN VALUE "
                f"[{impact.equity:.2f} USD] MUST EXCEED THE INITIAL MARGIN [{needed:.2f} USD]"
            )
        return ""

    def _impact(self, request: OrderRequest, legs: Sequence[Leg]) -> MarginPreview:
        price = request.limit if request.order_type == "LMT" else None
        return self._account.preview(legs, request.side.sign * request.quantity, price)

    def _match(self, orders: Sequence[Order]) -> None:
        now = self._clock.now()
        con_ids = sorted({leg.listed.contract.con_id for order in orders for leg in order.legs})
        quotes = dict(zip(con_ids, self._source.quotes(con_ids, now), strict=True)) if con_ids else {}
        is_open = {con_id: self._source.is_open(con_id, now) for con_id in con_ids}
        for order in orders:
            legs = [leg.listed.contract.con_id for leg in order.legs]
            if not all(is_open[con_id] for con_id in legs):
                continue
            leg_quotes = [quotes[con_id] for con_id in legs]
            market = unit_market(order.legs, leg_quotes)
            price = limit_fill(
                limit=order.limit,
                bid=market.bid,
                ask=market.ask,
                is_buy=order.request.side is Side.BUY,
                draw=uniform_draw(self._seed, order.name, now),
            )
            if price is not None:
                self._fill(order, price, leg_quotes)

    def _fill(self, order: Order, price: float, quotes: Sequence[MarketQuote]) -> None:
        """Fill the whole order at a price: one execution, and for a combo one more per leg."""
        now, units, side = self._clock.now(), order.remaining, order.request.side
        self.fill_count += 1
        executions: list[Execution] = []
        if order.listed is None:
            whole = Execution(self._exec_id(1), order, None, side, units, price, now, None, None)
            executions.append(whole)
        for leg, paid in zip(order.legs, leg_prices(order.legs, quotes, price), strict=True):
            exec_id, quantity = self._exec_id(len(executions) + 1), units * leg.ratio
            leg_side = leg.side if side is Side.BUY else leg.side.opposite
            fee, gain = self._account.book(leg.listed, leg_side, quantity, paid)
            execution = Execution(exec_id, order, leg.listed, leg_side, quantity, paid, now, fee, gain)
            executions.append(execution)
        order.filled, order.average_price = order.request.quantity, price
        order.status, order.completed_at = Status.FILLED, now
        order.completed_because = f"Filled Size: {order.filled:g}"
        self.executions += executions
        self._truth.record("fill", now, *map(fill_fact, executions))
        self._listener.order_filled(order, executions)

    def _exec_id(self, number: int) -> str:
        """IB's form: two groups that name the trade, the number of the leg, and the count of corrections."""
        return f"{self._origin:08x}.{self.fill_count:08x}.{number:02d}.01"

    def _end(self, order: Order, because: str) -> None:
        now, request = self._clock.now(), order.request
        order.status, order.completed_at = Status.CANCELLED, now
        order.completed_because = f"Cancelled by {because or 'Trader'}"
        fact = {**order_fact(order.client_id, request), "perm_id": order.perm_id, "reason": because}
        self._truth.record("cancelled", now, fact)
        self._listener.order_changed(order)
        self._listener.order_error(order.client_id, request.order_id, ids.CANCELLED(because))
