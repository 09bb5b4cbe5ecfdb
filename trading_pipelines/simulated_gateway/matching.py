"""What a unit of an order is worth in the market, and what its legs traded at. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from trading_pipelines.domain.contracts import SecurityType, Side
from trading_pipelines.simulated_gateway.source import ListedContract, MarketQuote

_OPTIONS = {SecurityType.OPTION, SecurityType.FUTURE_OPTION}
_CENTS = 2


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg of a unit; a plain order is a unit of one leg, bought once."""

    listed: ListedContract
    ratio: int
    side: Side

    @property
    def signed_ratio(self) -> int:
        """Contracts gained per unit bought."""
        return self.ratio * self.side.sign


@dataclass(frozen=True, slots=True)
class Market:
    """Both sides of a market; None where a side has no quote."""

    bid: float | None
    ask: float | None


def leg_market(leg: Leg, quote: MarketQuote) -> Market:
    """One leg's market. An offered option that nobody bids for is worth 0 in a combo, no less."""
    worthless = leg.listed.contract.security_type in _OPTIONS and quote.bid is None and quote.ask is not None
    return Market(0.0 if worthless else quote.bid, quote.ask)


def unit_market(legs: Sequence[Leg], quotes: Sequence[MarketQuote]) -> Market:
    """The market of one unit bought, per share: bought legs at their ask and sold legs at their bid.

    A single leg has the market of its contract. A side for which any leg has no quote is None.
    """
    if len(legs) == 1 and legs[0].signed_ratio == 1:
        return Market(quotes[0].bid, quotes[0].ask)
    markets = [leg_market(leg, quote) for leg, quote in zip(legs, quotes, strict=True)]
    near = [
        market.bid if leg.side is Side.BUY else market.ask for leg, market in zip(legs, markets, strict=True)
    ]
    far = [
        market.ask if leg.side is Side.BUY else market.bid for leg, market in zip(legs, markets, strict=True)
    ]
    return Market(_net(legs, near), _net(legs, far))


def _net(legs: Sequence[Leg], prices: Sequence[float | None]) -> float | None:
    known = [price for price in prices if price is not None]
    if len(known) < len(legs):
        return None
    total = sum(leg.signed_ratio * price for leg, price in zip(legs, known, strict=True))
    return round(total, 6)  # float dust would make a marketable limit miss by 1e-16


def leg_prices(legs: Sequence[Leg], quotes: Sequence[MarketQuote], price: float) -> list[float]:
    """What each leg traded at when a unit traded at `price`: their net is exactly that.

    Every leg moves from its mid by the same share of its half spread, so none leaves its own market
    while the unit is inside its own. Cents; what rounding leaves goes to the leg that can take it
    with the smallest ratio, of those to the one with the widest market.
    """
    if len(legs) == 1 and legs[0].signed_ratio == 1:
        return [price]
    sides = [_known_sides(leg_market(leg, quote)) for leg, quote in zip(legs, quotes, strict=True)]
    mids = [(low + high) / 2 for low, high in sides]
    halves = [(high - low) / 2 for low, high in sides]
    net_mid = sum(leg.signed_ratio * mid for leg, mid in zip(legs, mids, strict=True))
    width = sum(leg.ratio * half for leg, half in zip(legs, halves, strict=True))
    share = (price - net_mid) / width if width > 0 else 0.0
    traded = [
        max(0.0, round(mid + leg.side.sign * share * half, _CENTS))  # never −0.0
        for leg, mid, half in zip(legs, mids, halves, strict=True)
    ]
    taker = min(range(len(legs)), key=lambda index: (legs[index].ratio, -halves[index]))
    rest = sum(leg.signed_ratio * paid for leg, paid in zip(legs, traded, strict=True))
    traded[taker] = round(traded[taker] + (price - rest) / legs[taker].signed_ratio, 6)
    return traded


def _known_sides(market: Market) -> tuple[float, float]:
    """Lower and higher side; a side alone is both, since that is what the leg can trade at."""
    known = [side for side in (market.bid, market.ask) if side is not None]
    return min(known, default=0.0), max(known, default=0.0)
