"""A market of a few literal contracts and quotes, so that a test can count by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from trading_pipelines.domain.contracts import Contract, Right, SecurityType
from trading_pipelines.simulated_gateway.source import (
    Bar,
    ListedContract,
    MarketQuote,
    ModelGreeks,
    OptionParameters,
)

SESSION = date(2024, 6, 12)
OPEN, NOON, CLOSE = (
    datetime(2024, 6, 12, hour, minute, tzinfo=UTC) for hour, minute in ((13, 30), (16, 0), (20, 0))
)
EXPIRY = date(2024, 7, 19)

SPY, VIX, ES = 756733, 13455763, 495512563
PUT_530, PUT_540, CALL_560, CALL_570, CALL_600 = 700000001, 700000002, 700000003, 700000004, 700000005

SESSIONS_BEFORE = [date(2024, 6, day) for day in (3, 4, 5, 6, 7, 10, 11)]
"""The NYSE sessions of June 2024 before the 12th."""


def quote(
    bid: float | None, ask: float | None, *, last: float | None = None, close: float | None = None
) -> MarketQuote:
    """A quote of ten bid and twelve offered."""
    return MarketQuote(
        bid=bid,
        ask=ask,
        bid_size=10.0 if bid is not None else 0.0,
        ask_size=12.0 if ask is not None else 0.0,
        last=last,
        last_size=1.0,
        volume=1234.0,
        open=None,
        high=None,
        low=None,
        previous_close=close,
    )


def option_quote(bid: float | None, ask: float, *, last: float, close: float, delta: float) -> MarketQuote:
    """A quote with a model's Greeks: a volatility of 18 %, a vega of 0.50 per point."""
    greeks = ModelGreeks(
        iv=0.18, price=last, delta=delta, gamma=0.01, vega=0.5, theta=-0.12, underlying=550.0
    )
    return replace(quote(bid, ask, last=last, close=close), greeks=greeks, open_interest=5000.0)


def option(con_id: int, strike: float, right: Right) -> ListedContract:
    """A SPY option of the one expiry."""
    return ListedContract(
        contract=Contract(
            con_id=con_id,
            security_type=SecurityType.OPTION,
            symbol="SPY",
            exchange="SMART",
            local_symbol=f"SPY   240719{right.value}{int(strike * 1000):08d}",
            trading_class="SPY",
            multiplier=100,
            expiry=EXPIRY,
            strike=strike,
            right=right,
        ),
        long_name="SPDR S&P 500 ETF TRUST",
        min_tick=0.01,
        primary_exchange="",
        valid_exchanges="SMART,CBOE",
        underlying_con_id=SPY,
        time_zone="US/Eastern",
    )


def _plain(
    contract: Contract, name: str, *, min_tick: float, primary_exchange: str, zone: str
) -> ListedContract:
    return ListedContract(contract, name, min_tick, primary_exchange, contract.exchange, 0, zone)


_STOCK = Contract(
    con_id=SPY,
    security_type=SecurityType.STOCK,
    symbol="SPY",
    exchange="SMART",
    local_symbol="SPY",
    trading_class="SPY",
)
_INDEX = Contract(
    con_id=VIX, security_type=SecurityType.INDEX, symbol="VIX", exchange="CBOE", local_symbol="VIX"
)
_FUTURE = Contract(
    con_id=ES,
    security_type=SecurityType.FUTURE,
    symbol="ES",
    exchange="CME",
    local_symbol="ESU4",
    trading_class="ES",
    multiplier=50,
    expiry=date(2024, 9, 20),
)
CONTRACTS = {
    listed.contract.con_id: listed
    for listed in (
        _plain(_STOCK, "SPDR S&P 500 ETF TRUST", min_tick=0.01, primary_exchange="ARCA", zone="US/Eastern"),
        _plain(_INDEX, "CBOE Volatility Index", min_tick=0.01, primary_exchange="", zone="US/Central"),
        _plain(_FUTURE, "E-mini S&P 500", min_tick=0.25, primary_exchange="", zone="US/Central"),
        option(PUT_530, 530.0, Right.PUT),
        option(PUT_540, 540.0, Right.PUT),
        option(CALL_560, 560.0, Right.CALL),
        option(CALL_570, 570.0, Right.CALL),
        option(CALL_600, 600.0, Right.CALL),
    )
}

QUOTES = {
    SPY: quote(549.99, 550.01, last=550.0, close=548.0),
    VIX: quote(None, None, last=12.5, close=12.8),
    ES: quote(5520.00, 5520.25, last=5520.25, close=5500.0),
    PUT_530: option_quote(2.00, 2.04, last=2.02, close=2.10, delta=-0.12),
    PUT_540: option_quote(4.00, 4.06, last=4.03, close=4.20, delta=-0.25),
    CALL_560: option_quote(4.50, 4.56, last=4.53, close=4.40, delta=0.30),
    CALL_570: option_quote(1.80, 1.84, last=1.82, close=1.70, delta=0.15),
    CALL_600: option_quote(None, 0.05, last=0.02, close=0.04, delta=0.01),
}


@dataclass
class StaticMarket:
    """A MarketSource whose quotes stand still, but for `moves`: (from when, contract, quote)."""

    moves: list[tuple[datetime, int, MarketQuote]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    """How many contracts each call of `quotes` asked for."""

    def contract(self, con_id: int) -> ListedContract | None:
        return CONTRACTS.get(con_id)

    def find(self, pattern: Contract) -> Sequence[ListedContract]:
        return [
            listed
            for listed in CONTRACTS.values()
            if listed.contract.security_type is pattern.security_type
            and listed.contract.symbol == pattern.symbol
            and pattern.expiry in {None, listed.contract.expiry}
            and pattern.strike in {None, listed.contract.strike}
            and pattern.right in {None, listed.contract.right}
        ]

    def option_parameters(self, underlying_con_id: int) -> Sequence[OptionParameters]:
        if underlying_con_id != SPY:
            return []
        strikes = (530.0, 540.0, 560.0, 570.0, 600.0)
        return [OptionParameters("SMART", SPY, "SPY", "100", (EXPIRY,), strikes)]

    def quotes(self, con_ids: Sequence[int], at: datetime) -> list[MarketQuote]:
        self.asked.append(len(con_ids))
        now = QUOTES | {con_id: moved for since, con_id, moved in self.moves if since <= at}
        return [now[con_id] for con_id in con_ids]

    def bars(self, con_id: int, *, what: str, seconds: int, end: datetime, count: int) -> list[Bar]:
        if con_id != SPY:
            return []
        if seconds == 86_400:
            starts = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in SESSIONS_BEFORE]
        else:
            length = timedelta(seconds=seconds)
            starts = [OPEN + number * length for number in range((end - OPEN) // length)]
        if what == "OPTION_IMPLIED_VOLATILITY":
            return [Bar(start, 0.15, 0.17, 0.14, 0.16, 0.0, 0.0, 0) for start in starts][-count:]
        return [Bar(start, 548.0, 551.0, 547.0, 550.0, 1e6, 549.5, 1000) for start in starts][-count:]

    def is_open(self, con_id: int, at: datetime) -> bool:
        return con_id == ES or OPEN <= at < CLOSE
