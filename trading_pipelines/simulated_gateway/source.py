"""What the gateway asks of a market, synthetic or recorded: contracts, quotes and bars at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from trading_pipelines.domain.contracts import Contract


@dataclass(frozen=True, slots=True)
class ModelGreeks:
    """The gateway's own option model: vega per volatility point, theta per calendar day."""

    iv: float
    price: float
    delta: float
    gamma: float
    vega: float
    theta: float
    underlying: float


@dataclass(frozen=True, slots=True)
class MarketQuote:
    """One contract at one time. None means there is none: the wire sends −1 or nothing."""

    bid: float | None
    ask: float | None
    bid_size: float
    ask_size: float
    last: float | None
    last_size: float
    volume: float
    open: float | None
    high: float | None
    low: float | None
    previous_close: float | None
    greeks: ModelGreeks | None = None
    open_interest: float | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar that started at `start` (UTC); daily bars start at midnight UTC of their session."""

    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    average: float
    count: int


@dataclass(frozen=True, slots=True)
class ListedContract:
    """A contract and what its details message says beside."""

    contract: Contract
    long_name: str
    min_tick: float
    primary_exchange: str
    valid_exchanges: str
    underlying_con_id: int
    time_zone: str
    exercise_style: str = ""


@dataclass(frozen=True, slots=True)
class OptionParameters:
    """One answer to reqSecDefOptParams: strikes are the union over the expiries, as at IB."""

    exchange: str
    underlying_con_id: int
    trading_class: str
    multiplier: str
    expiries: tuple[date, ...]
    strikes: tuple[float, ...]


class MarketSource(Protocol):
    """A market the gateway can serve; everything is a function of the time asked, and of the seed."""

    def contract(self, con_id: int) -> ListedContract | None:
        """One listed contract."""
        ...

    def find(self, pattern: Contract) -> Sequence[ListedContract]:
        """Contracts that match every field the pattern sets (con_id first), in a stable order."""
        ...

    def option_parameters(self, underlying_con_id: int) -> Sequence[OptionParameters]:
        """Option classes of an underlying; empty when it has none."""
        ...

    def quotes(self, con_ids: Sequence[int], at: datetime) -> list[MarketQuote]:
        """What the market shows at `at`, in the order asked; knows nothing that happened later."""
        ...

    def bars(self, con_id: int, *, what: str, seconds: int, end: datetime, count: int) -> list[Bar]:
        """The last `count` bars of `seconds` (86400 = daily) that ended by `end`, ascending.

        `what` is IB's whatToShow: TRADES, MIDPOINT, BID, ASK, OPTION_IMPLIED_VOLATILITY,
        HISTORICAL_VOLATILITY. Empty when the source has none.
        """
        ...

    def is_open(self, con_id: int, at: datetime) -> bool:
        """Whether the contract trades at `at`."""
        ...
