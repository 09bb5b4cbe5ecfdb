"""The outside world in memory: a clock, a market and a broker that keep to the same ports as the real ones.

`CrashPoints` ends the process, so to say, at any call of any port. The journal needs no fake: the real
one is a file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from trading_pipelines.domain.contracts import Contract, Right, SecurityType, Side
from trading_pipelines.domain.decisions import Alert
from trading_pipelines.domain.errors import (
    BrokerUnavailable,
    MissingData,
    OrderRejected,
    OrderStateUnknown,
)
from trading_pipelines.domain.orders import BrokerOrder, Fill, MarginImpact, OrderIntent
from trading_pipelines.domain.positions import AccountState, BrokerPosition
from trading_pipelines.domain.tables import BARS, CONTRACT_COLUMNS, QUOTE_COLUMNS
from trading_pipelines_tests.builders import ACCOUNT, AS_OF, CALLS, PUTS, con_id

COMMISSION = 0.65
"""Per contract."""


class FakeClock:
    """Stands still unless it is told to go on."""

    def __init__(self, at: datetime = AS_OF) -> None:
        self.at = at

    def now(self) -> datetime:
        """The time it was set to."""
        return self.at

    def advance(self, seconds: float) -> None:
        """Let time pass; also what a workflow's `pause` does."""
        self.at += timedelta(seconds=seconds)


class FakeMarketData:
    """Quotes of the builders' chain, two cents around mid and live; `change` replaces some."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._changes: dict[int, dict[str, Any]] = {}
        self.mids = {con_id(Right.PUT, strike): mid for strike, (mid, _) in PUTS.items()}
        self.mids |= {con_id(Right.CALL, strike): mid for strike, (mid, _) in CALLS.items()}
        self.asked = 0

    def change(self, contract_id: int, **columns: Any) -> None:
        """Quote one contract otherwise: `bid=None`, `status="missing"`, `quoted_at=…`."""
        self._changes.setdefault(contract_id, {}).update(columns)

    def resolve(self, contracts: Sequence[Contract]) -> tuple[Contract, ...]:
        """The contracts as they are; MissingData for those without an id."""
        unknown = [contract.symbol for contract in contracts if not contract.con_id]
        if unknown:
            raise MissingData(f"the broker does not list {', '.join(unknown)}")
        return tuple(contracts)

    def list_options(self, underlying: Contract) -> pl.DataFrame:
        """Nothing is listed."""
        return pl.Schema({**CONTRACT_COLUMNS, "exercise_style": pl.String()}).to_frame()

    def list_futures(self, symbol: str, exchange: str) -> tuple[Contract, ...]:
        """Nothing is listed."""
        return ()

    def quotes(self, contracts: pl.DataFrame, *, timeout_seconds: float) -> pl.DataFrame:
        """One row per contract asked, in its order."""
        self.asked += contracts.height
        rows = [self._row(contract_id) for contract_id in contracts["con_id"]]
        return pl.DataFrame(rows, schema=QUOTE_COLUMNS)

    def _row(self, contract_id: int) -> dict[str, Any]:
        mid = self.mids[contract_id]
        row: dict[str, Any] = dict.fromkeys(QUOTE_COLUMNS)
        row |= {"con_id": contract_id, "bid": round(mid - 0.02, 4), "ask": round(mid + 0.02, 4)}
        row |= {"market_data_type": 1, "status": "ok", "quoted_at": self._clock.now()}
        return row | self._changes.get(contract_id, {})


class FakeHistory:
    """No history of anything."""

    def daily_bars(self, contract: Contract, *, what: str, sessions: int, before: date) -> pl.DataFrame:
        """Empty."""
        return BARS.schema.to_frame()


class FakeAlerts:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.sent: list[Alert] = []

    def send(self, alert: Alert) -> bool:
        """Delivered to the list."""
        self.sent.append(alert)
        return True


@dataclass
class _Order:
    intent: OrderIntent
    order_id: int
    perm_id: int
    status: str = "Submitted"
    filled: float = 0.0


@dataclass
class FakeBroker:
    """A broker that takes orders and does with them what `behaviour` says; `sent` is its own truth.

    Behaviours: `work`, `fill`, `partial`, `reject`; `silent` (the order arrives, no word comes back),
    `lost` (no order, no word), `down` (certainly nothing sent).
    """

    clock: FakeClock
    behaviour: str = "work"
    client_id: int = 12
    holds: dict[int, tuple[Contract, float]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    order_ids: list[int] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)
    on_place: Callable[[OrderIntent], None] = lambda intent: None
    forgets: bool = False
    """Orders are in no report, as after a gateway's restart."""
    reachable: bool = True
    _orders: dict[str, _Order] = field(default_factory=dict)
    _fills: list[Fill] = field(default_factory=list)
    _next_id: int = 1

    def account(self) -> AccountState:
        """A million in cash."""
        values = dict.fromkeys(
            ("net_liquidation", "cash", "buying_power", "available_funds", "excess_liquidity"), 1_000_000.0
        )
        return AccountState(
            account=ACCOUNT,
            at=self.clock.now(),
            **values,
            initial_margin=0.0,
            maintenance_margin=0.0,
            daily_pnl=None,
            realised_pnl=None,
            unrealised_pnl=None,
        )

    def positions(self) -> tuple[BrokerPosition, ...]:
        """What it holds."""
        self._answer()
        return tuple(
            BrokerPosition(account=ACCOUNT, contract=contract, quantity=quantity, average_cost=0.0)
            for contract, quantity in self.holds.values()
            if quantity
        )

    def next_order_id(self, above: int = 0) -> int:
        """Larger than `above` and any before."""
        self._next_id = max(self._next_id, above + 1)
        self._next_id += 1
        return self._next_id - 1

    def place(self, intent: OrderIntent, order_id: int) -> BrokerOrder:
        """Take the order as `behaviour` says."""
        if not self.reachable or self.behaviour == "down":
            raise BrokerUnavailable("the connection broke before the order was written")
        self.on_place(intent)
        self.sent.append(intent.order_ref)
        self.order_ids.append(order_id)
        if self.behaviour == "lost":
            raise OrderStateUnknown("no word within 10 s")
        order = _Order(intent, order_id, perm_id=1000 + len(self.sent))
        self._orders[intent.order_ref] = order
        if self.behaviour == "reject":
            order.status = "Inactive"
            raise OrderRejected("IB rejected the order: 201 margin")
        if self.behaviour == "silent":
            raise OrderStateUnknown("no word within 10 s")
        if self.behaviour == "fill":
            self.fill(intent.order_ref, intent.units)
        if self.behaviour == "partial":
            self.fill(intent.order_ref, intent.units - 1)
        # The first word comes before the market got to the order.
        return self._report(order).model_copy(update={"status": "PreSubmitted", "filled": 0.0})

    def await_fill(self, order_ref: str, *, timeout_seconds: float) -> BrokerOrder:
        """The order as it is."""
        self._answer()
        return self._report(self._orders[order_ref])

    def cancel(self, order_ref: str, order_id: int) -> None:
        """Cancel what works."""
        self._answer()
        self.cancels.append(order_ref)
        order = self._orders[order_ref]
        if order.status == "Submitted":
            order.status = "Cancelled"

    def orders(self) -> tuple[BrokerOrder, ...]:
        """All of them, unless it forgot."""
        self._answer()
        return () if self.forgets else tuple(self._report(order) for order in self._orders.values())

    def fills(self) -> tuple[Fill, ...]:
        """All of them, unless it forgot."""
        self._answer()
        return () if self.forgets else tuple(self._fills)

    def what_if(self, intent: OrderIntent) -> MarginImpact:
        """No impact is known."""
        return MarginImpact(
            initial_margin_change=None, maintenance_margin_change=None, equity_with_loan=None, commission=None
        )

    # What the market does

    def fill(self, order_ref: str, units: int, price: float | None = None) -> None:
        """Execute units of an order: once for the combo and once per leg; leg prices add up to `price`."""
        order = self._orders[order_ref]
        intent = order.intent
        paid = intent.limit_price if price is None else price
        number = len(self._fills)
        whole = Contract(security_type=SecurityType.COMBO, symbol=intent.underlying, exchange="SMART")
        self._execute(order, f"0000.{number:08x}.01.01", whole, Side.BUY, units, paid, None)
        first, *others = intent.legs
        rest = sum(leg.signed_ratio * 1.0 for leg in others)
        for part, leg in enumerate(intent.legs):
            leg_price = 1.0 if part else (paid - rest) / first.signed_ratio
            quantity = units * leg.ratio
            self._execute(
                order,
                f"0000.{number:08x}.{part + 2:02d}.01",
                leg.contract,
                leg.side,
                quantity,
                leg_price,
                COMMISSION * quantity,
            )
            _, held = self.holds.get(leg.contract.con_id, (leg.contract, 0.0))
            self.holds[leg.contract.con_id] = (leg.contract, held + leg.side.sign * quantity)
        order.filled += units
        if order.filled >= intent.units:
            order.status = "Filled"

    def correct(self, exec_id: str, **changes: Any) -> None:
        """Report an execution again under a higher suffix."""
        original = next(fill for fill in self._fills if fill.exec_id == exec_id)
        key, _, count = exec_id.rpartition(".")
        self._fills.append(original.model_copy(update={"exec_id": f"{key}.{int(count) + 1:02d}", **changes}))

    def end(self, order_ref: str, status: str) -> None:
        """Set an order's status, as the exchange would."""
        self._orders[order_ref].status = status

    def _execute(
        self,
        order: _Order,
        exec_id: str,
        contract: Contract,
        side: Side,
        quantity: float,
        price: float,
        commission: float | None,
    ) -> None:
        self._fills.append(
            Fill(
                exec_id=exec_id,
                order_ref=order.intent.order_ref,
                perm_id=order.perm_id,
                account=order.intent.account,
                contract=contract,
                side=side,
                quantity=quantity,
                price=price,
                filled_at=self.clock.now().astimezone(UTC),
                commission=commission,
                realised_pnl=None,
            )
        )

    def _report(self, order: _Order) -> BrokerOrder:
        return BrokerOrder(
            order_ref=order.intent.order_ref,
            order_id=order.order_id,
            perm_id=order.perm_id,
            client_id=self.client_id,
            account=order.intent.account,
            status=order.status,
            filled=order.filled,
            remaining=order.intent.units - order.filled,
            average_price=order.intent.limit_price if order.filled else 0.0,
            con_ids=tuple(leg.contract.con_id for leg in order.intent.legs),
        )

    def _answer(self) -> None:
        if not self.reachable:
            raise BrokerUnavailable("the connection to the gateway broke")


class Crash(BaseException):
    """The process ends here: nothing may catch it."""


class CrashPoints:
    """Ends the process at the n-th call (from 0) of any wrapped port, before or after it took effect."""

    def __init__(self, at: int | None, *, after: bool = False) -> None:
        self._left = at
        self._after = after
        self.calls = 0

    def wrap(self, port: Any) -> Any:
        """The port, with every call counted."""
        return _Wrapped(port, self)

    def run(self, call: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        """One call, unless it is the last."""
        ends = self.calls == self._left
        self.calls += 1
        if ends and not self._after:
            raise Crash
        result = call(*args, **options)
        if ends:
            raise Crash
        return result


class _Wrapped:
    def __init__(self, port: Any, points: CrashPoints) -> None:
        self._port = port
        self._points = points

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if not callable(value):
            return value
        return lambda *args, **options: self._points.run(value, args, options)
