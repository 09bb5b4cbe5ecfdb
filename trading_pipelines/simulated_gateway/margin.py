"""Margin, a first cut after Regulation T: what must stay in the account, beside its net liquidation. Pure.

- **Long stock**: 50 % of its value at first, 25 % to keep. **Short stock**: 50 % and 30 %.
- **Options** of one underlying and expiry are taken together. The part whose loss is bounded needs
  its largest loss from here to expiry: its value now less its lowest value at expiry. So a long
  option needs its premium, a debit spread its debit, a credit spread its width less the credit.
- **Naked options** are what the longs of that expiry and right (and, for calls, shares held) do not
  cover, the dearest first: the larger of 20 % of the underlying's price less what the
  option is out of the money, and 10 % of the price (put: of the strike).
- **Futures**: 6 % of the notional at first, 5 % to keep.

Initial and maintenance differ for stocks and futures only. Not modelled: cover by a later expiry
(a calendar's short leg counts as naked), portfolio margin, concentration, day-trade rules.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from trading_pipelines.domain.contracts import Right, SecurityType


@dataclass(frozen=True, slots=True)
class Exposure:
    """A holding and its market, as margin sees it; `price` and `underlying_price` per share."""

    con_id: int
    security_type: SecurityType
    underlying_con_id: int
    multiplier: float
    quantity: float
    price: float
    underlying_price: float
    expiry: date | None = None
    strike: float = 0.0
    right: Right | None = None


@dataclass(frozen=True, slots=True)
class Margin:
    """What an account must hold, in its currency."""

    initial: float
    maintenance: float

    def __add__(self, other: "Margin") -> "Margin":
        return Margin(self.initial + other.initial, self.maintenance + other.maintenance)

    def __sub__(self, other: "Margin") -> "Margin":
        return Margin(self.initial - other.initial, self.maintenance - other.maintenance)


_LINEAR_RATES = {  # (initial, maintenance) of the absolute value, for long and for short
    SecurityType.STOCK: ((0.50, 0.25), (0.50, 0.30)),
    SecurityType.FUTURE: ((0.06, 0.05), (0.06, 0.05)),
}


def requirement(exposures: Iterable[Exposure]) -> Margin:
    """The margin of a whole account; the order of its holdings does not matter."""
    total = Margin(0.0, 0.0)
    shares: dict[int, float] = defaultdict(float)
    groups: dict[tuple[int, date | None], list[Exposure]] = defaultdict(list)
    for exposure in exposures:
        if exposure.security_type in _LINEAR_RATES:
            shares[exposure.con_id] += exposure.quantity * exposure.multiplier
            total += _linear(exposure)
        elif exposure.quantity:
            groups[exposure.underlying_con_id, exposure.expiry].append(exposure)
    for (underlying, _), group in sorted(groups.items(), key=lambda item: str(item[0])):
        needed, covering = _options(group, max(shares[underlying], 0.0))
        shares[underlying] -= covering
        total += Margin(needed, needed)
    return total


def _linear(exposure: Exposure) -> Margin:
    value = abs(exposure.quantity * exposure.price * exposure.multiplier)
    initial, maintenance = _LINEAR_RATES[exposure.security_type][0 if exposure.quantity > 0 else 1]
    return Margin(initial * value, maintenance * value)


def _options(group: Sequence[Exposure], shares: float) -> tuple[float, float]:
    """Margin of one underlying and expiry, and the shares that cover its short calls."""
    calls, naked_calls = _split([each for each in group if each.right is Right.CALL])
    puts, naked_puts = _split([each for each in group if each.right is Right.PUT])
    needed, covering = _largest_loss(calls + puts), 0.0
    for exposure in naked_calls:
        units = -exposure.quantity * exposure.multiplier
        covered = min(units, max(shares - covering, 0.0))
        covering += covered
        needed += (units - covered) * _naked_rate(exposure)
    needed += sum(-each.quantity * each.multiplier * _naked_rate(each) for each in naked_puts)
    return needed, covering


def _split(options: Sequence[Exposure]) -> tuple[list[Exposure], list[Exposure]]:
    """Options of one right: those whose shorts are covered by longs, and the naked rest."""
    uncovered = max(0.0, -sum(each.quantity for each in options))
    covered, naked = [], []
    for exposure in sorted(options, key=_dearest_first):
        bare = min(uncovered, max(0.0, -exposure.quantity))
        uncovered -= bare
        if bare:
            naked.append(replace(exposure, quantity=-bare))
        if exposure.quantity + bare:
            covered.append(replace(exposure, quantity=exposure.quantity + bare))
    return covered, naked


def _dearest_first(option: Exposure) -> tuple[float, int]:
    """Low strikes of calls, high strikes of puts."""
    return (option.strike if option.right is Right.CALL else -option.strike), option.con_id


def _largest_loss(options: Sequence[Exposure]) -> float:
    """Value now less the lowest value at expiry, which lies at a strike or at an underlying of 0."""
    value = sum(each.quantity * each.multiplier * each.price for each in options)
    lowest = min(
        (_payoff(options, price) for price in (0.0, *(each.strike for each in options))), default=0.0
    )
    return max(0.0, value - lowest)


def _payoff(options: Sequence[Exposure], price: float) -> float:
    return sum(
        each.quantity * each.multiplier * max(0.0, each.right.sign * (price - each.strike))
        for each in options
        if each.right
    )


def _naked_rate(exposure: Exposure) -> float:
    """Margin per share of a naked short option, beside its own value."""
    price, strike = exposure.underlying_price, exposure.strike
    if exposure.right is Right.CALL:
        return max(0.20 * price - max(0.0, strike - price), 0.10 * price)
    return max(0.20 * price - max(0.0, price - strike), 0.10 * strike)
