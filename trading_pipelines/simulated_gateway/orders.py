"""An order and its executions, and what is asked of an order before it is taken."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from trading_pipelines.core.market.calendar import session_bounds, tick_at, trade_date, trade_date_bounds
from trading_pipelines.domain.contracts import SecurityType, Side
from trading_pipelines.simulated_gateway import ids
from trading_pipelines.simulated_gateway.contracts import is_valid, look_up
from trading_pipelines.simulated_gateway.matching import Leg
from trading_pipelines.simulated_gateway.order_requests import OrderRequest
from trading_pipelines.simulated_gateway.source import ListedContract, MarketSource

_COMBO_TICK = 0.01
_FUTURES = {SecurityType.FUTURE, SecurityType.FUTURE_OPTION}
_ORDER_TYPES = {"LMT", "MKT"}
_LIVES = {"DAY", "GTC", "IOC"}


class Status(StrEnum):
    """States of an order as the wire names them."""

    SUBMITTED = "Submitted"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    INACTIVE = "Inactive"


@dataclass(slots=True)
class Order:
    """An order the gateway took in, or rejected, with its legs resolved."""

    client_id: int
    perm_id: int
    request: OrderRequest
    legs: tuple[Leg, ...]
    dies_at: datetime | None
    status: Status = Status.SUBMITTED
    filled: float = 0.0
    average_price: float = 0.0
    completed_at: datetime | None = None
    completed_because: str = ""

    @property
    def remaining(self) -> float:
        """Units that are not filled."""
        return self.request.quantity - self.filled

    @property
    def listed(self) -> ListedContract | None:
        """The contract of a plain order; None for a combo."""
        return None if self.request.contract.is_combo else self.legs[0].listed

    @property
    def limit(self) -> float:
        """The worst price it may fill at: unlimited for a market order."""
        if self.request.order_type == "MKT" or self.request.limit is None:
            return math.inf * self.request.side.sign
        return self.request.limit

    @property
    def name(self) -> str:
        """What identifies it whenever its messages arrive: its reference, else its permanent id."""
        return self.request.order_ref or str(self.perm_id)


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution; `listed` is None for a combo as a whole, which bears no commission."""

    exec_id: str
    order: Order
    listed: ListedContract | None
    side: Side
    quantity: float
    price: float
    at: datetime
    commission: float | None
    realised_pnl: float | None


class Refusal(Exception):
    """An order is not taken, with IB's code and sentence: an answer to the client, not an error of ours."""

    def __init__(self, error: tuple[int, str]) -> None:
        self.error = error
        super().__init__(error[1])


def resolve(source: MarketSource, request: OrderRequest) -> tuple[Leg, ...]:
    """The legs an order would trade; Refusal 200 when one is unknown or ambiguous."""
    if request.contract.is_combo:
        listings = [source.contract(leg.con_id) for leg in request.legs]
        legs = tuple(
            Leg(listed, leg.ratio, leg.side)
            for listed, leg in zip(listings, request.legs, strict=True)
            if listed is not None and leg.ratio > 0
        )
        if len(legs) < len(listings) or not 2 <= len(legs) <= 4:
            raise Refusal(ids.NO_SECURITY())
        return legs
    found = look_up(source, request.contract) if is_valid(request.contract) else []
    if len(found) != 1:
        raise Refusal(ids.NO_SECURITY())
    return (Leg(found[0], 1, Side.BUY),)


def check(request: OrderRequest, legs: Sequence[Leg], account: str) -> None:
    """Refusal for what this gateway, or IB, does not take."""
    if any(leg.listed.contract.security_type is SecurityType.INDEX for leg in legs):
        raise Refusal(ids.REJECTED("an index cannot be traded"))
    if len(legs) > 2 and ("NonGuaranteed", "1") in request.routing:
        raise Refusal(ids.NON_GUARANTEED())
    if request.order_type not in _ORDER_TYPES:
        raise Refusal(ids.ORDER_TYPE())
    if request.tif not in _LIVES:
        raise Refusal(ids.INVALID(f"Invalid time in force:{request.tif}"))
    if not request.transmit or request.parent_id:
        raise Refusal(ids.INVALID("Attached and untransmitted orders are not simulated"))
    if not (0 < request.quantity < math.inf) or request.quantity != int(request.quantity):
        raise Refusal(ids.INVALID(f"The size value cannot be {request.quantity:g}"))
    if request.account not in {"", account}:
        raise Refusal(ids.INVALID(f"Invalid account code '{request.account}'."))
    if request.order_type == "LMT" and not _on_tick(request, legs):
        raise Refusal(ids.PRICE_VARIATION())


def _on_tick(request: OrderRequest, legs: Sequence[Leg]) -> bool:
    """Whether the limit is a price of this contract; only a combo's may be 0 or negative."""
    limit = request.limit
    if limit is None or not math.isfinite(limit) or abs(limit) > 1e9:
        return False
    combo = request.contract.is_combo
    steps = limit / (_COMBO_TICK if combo else legs[0].listed.min_tick)
    return (combo or limit > 0) and abs(steps - round(steps)) < 1e-6


def day_ends(legs: Sequence[Leg], at: datetime) -> datetime:
    """When a DAY order placed at `at` dies: the NYSE close, or the end of the CME trade date for futures."""
    if any(leg.listed.contract.security_type in _FUTURES for leg in legs):
        day = trade_date(at)
        return at if day is None else trade_date_bounds(day)[1]
    tick = tick_at(at)
    return at if tick is None else session_bounds(tick[0])[1]
