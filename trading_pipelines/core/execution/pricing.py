"""What a combo costs and at what limit it is ordered.

A unit is always bought, so its far side is the ask of the whole: bought legs at their asks, sold legs
at their bids. Prices are per unit and share; a credit is negative.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trading_pipelines.domain.orders import OrderLeg
from trading_pipelines.domain.parameters import ExecutionParameters, RiskParameters

Quote = tuple[float | None, float | None]
"""Bid and ask of one contract; None where there is none."""

_ABSURD = 1e7
"""No option costs that much a share; IB's "unset" is 1.797e308, which is finite."""


@dataclass(frozen=True, slots=True)
class ComboQuote:
    """The market of one unit, from the markets of its legs."""

    bid: float
    ask: float

    @property
    def mid(self) -> float:
        """Half way between selling and buying the unit."""
        return (self.bid + self.ask) / 2


def combo_quote(legs: Sequence[OrderLeg], quotes: Mapping[int, Quote]) -> ComboQuote | None:
    """The unit's market from its legs' quotes by con_id; None unless each is two-sided and not crossed."""
    bid = ask = 0.0
    for leg in legs:
        sides = two_sided(quotes.get(leg.contract.con_id, (None, None)))
        if sides is None:
            return None
        near, far = sides if leg.signed_ratio > 0 else sides[::-1]
        bid += leg.signed_ratio * near
        ask += leg.signed_ratio * far
    return ComboQuote(bid=bid, ask=ask) if legs else None


def two_sided(quote: Quote) -> tuple[float, float] | None:
    """Bid and ask when both are sane numbers, the bid not negative, the ask positive and not below the bid.

    A bid of 0 is a market: a worthless option can be bought back.
    """
    bid, ask = quote
    if bid is None or ask is None or not math.isfinite(bid) or not math.isfinite(ask):
        return None
    return (bid, ask) if 0 <= bid <= ask < _ABSURD and ask > 0 else None


def limit_price(
    quote: ComboQuote, execution: ExecutionParameters, risk: RiskParameters, *, urgent: bool
) -> float:
    """Mid plus a concession toward the far side, inside the price collar, rounded down to the increment.

    Down is the safe direction for who buys: never more is paid, nor less credit taken, than was conceded.
    """
    share = execution.urgent_concession if urgent else execution.spread_concession
    concession = min(share * (quote.ask - quote.mid), collar(quote.mid, risk))
    # The epsilon keeps 2.6 from becoming 2.59 when it is stored as 2.5999999999999996.
    steps = math.floor((quote.mid + concession) / execution.price_increment + 1e-6)
    return round(steps * execution.price_increment, 6) + 0.0


def collar(mid: float, risk: RiskParameters) -> float:
    """How far a limit may lie from mid, in points."""
    return max(risk.max_price_deviation_share * abs(mid), risk.max_price_deviation_usd)
