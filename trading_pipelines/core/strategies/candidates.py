"""From chosen rows of a chain to a Candidate with its numbers, or to the reason why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from trading_pipelines.core.strategies.payoff import payoff
from trading_pipelines.core.strategies.strikes import leg
from trading_pipelines.domain.contracts import Side
from trading_pipelines.domain.decisions import Candidate, NoCandidate


@dataclass(frozen=True, slots=True)
class Offer:
    """What a builder chooses from: the usable rows of one expiry of one underlying."""

    underlying: str
    strategy: str
    session: date
    spot: float
    rows: pl.DataFrame
    width: float

    def refuse(self, reason: str) -> NoCandidate:
        """No candidate, because …"""
        return NoCandidate(underlying=self.underlying, strategy=self.strategy, reason=reason)


def combine(
    offer: Offer, chosen: Sequence[tuple[pl.DataFrame, Side]], width: float
) -> Candidate | NoCandidate:
    """The candidate of the chosen one-row frames, in their order.

    `width` is the distance of the widest wing in points. Refused when it could win nothing or lose
    without limit, or when it could not lose at all: such quotes are wrong.
    """
    rows = pl.concat([row for row, _ in chosen])
    if rows.get_column("multiplier").n_unique() != 1:
        return offer.refuse("its legs have different multipliers")
    legs = tuple(leg(row, side) for row, side in chosen)
    ratios = pl.Series([float(leg.signed_ratio) for leg in legs])
    far_side = [row.item(0, "ask" if side is Side.BUY else "bid") for row, side in chosen]
    price = _total(ratios, rows.get_column("mid"))
    result = payoff(legs, price)
    if result.max_loss is None or result.max_profit is None:
        return offer.refuse("its profit or loss is without limit")
    if result.max_loss <= 0 or result.max_profit <= 0:
        return offer.refuse(
            f"at {price:+.2f} it could lose {result.max_loss:.2f} and win {result.max_profit:.2f}: "
            "its quotes do not agree with each other"
        )
    short = [abs(row.item(0, "delta")) for row, side in chosen if side is Side.SELL]
    expiry: date = rows.item(0, "expiry")
    return Candidate(
        underlying=offer.underlying,
        strategy=offer.strategy,
        legs=legs,
        multiplier=rows.item(0, "multiplier"),
        expiry=expiry,
        dte=(expiry - offer.session).days,
        underlying_price=offer.spot,
        width=width,
        price=price,
        natural=_total(ratios, pl.Series(far_side, dtype=pl.Float64)),
        max_profit=result.max_profit,
        max_loss=result.max_loss,
        break_evens=result.break_evens,
        delta=_total(ratios, rows.get_column("delta")),
        gamma=_total(ratios, rows.get_column("gamma")),
        vega_per_vol_point=_total(ratios, rows.get_column("vega_per_vol_point")),
        theta_per_day=_total(ratios, rows.get_column("theta_per_day")),
        short_delta=max(short, default=0.0),
    )


def require_credit(candidate: Candidate | NoCandidate, share: float) -> Candidate | NoCandidate:
    """The candidate, unless its credit at mid is below `share` of its width."""
    if isinstance(candidate, NoCandidate) or -candidate.price >= share * candidate.width - 1e-9:
        return candidate
    return _refuse(candidate, f"the credit of {-candidate.price:.2f} is below {share:.0%}")


def limit_debit(candidate: Candidate | NoCandidate, share: float) -> Candidate | NoCandidate:
    """The candidate, unless it costs more than `share` of its width at mid."""
    if isinstance(candidate, NoCandidate) or candidate.price <= share * candidate.width + 1e-9:
        return candidate
    return _refuse(candidate, f"the debit of {candidate.price:.2f} is above {share:.0%}")


def _refuse(candidate: Candidate, what: str) -> NoCandidate:
    strikes = "/".join(f"{leg.contract.strike:g}" for leg in candidate.legs)
    return NoCandidate(
        underlying=candidate.underlying,
        strategy=candidate.strategy,
        reason=f"{what} of the width of {candidate.width:g} points ({strikes}, {candidate.expiry})",
    )


def _total(ratios: pl.Series, values: pl.Series) -> float:
    # Nine digits: quotes are decimal, and 0.1 + 0.2 must not look like another price than 0.3.
    return round(float((ratios * values).sum()), 9)
