"""Iron condor: a put and a call sold out of the money, each with a wing bought further out. A credit."""

from trading_pipelines.core.strategies.candidates import Offer, combine, require_credit
from trading_pipelines.core.strategies.strikes import by_delta, wing
from trading_pipelines.domain.contracts import Right, Side
from trading_pipelines.domain.decisions import Candidate, NoCandidate
from trading_pipelines.domain.parameters import StrikeParameters


def iron_condor(offer: Offer, parameters: StrikeParameters) -> Candidate | NoCandidate:
    """Wins when the price stays between the sold strikes. Legs ascend by strike: long put … long call."""
    sides = {}
    for right in (Right.PUT, Right.CALL):
        short = by_delta(offer.rows, right, parameters.condor_short_delta, parameters.delta_tolerance)
        if short is None:
            return offer.refuse(
                f"no liquid {right.name.lower()} within {parameters.delta_tolerance:.2f} "
                f"of delta {parameters.condor_short_delta:.2f}"
            )
        long = wing(
            offer.rows, short, direction=right.sign, width=offer.width, max_factor=parameters.max_width_factor
        )
        if long is None:
            return offer.refuse(
                f"no liquid {right.name.lower()} about {offer.width:g} points "
                f"beyond {short.item(0, 'strike'):g}"
            )
        sides[right] = (short, long)
    (short_put, long_put), (short_call, long_call) = sides[Right.PUT], sides[Right.CALL]
    if short_put.item(0, "strike") >= short_call.item(0, "strike"):
        return offer.refuse(
            "the sold put is not below the sold call: its deltas do not agree with each other"
        )
    widest = max(
        short_put.item(0, "strike") - long_put.item(0, "strike"),
        long_call.item(0, "strike") - short_call.item(0, "strike"),
    )
    legs = [(long_put, Side.BUY), (short_put, Side.SELL), (short_call, Side.SELL), (long_call, Side.BUY)]
    return require_credit(combine(offer, legs, widest), parameters.min_credit_share_condor)
