"""The account and its orders at an IB gateway: send once, say what is certain, never send again."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import ib_async as ib
from ib_async.wrapper import RequestError

from trading_pipelines.adapters import ib_contracts
from trading_pipelines.adapters.ib_account import IBAccount
from trading_pipelines.adapters.ib_session import IBSession
from trading_pipelines.domain.errors import (
    BrokerError,
    BrokerUnavailable,
    OrderRejected,
    OrderStateUnknown,
)
from trading_pipelines.domain.orders import BrokerOrder, Fill, MarginImpact, OrderIntent
from trading_pipelines.domain.positions import AccountState, BrokerPosition

REJECTIONS: Final = frozenset(
    {103, 104, 106, 107, 109, 110, 111, 113, 116, 132, 135, 200, 201, 203, 321, 434, 436, 460}
    | {10052, 10058, 10268, 10269, 10289}
)
"""Codes with which IB refuses a new order for good, once its reports do not know the order.

After any other code an order that is in no report is unknown.
"""
NOTICES: Final = frozenset({105, 399, 404, 10167, 10349} | set(range(2100, 2200)))
"""Codes after which an order lives on, whatever ib_async makes of them."""
COMMISSION_SECONDS: Final = 1.0


class IBBroker:
    """ports.Broker over one session and one account; ConfigError when the gateway does not serve it."""

    def __init__(self, session: IBSession, account: str, *, acknowledge_seconds: float | None = None) -> None:
        self._ib_account = IBAccount(session, account)
        self._session = session
        self._account = account
        self._acknowledge_seconds = acknowledge_seconds or session.parameters.request_timeout_seconds

    @property
    def client_id(self) -> int:
        """The client id that owns the orders sent here."""
        return self._session.client_id

    def account(self) -> AccountState:
        """Account values now, profit and loss where the gateway tells it in time."""
        return self._ib_account.state()

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Every position of the account; an empty report that the account summary denies raises."""
        return self._ib_account.positions()

    def next_order_id(self, above: int = 0) -> int:
        """An order id larger than `above` and than every id seen in this session, of any client."""

        async def next_id() -> int:
            client: Any = self._session.client
            seen = [fill.execution.orderId for fill in self._session.ib.fills()]
            client.updateReqId(max([above, *seen]) + 1)
            return int(client.getReqId())

        return self._session.call(next_id)

    def place(self, intent: OrderIntent, order_id: int) -> BrokerOrder:
        """Send once, wait for the broker's word on this order_ref.

        OrderRejected when the broker refused and its reports do not know the order, or when the
        intent is no order; OrderStateUnknown when no word came in time or the connection broke after
        the write; BrokerUnavailable only when it is certain that nothing was sent.
        """
        if intent.account != self._account:
            raise OrderRejected(f"order {intent.order_ref} is for {intent.account}, not {self._account}")
        contract, order = ib_contracts.to_order(intent, order_id)
        try:
            self._session.check()
        except BrokerError as error:
            raise BrokerUnavailable(error.problem, "nothing was sent") from error
        sent: list[ib.Trade] = []
        limit = 2 * self._acknowledge_seconds + 3 * self._session.parameters.request_timeout_seconds
        try:
            return self._session.call(lambda: self._place(contract, order, sent), timeout_seconds=limit)
        except BrokerUnavailable as error:
            if not sent:
                raise
            raise _unknown(intent.order_ref, error.problem) from error

    def await_fill(self, order_ref: str, *, timeout_seconds: float) -> BrokerOrder:
        """The order's last known state once it is terminal, or when the time is over.

        OrderStateUnknown when the broker's reports do not know the order.
        """

        async def wait() -> BrokerOrder | None:
            trade = self._trade(order_ref)
            if trade is None:
                return await self._find(order_ref)
            await self._session.until(lambda: _final(trade), timeout_seconds)
            if self._session.connected and not _doubtful(trade):
                return ib_contracts.from_trade(trade)
            reported = await self._find(order_ref)
            if reported is None and any(
                code in REJECTIONS for code, _ in self._refusals(trade.order.orderId)
            ):
                # Refused after it was taken, and in no report: it does not work.
                return ib_contracts.from_trade(trade).model_copy(update={"status": "Inactive"})
            return reported

        limit = timeout_seconds + 3 * self._session.parameters.request_timeout_seconds
        order = self._session.call(wait, timeout_seconds=limit)
        if order is None:
            raise _unknown(order_ref, "the broker's reports do not know it")
        return order

    def cancel(self, order_ref: str, order_id: int) -> None:
        """Ask for cancellation; the outcome arrives through `orders` and `fills`.

        OrderStateUnknown when the id is another order's here: ids may be issued again, refs are not.
        """

        async def request() -> None:
            known = self._session.ib.wrapper.trades.get((self.client_id, order_id))
            if known is not None and known.order.orderRef != order_ref:
                raise _unknown(
                    order_ref, f"order id {order_id} belongs to {known.order.orderRef or 'another'}"
                )
            await self._free_to_send()
            order = known.order if known else ib.Order(orderId=order_id, clientId=self.client_id)
            self._session.ib.cancelOrder(order)
            if known is not None:
                await self._session.until(known.isDone, self._acknowledge_seconds)

        self._session.check()
        limit = self._acknowledge_seconds + self._session.parameters.request_timeout_seconds
        self._session.call(request, timeout_seconds=limit)

    def orders(self) -> tuple[BrokerOrder, ...]:
        """Open and completed orders of this session, over all clients."""
        return self._session.call(
            self._orders, timeout_seconds=2 * self._session.parameters.request_timeout_seconds
        )

    def fills(self) -> tuple[Fill, ...]:
        """Executions of this session with their commissions; a correction stands beside what it corrects."""

        async def executions() -> tuple[Fill, ...]:
            await self._session.ib.reqExecutionsAsync()
            # Reports follow their executions; a combo as a whole has none.
            await self._session.until(
                lambda: all(fill.commissionReport.execId for fill in self._own_fills(whole_combos=False)),
                COMMISSION_SECONDS,
            )
            return tuple(ib_contracts.from_fill(fill) for fill in self._own_fills(whole_combos=True))

        limit = COMMISSION_SECONDS + self._session.parameters.request_timeout_seconds
        return self._session.call(executions, timeout_seconds=limit)

    def what_if(self, intent: OrderIntent) -> MarginImpact:
        """Margin and commission the order would cause, without sending it; OrderRejected when IB refuses."""
        contract, order = ib_contracts.to_order(intent, 0)

        async def ask() -> ib.OrderState:
            try:
                return await self._session.ib.whatIfOrderAsync(contract, order)
            except RequestError as error:
                raise _rejected(intent.order_ref, error.code, error.message) from error

        return ib_contracts.from_order_state(self._session.call(ask))

    async def _place(self, contract: ib.Contract, order: ib.Order, sent: list[ib.Trade]) -> BrokerOrder:
        await self._free_to_send()
        try:
            trade = self._session.ib.placeOrder(contract, order)
        except ConnectionError as error:
            raise BrokerUnavailable("the connection broke before the order was written") from error
        sent.append(trade)
        order_ref, order_id = order.orderRef, order.orderId
        if self._session.client._msgQ:
            raise _unknown(order_ref, "it waited in the send queue")
        await self._session.until(
            lambda: _acknowledged(trade) or bool(self._refusals(order_id)), self._acknowledge_seconds
        )
        if trade.order.orderRef != order_ref:
            raise _unknown(order_ref, f"order id {order_id} answers as {trade.order.orderRef!r}")
        if not self._session.connected:
            raise _unknown(order_ref, "the connection broke after it was written")
        refusals = self._refusals(order_id)
        if _acknowledged(trade) and not refusals:
            return ib_contracts.from_trade(trade)
        reported = await self._find(order_ref)
        if reported is not None and reported.status not in ib_contracts.DONE_STATUSES:
            return reported
        if refusals:
            code, text = refusals[-1]
            if code in REJECTIONS or reported is not None:
                raise _rejected(order_ref, code, text)
            raise _unknown(order_ref, f"IB said {code} {text}")
        if reported is not None:
            return reported
        raise _unknown(order_ref, f"no word of it within {self._acknowledge_seconds:g} s")

    async def _free_to_send(self) -> None:
        """Wait until a message written now reaches the socket; BrokerUnavailable when none may."""
        if self._session.degraded:
            raise BrokerUnavailable(
                "the gateway has lost its connection to IB", "nothing was sent; wait for 1102"
            )
        client = self._session.client
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._session.parameters.request_timeout_seconds
        while not _unthrottled(client, loop.time()):
            if loop.time() >= deadline:
                raise BrokerUnavailable("the send queue did not empty", "nothing was sent; try again")
            await asyncio.sleep(0.002)

    def _refusals(self, order_id: int) -> tuple[tuple[int, str], ...]:
        """What the gateway said against an order; notices are left out."""
        return tuple(error for error in self._session.errors_of(order_id) if error[0] not in NOTICES)

    def _trade(self, order_ref: str) -> ib.Trade | None:
        return next((t for t in self._session.ib.trades() if t.order.orderRef == order_ref), None)

    async def _find(self, order_ref: str) -> BrokerOrder | None:
        """The order in the broker's reports, or None when they do not know it and nothing was executed."""
        for order in await self._orders():
            if order.order_ref == order_ref:
                return order
        await self._session.ib.reqExecutionsAsync()
        if any(fill.execution.orderRef == order_ref for fill in self._session.ib.fills()):
            raise _unknown(order_ref, "it has executions, but no order report knows it")
        return None

    async def _orders(self) -> tuple[BrokerOrder, ...]:
        client = self._session.ib
        live = await client.reqAllOpenOrdersAsync()
        completed = await client.reqCompletedOrdersAsync(apiOnly=False)
        # What this session saw itself comes first, the reports overrule it: a status that ib_async
        # made from an error is not the broker's word.
        seen = [trade for trade in client.trades() if _acknowledged(trade) and not _doubtful(trade)]
        merged: dict[int, ib.Trade] = {}
        for trade in (*completed, *seen, *live):
            merged[trade.order.permId or trade.orderStatus.permId] = trade
        return tuple(ib_contracts.from_trade(t) for t in merged.values() if t.order.account == self._account)

    def _own_fills(self, *, whole_combos: bool) -> Sequence[ib.Fill]:
        return [
            fill
            for fill in self._session.ib.fills()
            if fill.execution.acctNumber == self._account and (whole_combos or fill.contract.secType != "BAG")
        ]


def _acknowledged(trade: ib.Trade) -> bool:
    """Whether an order report carried it: only that names the order_ref, a status names the id alone."""
    return bool(trade.order.permId)


def _doubtful(trade: ib.Trade) -> bool:
    """Whether the status is ib_async's reading of an error: the order may work nevertheless."""
    return bool(trade.log and trade.log[-1].errorCode)


def _final(trade: ib.Trade) -> bool:
    return trade.orderStatus.status in ib_contracts.DONE_STATUSES


def _unthrottled(client: Any, now: float) -> bool:
    """Whether ib_async's `sendMsg` would write at once; the same reckoning as there."""
    recent = [sent for sent in client._timeQ if now - sent <= client.RequestsInterval]
    return not client._msgQ and (not client.MaxRequests or len(recent) < client.MaxRequests)


def _unknown(order_ref: str, why: str) -> OrderStateUnknown:
    return OrderStateUnknown(
        f"nobody knows whether order {order_ref} works: {why}", "ask the broker, never resend"
    )


def _rejected(order_ref: str, code: int, text: str) -> OrderRejected:
    return OrderRejected(f"IB rejected order {order_ref}: {code} {text}")
