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
from trading_pipelines.simulated_gateway.truth import TruthLog


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
        self, source: MarketSource, clock: GatewayClock, account: Account, truth: TruthLog, seed: int
    ) -> None:
        self._source = source
        self._clock = clock
        self._account = account
        self._truth = truth
        self._seed = seed
        self._orders: dict[tuple[int, int], Order] = {}
        self.executions: list[Execution] = []
        self._fills = 0
        origin = hashlib.sha256(f"{seed}|{clock.now().isoformat()}".encode()).digest()
        self._origin = int.from_bytes(origin[:4], "big")

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

    @property
    def count(self) -> int:
        """Orders taken in so far."""
        return len(self._orders)

    @property
    def fill_count(self) -> int:
        """Orders filled so far."""
        return self._fills

    def preview(self, client_id: int, request: OrderRequest) -> tuple[tuple[Leg, ...], MarginPreview]:
        """What an order would do to the account; Refusal when it would not be taken."""
        self._note("order", request, client_id=client_id)
        legs = resolve(self._source, request)
        check(request, legs, self._account.name)
        return legs, self._impact(request, legs)

    def place(self, client_id: int, request: OrderRequest, listener: OrderListener) -> None:
        """Take in an order, or a change of one that works, and fill what is marketable."""
        self._note("order", request, client_id=client_id)
        try:
            known = self._orders.get((client_id, request.order_id))
            order = self._modify(known, request) if known else self._accept(client_id, request)
        except Refusal as refusal:
            code, reason = refusal.error
            self._note("rejected", request, client_id=client_id, code=code, reason=reason)
            listener.order_error(client_id, request.order_id, refusal.error)
            return
        listener.order_changed(order)
        self._match([order], listener)
        if request.tif == "IOC" and order.status is Status.SUBMITTED:
            self._end(order, "immediate or cancel", listener)

    def cancel(self, client_id: int, order_id: int, listener: OrderListener) -> None:
        """Cancel one order of a client."""
        self._truth.record("cancel", self._clock.now(), client_id=client_id, order_id=order_id)
        order = self._orders.get((client_id, order_id))
        if order is None:
            foreign = any(number == order_id for _, number in self._orders)
            error = ids.ORDER_OF_OTHER_CLIENT if foreign else ids.ORDER_NOT_FOUND
            listener.order_error(client_id, order_id, error(order_id))
        elif order.status is not Status.SUBMITTED:
            listener.order_error(client_id, order_id, ids.ORDER_NOT_CANCELLABLE(order_id, order.status.value))
        else:
            self._end(order, "", listener)

    def cancel_all(self, client_id: int, listener: OrderListener) -> None:
        """Cancel every working order of every client."""
        self._truth.record("cancel", self._clock.now(), client_id=client_id, order_id=None)
        for order in self.working():
            self._end(order, "", listener)

    def evaluate(self, listener: OrderListener) -> None:
        """Look at the market again for every working order."""
        self._match(self.working(), listener)

    def deaths(self, until: datetime) -> list[datetime]:
        """When working orders die, up to a time, ascending."""
        dying = {order.dies_at for order in self.working() if order.dies_at is not None}
        return sorted(moment for moment in dying if moment <= until)

    def expire(self, listener: OrderListener) -> None:
        """Let die what does not live beyond now."""
        for order in self.working():
            if order.dies_at is not None and order.dies_at <= self._clock.now():
                self._end(order, "the day is over", listener)

    def _accept(self, client_id: int, request: OrderRequest) -> Order:
        if any(client == client_id and number > request.order_id for client, number in self._orders):
            raise Refusal(ids.DUPLICATE_ORDER())
        legs = resolve(self._source, request)
        check(request, legs, self._account.name)
        now = self._clock.now()
        order = Order(
            client_id=client_id,
            perm_id=1_000_000_000 + self._origin % 800_000_000 + len(self._orders),
            request=request,
            legs=legs,
            dies_at=None if request.tif == "GTC" else day_ends(legs, now),
        )
        self._orders[client_id, request.order_id] = order
        objection = self._objection(request, legs)
        if objection:
            order.status, order.completed_at = Status.INACTIVE, now
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
        order.request = request
        return order

    def _objection(self, request: OrderRequest, legs: Sequence[Leg]) -> str:
        """Why the market or the account cannot take an order; empty when they can."""
        now = self._clock.now()
        shut = [leg.listed for leg in legs if not self._source.is_open(leg.listed.contract.con_id, now)]
        if shut:
            return f"the market of {shut[0].contract.local_symbol or shut[0].contract.symbol} is closed"
        impact = self._impact(request, legs)
        available = impact.equity - impact.before.initial
        if impact.change.initial > max(available, 0.0):
            return (
                "IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN VALUE "
                f"[{impact.equity:.2f} USD] MUST EXCEED THE INITIAL MARGIN "
                f"[{impact.before.initial + impact.change.initial:.2f} USD]"
            )
        return ""

    def _impact(self, request: OrderRequest, legs: Sequence[Leg]) -> MarginPreview:
        price = request.limit if request.order_type == "LMT" else None
        return self._account.preview(legs, request.side.sign * request.quantity, price)

    def _match(self, orders: Sequence[Order], listener: OrderListener) -> None:
        now = self._clock.now()
        con_ids = sorted({leg.listed.contract.con_id for order in orders for leg in order.legs})
        quotes = dict(zip(con_ids, self._source.quotes(con_ids, now), strict=True)) if con_ids else {}
        for order in orders:
            leg_quotes = [quotes[leg.listed.contract.con_id] for leg in order.legs]
            if not all(self._source.is_open(leg.listed.contract.con_id, now) for leg in order.legs):
                continue
            market = unit_market(order.legs, leg_quotes)
            price = limit_fill(
                limit=order.limit,
                bid=market.bid,
                ask=market.ask,
                is_buy=order.request.side is Side.BUY,
                draw=uniform_draw(self._seed, order.name, now),
            )
            if price is not None:
                self._fill(order, price, leg_quotes, listener)

    def _fill(
        self, order: Order, price: float, quotes: Sequence[MarketQuote], listener: OrderListener
    ) -> None:
        """Fill the whole order at a price: one execution, and for a combo one more per leg."""
        now, units, side = self._clock.now(), order.remaining, order.request.side
        self._fills += 1
        executions: list[Execution] = []
        if order.listed is None:
            whole = Execution(self._exec_id(0), order, None, side, units, price, now, None, None)
            executions.append(whole)
        for leg, paid in zip(order.legs, leg_prices(order.legs, quotes, price), strict=True):
            leg_side = leg.side if side is Side.BUY else leg.side.opposite
            quantity = units * leg.ratio
            fee, realised = self._account.book(leg.listed, leg_side, quantity, paid)
            executions.append(
                Execution(
                    self._exec_id(len(executions)),
                    order,
                    leg.listed,
                    leg_side,
                    quantity,
                    paid,
                    now,
                    fee,
                    realised,
                )
            )
        order.filled, order.average_price = order.request.quantity, price
        order.status, order.completed_at = Status.FILLED, now
        order.completed_because = f"Filled Size: {order.filled:g}"
        self.executions += executions
        for execution in executions:
            self._truth.record("fill", now, **_told(execution))
        listener.order_filled(order, executions)

    def _exec_id(self, number: int) -> str:
        return f"{self._origin:08x}.{self._fills:08x}.{number + 1:02d}.01"

    def _end(self, order: Order, because: str, listener: OrderListener) -> None:
        order.status, order.completed_at = Status.CANCELLED, self._clock.now()
        order.completed_because = f"Cancelled by {because or 'Trader'}"
        self._note("cancelled", order.request, client_id=order.client_id, reason=because)
        listener.order_changed(order)
        listener.order_error(order.client_id, order.request.order_id, ids.CANCELLED(because))

    def _note(self, kind: str, request: OrderRequest, **details: object) -> None:
        self._truth.record(
            kind,
            self._clock.now(),
            order_ref=request.order_ref,
            order_id=request.order_id,
            account=request.account or self._account.name,
            security_type=request.contract.security_type,
            symbol=request.contract.symbol,
            con_id=request.contract.con_id,
            legs=[{"con_id": leg.con_id, "ratio": leg.ratio, "side": leg.side.value} for leg in request.legs],
            side=request.side.value,
            quantity=request.quantity,
            order_type=request.order_type,
            limit=request.limit,
            tif=request.tif,
            what_if=request.what_if,
            **details,
        )


def _told(execution: Execution) -> dict[str, object]:
    """An execution as the truth log keeps it."""
    order, listed = execution.order, execution.listed
    return {
        "exec_id": execution.exec_id,
        "order_ref": order.request.order_ref,
        "perm_id": order.perm_id,
        "client_id": order.client_id,
        "order_id": order.request.order_id,
        "security_type": listed.contract.security_type.value if listed else "BAG",
        "con_id": listed.contract.con_id if listed else 0,
        "local_symbol": listed.contract.local_symbol if listed else "",
        "side": execution.side.value,
        "quantity": execution.quantity,
        "price": execution.price,
        "commission": execution.commission,
        "realised_pnl": execution.realised_pnl,
    }
