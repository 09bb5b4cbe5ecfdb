"""What a combination of options of one expiry wins and loses at that expiry."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from trading_pipelines.domain.contracts import Right
from trading_pipelines.domain.errors import DataError
from trading_pipelines.domain.orders import OrderLeg


@dataclass(frozen=True, slots=True)
class Payoff:
    """Per unit and share, after the price paid. None: without limit."""

    max_profit: float | None
    max_loss: float | None
    break_evens: tuple[float, ...]


def payoff(legs: Sequence[OrderLeg], price: float) -> Payoff:
    """What one unit bought at `price` (negative: a credit) can win and lose at expiry, and where it is even.

    The value is linear between strikes and beyond the last, so its corners tell everything. DataError
    unless all legs are options of one expiry and multiplier.
    """
    _check(legs)
    corners = [0.0, *sorted({leg.contract.strike or 0.0 for leg in legs})]
    values = [value_at_expiry(legs, spot) - price for spot in corners]
    slope = sum(leg.signed_ratio for leg in legs if leg.contract.right is Right.CALL)
    return Payoff(
        max_profit=None if slope > 0 else max(values),
        max_loss=None if slope < 0 else -min(values),
        break_evens=_break_evens(corners, values, slope),
    )


def value_at_expiry(legs: Sequence[OrderLeg], spot: float) -> float:
    """What one unit is worth per share when its options expire at `spot`."""
    return sum(
        leg.signed_ratio * max(leg.contract.right.sign * (spot - leg.contract.strike), 0.0)
        for leg in legs
        if leg.contract.right is not None and leg.contract.strike is not None
    )


def _break_evens(corners: Sequence[float], values: Sequence[float], slope: int) -> tuple[float, ...]:
    crossings = [
        left + (right - left) * at_left / (at_left - at_right)
        for (left, at_left), (right, at_right) in pairwise(zip(corners, values, strict=True))
        if at_left * at_right < 0
    ]
    touches = [corner for corner, value in zip(corners, values, strict=True) if value == 0]
    tail = [corners[-1] - values[-1] / slope] if slope * values[-1] < 0 else []
    return tuple(sorted({*crossings, *touches, *tail}))


def _check(legs: Sequence[OrderLeg]) -> None:
    contracts = [leg.contract for leg in legs]
    if (
        not contracts
        or any(c.right is None or c.strike is None or c.expiry is None for c in contracts)
        or len({(c.expiry, c.multiplier) for c in contracts}) != 1
    ):
        names = ", ".join(c.local_symbol or str(c.con_id) for c in contracts) or "no legs"
        raise DataError(
            f"the payoff at expiry is not defined for {names}",
            "pass options of one expiry and one multiplier",
        )
