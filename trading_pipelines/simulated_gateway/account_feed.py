"""What one client is told about the account: on request, and later to whom subscribed."""

from collections.abc import Callable, Sequence

from trading_pipelines.simulated_gateway import replies
from trading_pipelines.simulated_gateway.account import Account, HoldingValue, Valuation
from trading_pipelines.simulated_gateway.clock import GatewayClock
from trading_pipelines.simulated_gateway.ids import Reply

_LEDGER_TAGS = {"RealizedPnL", "UnrealizedPnL"}
_OWN_TAGS = {"AccountReady"}


class AccountFeed:
    """Account values, positions and profit and loss, as subscriptions of one client."""

    def __init__(
        self, account: Account, clock: GatewayClock, send: Callable[[Sequence[bytes]], None]
    ) -> None:
        self._account = account
        self._clock = clock
        self._send = send
        self._updates = False
        self._positions = False
        self._summaries: dict[int, frozenset[str]] = {}
        self._multis: set[int] = set()
        self._pnl: set[int] = set()
        self._pnl_single: dict[int, int] = {}

    def subscribe_updates(self, subscribe: bool) -> None:
        """Account values and portfolio, closed by accountDownloadEnd."""
        self._updates = subscribe
        if subscribe:
            self._tell_updates(self._account.valuation(), self._account.values())
            self._send([replies.end(Reply.ACCOUNT_END, self._account.name)])

    def subscribe_multi(self, request_id: int) -> None:
        """Account values under a request id."""
        self._multis.add(request_id)
        values = replies.account_values(self._account.valuation())
        self._send(
            [
                replies.account_multi(tag, value, self._account.name, request_id)
                for tag, value in values.items()
            ]
        )
        self._send([replies.end(Reply.ACCOUNT_MULTI_END, request_id)])

    def cancel_multi(self, request_id: int) -> None:
        """End it."""
        self._multis.discard(request_id)

    def subscribe_summary(self, request_id: int, tags: str) -> None:
        """The tags asked for, closed by accountSummaryEnd; `$LEDGER` stands for the profits."""
        asked = {tag.strip() for tag in tags.split(",")}
        if any(tag.startswith("$LEDGER") for tag in asked):
            asked |= _LEDGER_TAGS
        self._summaries[request_id] = frozenset(asked)
        self._tell_summary(request_id, self._account.valuation())
        self._send([replies.end(Reply.ACCOUNT_SUMMARY_END, request_id)])

    def cancel_summary(self, request_id: int) -> None:
        """End it."""
        self._summaries.pop(request_id, None)

    def subscribe_positions(self) -> None:
        """Every position, closed by positionEnd."""
        self._positions = True
        holdings = self._account.open_positions()
        self._send([replies.position(holding, self._account.name) for holding in holdings])
        self._send([replies.end(Reply.POSITIONS_END)])

    def cancel_positions(self) -> None:
        """End it."""
        self._positions = False

    def subscribe_pnl(self, request_id: int) -> None:
        """Profit and loss of the account."""
        self._pnl.add(request_id)
        self._send([replies.pnl(self._account.valuation(), request_id)])

    def cancel_pnl(self, request_id: int) -> None:
        """End it."""
        self._pnl.discard(request_id)

    def subscribe_pnl_single(self, request_id: int, con_id: int) -> None:
        """Profit and loss of one position; nothing is told while there is none."""
        self._pnl_single[request_id] = con_id
        self._tell_pnl_single(self._account.values())

    def cancel_pnl_single(self, request_id: int) -> None:
        """End it."""
        self._pnl_single.pop(request_id, None)

    def changed(self, con_ids: Sequence[int] = ()) -> None:
        """Tell subscribers what the account is worth now, and the positions that changed."""
        if self._positions:
            holdings = [self._account.holdings[con_id] for con_id in con_ids]
            self._send([replies.position(holding, self._account.name) for holding in holdings])
        if not (self._updates or self._summaries or self._multis or self._pnl or self._pnl_single):
            return
        valuation, values = self._account.valuation(), self._account.values()
        if self._updates:
            self._tell_updates(valuation, values)
        for request_id in self._summaries:
            self._tell_summary(request_id, valuation)
        self._send([replies.pnl(valuation, request_id) for request_id in sorted(self._pnl)])
        self._tell_pnl_single(values)

    def _tell_updates(self, valuation: Valuation, values: Sequence[HoldingValue]) -> None:
        name = self._account.name
        told = replies.account_values(valuation)
        self._send([replies.account_value(tag, value, name) for tag, value in told.items()])
        self._send([replies.portfolio(value, name) for value in values])
        self._send([replies.account_time(self._clock.now())])

    def _tell_summary(self, request_id: int, valuation: Valuation) -> None:
        asked, name = self._summaries[request_id], self._account.name
        told = replies.account_values(valuation)
        self._send(
            [
                replies.account_summary(tag, value, name, request_id)
                for tag, value in told.items()
                if tag in asked
            ]
        )

    def _tell_pnl_single(self, values: Sequence[HoldingValue]) -> None:
        held = {value.holding.listed.contract.con_id: value for value in values}
        self._send(
            [
                replies.pnl_single(held[con_id], request_id)
                for request_id, con_id in self._pnl_single.items()
                if con_id in held
            ]
        )
