"""Vertical spreads: two options of one right and expiry, a width apart.

| strategy | sells | buys | price |
|---|---|---|---|
| bull put | put at the short delta | put a width below | credit |
| bear call | call at the short delta | call a width above | credit |
| bull call | call a width above | call at the long delta | debit |
| bear put | put a width below | put at the long delta | debit |
"""

from trading_pipelines.core.strategies.candidates import Offer, combine, limit_debit, require_credit
from trading_pipelines.core.strategies.strikes import by_delta, wing
from trading_pipelines.domain.contracts import Right, Side
from trading_pipelines.domain.decisions import Candidate, NoCandidate
from trading_pipelines.domain.parameters import StrikeParameters


def bull_put(offer: Offer, parameters: StrikeParameters) -> Candidate | NoCandidate:
    """Credit spread that wins when the price does not fall."""
    return _credit(offer, Right.PUT, parameters)


def bear_call(offer: Offer, parameters: StrikeParameters) -> Candidate | NoCandidate:
    """Credit spread that wins when the price does not rise."""
    return _credit(offer, Right.CALL, parameters)


def bull_call(offer: Offer, parameters: StrikeParameters) -> Candidate | NoCandidate:
    """Debit spread that wins when the price rises."""
    return _debit(offer, Right.CALL, parameters)


def bear_put(offer: Offer, parameters: StrikeParameters) -> Candidate | NoCandidate:
    """Debit spread that wins when the price falls."""
    return _debit(offer, Right.PUT, parameters)


def _credit(offer: Offer, right: Right, parameters: StrikeParameters) -> Candidate | NoCandidate:
    candidate = _spread(offer, right, parameters.vertical_short_delta, Side.SELL, parameters)
    return require_credit(candidate, parameters.min_credit_share_vertical)


def _debit(offer: Offer, right: Right, parameters: StrikeParameters) -> Candidate | NoCandidate:
    candidate = _spread(offer, right, parameters.debit_long_delta, Side.BUY, parameters)
    return limit_debit(candidate, parameters.max_debit_share)


def _spread(
    offer: Offer, right: Right, delta: float, side: Side, parameters: StrikeParameters
) -> Candidate | NoCandidate:
    """The option at `delta` on `side`, and the one a width further out of the money on the other side."""
    near = by_delta(offer.rows, right, delta, parameters.delta_tolerance)
    if near is None:
        return offer.refuse(
            f"no liquid {right.name.lower()} within {parameters.delta_tolerance:.2f} of delta {delta:.2f}"
        )
    far = wing(
        offer.rows, near, direction=right.sign, width=offer.width, max_factor=parameters.max_width_factor
    )
    if far is None:
        return offer.refuse(
            f"no liquid {right.name.lower()} about {offer.width:g} points beyond {near.item(0, 'strike'):g}"
        )
    distance = abs(far.item(0, "strike") - near.item(0, "strike"))
    return combine(offer, [(near, side), (far, side.opposite)], distance)
