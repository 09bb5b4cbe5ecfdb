"""What each request of one started client sets in motion, and what the venue tells it unasked."""

from collections.abc import Callable, Sequence
from datetime import datetime

from trading_pipelines.core.market.calendar import NEW_YORK
from trading_pipelines.domain.contracts import Side
from trading_pipelines.domain.errors import SchemaMismatch
from trading_pipelines.simulated_gateway import ids, order_messages, replies, requests
from trading_pipelines.simulated_gateway.account_feed import AccountFeed
from trading_pipelines.simulated_gateway.contracts import is_valid, look_up
from trading_pipelines.simulated_gateway.history import bar_seconds, end_time, history
from trading_pipelines.simulated_gateway.ids import Reply, Request
from trading_pipelines.simulated_gateway.lines import MarketDataLines
from trading_pipelines.simulated_gateway.order_requests import read_order
from trading_pipelines.simulated_gateway.orders import Execution, Order, Refusal
from trading_pipelines.simulated_gateway.requests import ExecutionFilter
from trading_pipelines.simulated_gateway.venue import Venue
from trading_pipelines.simulated_gateway.wire import Fields


class ClientDesk:
    """Serves one client of a venue in the version it speaks."""

    def __init__(
        self, venue: Venue, client_id: int, version: int, send: Callable[[Sequence[bytes]], None]
    ) -> None:
        self._venue = venue
        self._client_id = client_id
        self._version = version
        self._send = send
        self.lines = MarketDataLines(venue.source, venue.clock, send, limited=venue.limits)
        self.feed = AccountFeed(venue.account, venue.clock, send)

    def greet(self) -> None:
        """What a client waits for before it is ready: accounts and an order id."""
        self._send([replies.managed_accounts(self._venue.account.name)])
        self.next_id()
        for notice in (ids.DATA_FARM("usfarm"), ids.HISTORY_FARM("ushmds"), ids.CONTRACT_FARM("secdefil")):
            self._error(-1, notice)

    def serve(self, number: int, fields: Fields) -> None:
        """One request; SchemaMismatch when it cannot be read."""
        handler = _HANDLERS.get(number)
        if handler is None:
            self._error(-1, ids.UNKNOWN_MESSAGE())
        else:
            handler(self, fields)

    # What the venue tells

    @property
    def line_count(self) -> int:
        """Market-data lines in use."""
        return len(self.lines)

    def order_changed(self, order: Order) -> None:
        """Tell the state of an order."""
        account = self._venue.account.name
        self._send([order_messages.open_order(order, account, self._version)])
        self._send([order_messages.order_status(order)])

    def order_filled(self, order: Order, executions: Sequence[Execution]) -> None:
        """Tell a fill: the executions, the order's end, then the commissions."""
        self._send([self._execution(each, -1) for each in executions])
        self.order_changed(order)
        paid = [each for each in executions if each.commission is not None]
        self._send([order_messages.commission_report(each) for each in paid])

    def order_error(self, order_id: int, error: tuple[int, str]) -> None:
        """Tell an error about an order."""
        self._error(order_id, error)

    def account_changed(self, con_ids: Sequence[int]) -> None:
        """Tell subscribers new account values and positions."""
        self.feed.changed(con_ids)

    def market_moved(self) -> None:
        """Tell subscribers new quotes and account values."""
        self.lines.requote()
        self.feed.changed()

    # What the client asks

    def next_id(self) -> None:
        """An order id the client may use next."""
        self._send([replies.next_id(self._venue.orders.next_id)])

    def current_time(self) -> None:
        """The gateway's clock."""
        self._send([replies.current_time(self._venue.clock.now())])

    def contract_details(self, fields: Fields) -> None:
        """Every contract that matches; a combo gets no answer at all, as at IB."""
        request_id, query = requests.read_contract_details(fields)
        if query.is_combo:
            return
        if not is_valid(query):
            self._error(request_id, ids.INVALID("Please enter a valid security type"))
            return
        found = look_up(self._venue.source, query)
        if not found:
            self._error(request_id, ids.NO_SECURITY())
            return
        self._send([replies.contract_details(listed, request_id, self._version) for listed in found])
        self._send([replies.end(Reply.CONTRACT_DETAILS_END, request_id)])

    def option_parameters(self, fields: Fields) -> None:
        """Expiries and strikes of an underlying."""
        request_id, con_id = requests.read_option_parameters(fields)
        classes = self._venue.source.option_parameters(con_id)
        self._send([replies.option_parameters(each, request_id) for each in classes])
        self._send([replies.end(Reply.OPTION_PARAMETERS_END, request_id)])

    def market_data(self, fields: Fields) -> None:
        """Open a line; it is served when the batch of messages ends."""
        request = requests.read_market_data(fields)
        error = self.lines.open(request)
        if error is not None:
            self._error(request.request_id, error)

    def market_data_type(self, fields: Fields) -> None:
        """Live or frozen, from now on."""
        self.lines.data_type = requests.read_versioned_id(fields)

    def historical_data(self, fields: Fields) -> None:
        """Bars; 162 when there are none."""
        request = requests.read_history(fields)
        found = look_up(self._venue.source, request.contract) if is_valid(request.contract) else []
        if len(found) != 1:
            self._error(request.request_id, ids.NO_SECURITY())
            return
        try:
            if request.keep_up_to_date:
                raise SchemaMismatch("Bars that are kept up to date are not simulated")
            contract = found[0].contract
            bars = history(self._venue.source, contract.con_id, request, self._venue.clock.now())
            seconds = bar_seconds(request.bar_size)
        except SchemaMismatch as mismatch:
            self._error(request.request_id, ids.INVALID(mismatch.problem))
            return
        if bars:
            self._send([replies.historical_data(bars, request.request_id, seconds, request.epoch_dates)])
        else:
            what = f"{contract.symbol}@{contract.exchange} {request.what}"
            self._error(request.request_id, ids.NO_HISTORY(what))

    def place_order(self, fields: Fields) -> None:
        """Take an order, a change of one, or preview one."""
        request = read_order(fields, self._version)
        orders = self._venue.orders
        if not request.what_if:
            orders.place(self._client_id, request)
            return
        try:
            legs, preview = orders.preview(self._client_id, request)
        except Refusal as refusal:
            self._error(request.order_id, refusal.error)
            return
        listed = None if request.contract.is_combo else legs[0].listed
        account = self._venue.account.name
        answer = order_messages.margin_preview(
            request, listed, self._client_id, account, preview, self._version
        )
        self._send([answer])

    def cancel_order(self, fields: Fields) -> None:
        """Cancel one order."""
        self._venue.orders.cancel(self._client_id, requests.read_versioned_id(fields))

    def cancel_all(self) -> None:
        """Cancel every order of every client."""
        self._venue.orders.cancel_all(self._client_id)

    def open_orders(self, *, of_all_clients: bool) -> None:
        """Working orders with their status."""
        for order in self._venue.orders.working():
            if of_all_clients or order.client_id == self._client_id:
                self.order_changed(order)
        self._send([replies.end(Reply.OPEN_ORDERS_END)])

    def completed_orders(self) -> None:
        """Filled, cancelled and rejected orders of all clients, since New York's midnight."""
        account, version = self._venue.account.name, self._version
        orders = self._venue.orders.completed()
        completed = [order for order in orders if order.completed_at and self._is_today(order.completed_at)]
        self._send([order_messages.completed_order(order, account, version) for order in completed])
        self._send([replies.end(Reply.COMPLETED_ORDERS_END)])

    def executions(self, fields: Fields) -> None:
        """Executions since New York's midnight that pass the filter, with their commissions."""
        wanted = requests.read_executions(fields)
        for execution in self._venue.orders.executions:
            if self._passes(execution, wanted):
                self._send([self._execution(execution, wanted.request_id)])
                if execution.commission is not None:
                    self._send([order_messages.commission_report(execution)])
        self._send([replies.end(Reply.EXECUTIONS_END, wanted.request_id)])

    def _passes(self, execution: Execution, wanted: ExecutionFilter) -> bool:
        order = execution.order
        contract = order.request.contract if execution.listed is None else execution.listed.contract
        side = "BUY" if execution.side is Side.BUY else "SELL"
        return (
            self._is_today(execution.at)
            and wanted.client_id in {0, order.client_id}
            and wanted.account in {"", self._venue.account.name}
            and (not wanted.since or execution.at >= end_time(wanted.since, execution.at))
            and wanted.symbol in {"", contract.symbol}
            and wanted.security_type in {"", contract.security_type}
            and wanted.exchange in {"", contract.exchange}
            and wanted.side in {"", side}
        )

    def _is_today(self, at: datetime) -> bool:
        now = self._venue.clock.now()
        return at.astimezone(NEW_YORK).date() == now.astimezone(NEW_YORK).date()

    def _execution(self, execution: Execution, request_id: int) -> bytes:
        return order_messages.execution_details(
            execution, request_id, self._venue.account.name, self._version
        )

    def _error(self, request_id: int, error: tuple[int, str]) -> None:
        self._send([replies.error(request_id, error, self._version)])


def _account_updates(desk: ClientDesk, fields: Fields) -> None:
    fields.skip(1)
    desk.feed.subscribe_updates(fields.flag())


def _account_summary(desk: ClientDesk, fields: Fields) -> None:
    request_id = requests.read_versioned_id(fields)
    fields.skip(1)
    desk.feed.subscribe_summary(request_id, fields.text())


def _pnl_single(desk: ClientDesk, fields: Fields) -> None:
    request_id = fields.integer()
    fields.skip(2)
    desk.feed.subscribe_pnl_single(request_id, fields.integer())


_HANDLERS: dict[int, Callable[[ClientDesk, Fields], None]] = {
    Request.MARKET_DATA: ClientDesk.market_data,
    Request.CANCEL_MARKET_DATA: lambda desk, fields: desk.lines.close(requests.read_versioned_id(fields)),
    Request.PLACE_ORDER: ClientDesk.place_order,
    Request.CANCEL_ORDER: ClientDesk.cancel_order,
    Request.OPEN_ORDERS: lambda desk, _: desk.open_orders(of_all_clients=False),
    Request.ACCOUNT_UPDATES: _account_updates,
    Request.EXECUTIONS: ClientDesk.executions,
    Request.NEXT_ID: lambda desk, _: desk.next_id(),
    Request.CONTRACT_DETAILS: ClientDesk.contract_details,
    Request.LOG_LEVEL: lambda *_: None,
    Request.AUTO_OPEN_ORDERS: lambda *_: None,
    Request.ALL_OPEN_ORDERS: lambda desk, _: desk.open_orders(of_all_clients=True),
    Request.MANAGED_ACCOUNTS: lambda desk, _: desk.greet(),
    Request.HISTORICAL_DATA: ClientDesk.historical_data,
    Request.CANCEL_HISTORICAL_DATA: lambda *_: None,  # bars are answered at once: nothing is left to cancel
    Request.CURRENT_TIME: lambda desk, _: desk.current_time(),
    Request.GLOBAL_CANCEL: lambda desk, _: desk.cancel_all(),
    Request.MARKET_DATA_TYPE: ClientDesk.market_data_type,
    Request.POSITIONS: lambda desk, _: desk.feed.subscribe_positions(),
    Request.ACCOUNT_SUMMARY: _account_summary,
    Request.CANCEL_ACCOUNT_SUMMARY: lambda desk, fields: desk.feed.cancel_summary(
        requests.read_versioned_id(fields)
    ),
    Request.CANCEL_POSITIONS: lambda desk, _: desk.feed.cancel_positions(),
    Request.ACCOUNT_UPDATES_MULTI: lambda desk, fields: desk.feed.subscribe_multi(
        requests.read_versioned_id(fields)
    ),
    Request.CANCEL_ACCOUNT_UPDATES_MULTI: lambda desk, fields: desk.feed.cancel_multi(
        requests.read_versioned_id(fields)
    ),
    Request.OPTION_PARAMETERS: ClientDesk.option_parameters,
    Request.PNL: lambda desk, fields: desk.feed.subscribe_pnl(fields.integer()),
    Request.CANCEL_PNL: lambda desk, fields: desk.feed.cancel_pnl(fields.integer()),
    Request.PNL_SINGLE: _pnl_single,
    Request.CANCEL_PNL_SINGLE: lambda desk, fields: desk.feed.cancel_pnl_single(fields.integer()),
    Request.COMPLETED_ORDERS: lambda desk, _: desk.completed_orders(),
}
