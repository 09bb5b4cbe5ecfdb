"""The account: cash, positions with their average cost, profit and loss, commissions, and its values.

As at IB, average cost is per contract and includes the multiplier and (but for futures, which settle
their gains in cash every day) the commission paid.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from trading_pipelines.core.market.calendar import NEW_YORK
from trading_pipelines.domain.contracts import SecurityType, Side
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.simulated_gateway.clock import GatewayClock
from trading_pipelines.simulated_gateway.margin import Exposure, Margin, requirement
from trading_pipelines.simulated_gateway.matching import Leg
from trading_pipelines.simulated_gateway.source import ListedContract, MarketQuote, MarketSource

_COMMISSIONS = {  # (a contract or share, at least per order), USD
    SecurityType.OPTION: (0.65, 0.0),
    SecurityType.FUTURE_OPTION: (1.42, 0.0),
    SecurityType.FUTURE: (2.25, 0.0),
    SecurityType.STOCK: (0.005, 1.0),
}
_MARGIN_MULTIPLE = 4.0
"""Buying power is this many times the available funds, as in a Regulation T account by day."""


@dataclass(frozen=True, slots=True)
class OpeningPosition:
    """A position the account starts with; `average_price` is per share, negative for nothing."""

    con_id: int
    quantity: float
    average_price: float


@dataclass(slots=True)
class Holding:
    """A position and what has been realised on it today."""

    listed: ListedContract
    quantity: float
    average_cost: float
    realised_pnl: float = 0.0
    spent_today: float = 0.0
    value_at_open: float = 0.0


@dataclass(frozen=True, slots=True)
class HoldingValue:
    """A position at the market: price per share, money in account currency."""

    holding: Holding
    price: float
    market_value: float
    unrealised_pnl: float
    daily_pnl: float


@dataclass(frozen=True, slots=True)
class Valuation:
    """The account at the market."""

    net_liquidation: float
    cash: float
    gross_position_value: float
    margin: Margin
    daily_pnl: float
    unrealised_pnl: float
    realised_pnl: float

    @property
    def available_funds(self) -> float:
        """What may still be put at risk."""
        return self.net_liquidation - self.margin.initial

    @property
    def excess_liquidity(self) -> float:
        """What may still be lost."""
        return self.net_liquidation - self.margin.maintenance

    @property
    def buying_power(self) -> float:
        """What may be bought."""
        return max(0.0, self.available_funds * _MARGIN_MULTIPLE)


@dataclass(frozen=True, slots=True)
class MarginPreview:
    """What an order would do to the account."""

    before: Margin
    change: Margin
    equity: float
    equity_change: float
    commission: float


def commission(listed: ListedContract, quantity: float) -> float:
    """Commission of one execution in USD."""
    each, minimum = _COMMISSIONS.get(listed.contract.security_type, (0.0, 0.0))
    return round(max(each * abs(quantity), minimum), 4)


def settles_daily(listed: ListedContract) -> bool:
    """Whether only gains and losses move cash, not the price: futures."""
    return listed.contract.security_type is SecurityType.FUTURE


class Account:
    """One account. It asks the source for its positions' quotes at the clock's time."""

    def __init__(
        self,
        name: str,
        cash: float,
        positions: Iterable[OpeningPosition],
        source: MarketSource,
        clock: GatewayClock,
    ) -> None:
        self.name = name
        self.cash = cash
        self._source = source
        self._clock = clock
        self._day: date | None = None
        self.holdings: dict[int, Holding] = {}
        for position in positions:
            listed = source.contract(position.con_id)
            if listed is None:
                raise MissingData(
                    f"the account starts with contract {position.con_id}, which the market does not list",
                    "take positions and market from the same seed or recording",
                )
            cost = position.average_price * listed.contract.multiplier
            self.holdings[position.con_id] = Holding(listed, position.quantity, cost)
        self.begin_day()

    def open_positions(self) -> list[Holding]:
        """Holdings that are not flat."""
        return [holding for holding in self.holdings.values() if holding.quantity]

    def book(
        self, listed: ListedContract, side: Side, quantity: float, price: float
    ) -> tuple[float, float | None]:
        """Take one execution into the books: its commission, and the profit it realised if it closed."""
        multiplier, fee = listed.contract.multiplier, commission(listed, quantity)
        signed = side.sign * quantity
        holding = self.holdings.setdefault(listed.contract.con_id, Holding(listed, 0.0, 0.0))
        closing = max(0.0, min(quantity, -side.sign * holding.quantity))
        opening = quantity - closing
        gain = -side.sign * closing * (price * multiplier - holding.average_cost)
        realised = gain - fee * closing / quantity if closing else None
        if opening:
            kept = holding.quantity + side.sign * closing
            cost = kept * holding.average_cost + side.sign * opening * price * multiplier
            if not settles_daily(listed):  # a future is marked from its price: its fee is gone with the cash
                cost += fee * opening / quantity
            holding.average_cost = cost / (kept + side.sign * opening)
        holding.quantity += signed
        if not holding.quantity:
            holding.average_cost = 0.0
        self.cash -= fee + (-gain if settles_daily(listed) else signed * price * multiplier)
        holding.spent_today += fee + signed * price * multiplier
        holding.realised_pnl += realised or 0.0
        return fee, realised

    def values(self) -> list[HoldingValue]:
        """Every position held or traded today, at the market."""
        return [self._value(holding, price) for holding, price in self._priced()]

    def valuation(self) -> Valuation:
        """The account at the market."""
        values = self.values()
        assets = sum(
            value.unrealised_pnl if settles_daily(value.holding.listed) else value.market_value
            for value in values
        )
        return Valuation(
            net_liquidation=self.cash + assets,
            cash=self.cash,
            gross_position_value=sum(abs(value.market_value) for value in values),
            margin=requirement(self._exposures({})),
            daily_pnl=sum(value.daily_pnl for value in values),
            unrealised_pnl=sum(value.unrealised_pnl for value in values),
            realised_pnl=sum(holding.realised_pnl for holding in self.holdings.values()),
        )

    def preview(self, legs: Sequence[Leg], units: float, price: float | None) -> MarginPreview:
        """What buying `units` (negative: selling) at `price` a share would do; None means at the market.

        The change of margin counts what the units cost beyond their marks, so that a defined-risk
        combo needs exactly its largest loss at its price.
        """
        traded = {leg.listed.contract.con_id: (leg, units * leg.signed_ratio) for leg in legs}
        before = requirement(self._exposures({}))
        after_exposures = self._exposures(traded)
        marks = {exposure.con_id: exposure.price for exposure in after_exposures}
        premium = 0.0
        if price is not None and not any(settles_daily(leg.listed) for leg in legs):
            fair = sum(leg.signed_ratio * marks.get(leg.listed.contract.con_id, 0.0) for leg in legs)
            premium = (price - fair) * units * legs[0].listed.contract.multiplier
        change = requirement(after_exposures) - before + Margin(premium, premium)
        fees = sum(commission(leg.listed, units * leg.ratio) for leg in legs)
        return MarginPreview(before, change, self.valuation().net_liquidation, -fees, fees)

    def _exposures(self, traded: Mapping[int, tuple[Leg, float]]) -> list[Exposure]:
        """Holdings with what would be traded on top; flat ones stay in, for their marks."""
        quantities = {con_id: holding.quantity for con_id, holding in self.holdings.items()}
        listings = {con_id: holding.listed for con_id, holding in self.holdings.items()}
        for con_id, (leg, quantity) in traded.items():
            quantities[con_id] = quantities.get(con_id, 0.0) + quantity
            listings[con_id] = leg.listed
        underlyings = {con_id: self._underlying(listed) for con_id, listed in listings.items()}
        con_ids = sorted({*underlyings.values(), *listings})
        quotes = dict(zip(con_ids, self._source.quotes(con_ids, self._clock.now()), strict=True))
        return [
            Exposure(
                con_id=con_id,
                security_type=listed.contract.security_type,
                underlying_con_id=underlyings[con_id],
                multiplier=listed.contract.multiplier,
                quantity=quantities[con_id],
                price=mark(quotes[con_id]) or 0.0,
                underlying_price=mark(quotes[underlyings[con_id]]) or listed.contract.strike or 0.0,
                expiry=listed.contract.expiry,
                strike=listed.contract.strike or 0.0,
                right=listed.contract.right,
            )
            for con_id, listed in listings.items()
        ]

    def _underlying(self, listed: ListedContract) -> int:
        """What margin depends on: an option's underlying where it is listed, else the contract itself."""
        underlying = listed.underlying_con_id if listed.contract.right else 0
        return underlying if underlying and self._source.contract(underlying) else listed.contract.con_id

    def _priced(self) -> list[tuple[Holding, float]]:
        holdings = list(self.holdings.values())
        con_ids = [holding.listed.contract.con_id for holding in holdings]
        quotes = self._source.quotes(con_ids, self._clock.now()) if con_ids else []
        return [
            (holding, _or_cost(mark(quote), holding)) for holding, quote in zip(holdings, quotes, strict=True)
        ]

    def _value(self, holding: Holding, price: float) -> HoldingValue:
        value = holding.quantity * price * holding.listed.contract.multiplier
        return HoldingValue(
            holding=holding,
            price=price,
            market_value=value,
            unrealised_pnl=value - holding.quantity * holding.average_cost,
            daily_pnl=value - holding.value_at_open - holding.spent_today,
        )

    def begin_day(self) -> None:
        """Take the previous closes as the day's beginning, once per New York day; call it when time moves."""
        today = self._clock.now().astimezone(NEW_YORK).date()
        if today == self._day:
            return
        self._day = today
        holdings = self.open_positions()
        self.holdings = {holding.listed.contract.con_id: holding for holding in holdings}
        quotes = self._source.quotes(list(self.holdings), self._clock.now()) if holdings else []
        for holding, quote in zip(holdings, quotes, strict=True):
            close = _or_cost(mark(quote) if quote.previous_close is None else quote.previous_close, holding)
            holding.value_at_open = holding.quantity * close * holding.listed.contract.multiplier
            holding.spent_today = holding.realised_pnl = 0.0


def mark(quote: MarketQuote) -> float | None:
    """What a contract is worth: mid, else last, else the previous close; None when there is nothing."""
    if quote.ask is not None and quote.bid is not None:
        return (quote.bid + quote.ask) / 2
    return quote.last if quote.last is not None else quote.previous_close


def _or_cost(price: float | None, holding: Holding) -> float:
    return holding.average_cost / holding.listed.contract.multiplier if price is None else price
