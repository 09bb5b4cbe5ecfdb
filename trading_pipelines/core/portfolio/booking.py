"""What executions make of a strategy position: units, entry price, profit.

Counted anew from all fills of an order: booking it twice, or again after a correction, gives what
booking it once gives.
"""

from collections.abc import Sequence

from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.orders import Fill, OrderIntent
from trading_pipelines.domain.positions import PositionStatus, PositionTrade, StrategyPosition


def filled_units(intent: OrderIntent, fills: Sequence[Fill]) -> int:
    """Whole units that the executions of the legs make up; a leg that runs ahead of the others waits.

    `fills` are those of this order after corrections; what a combo reports as a whole is not counted.
    """
    return int(min(_leg_units(intent, fills)) + 1e-9)


def filled_unevenly(intent: OrderIntent, fills: Sequence[Fill]) -> bool:
    """Whether some leg was executed for more units than another."""
    units = _leg_units(intent, fills)
    return max(units) - min(units) > 1e-9


def average_price(intent: OrderIntent, fills: Sequence[Fill]) -> float | None:
    """Net debit per bought unit and share: of the combo as IB reports it, else added up from the legs."""
    whole = [fill for fill in fills if fill.contract.security_type is SecurityType.COMBO]
    if len(intent.legs) > 1 and whole:
        quantity = sum(fill.quantity for fill in whole)
        return (
            sum(fill.side.sign * fill.quantity * fill.price for fill in whole) / quantity
            if quantity
            else None
        )
    units = filled_units(intent, fills)
    legs = {leg.contract.con_id for leg in intent.legs}
    paid = sum(fill.side.sign * fill.quantity * fill.price for fill in fills if fill.contract.con_id in legs)
    return paid / units if units else None


def booked(
    position: StrategyPosition | None, intent: OrderIntent, fills: Sequence[Fill]
) -> StrategyPosition | None:
    """The position after what this order has filled so far; None while nothing was opened.

    An opening order sets units and entry price, and moves max profit and max loss by the difference
    between fill and limit. A closing order takes units away and realises (−close − entry) × multiplier
    a unit. The status is left to who knows which orders still work, except that no units is closed.
    """
    before = position.trades if position else ()
    price = average_price(intent, fills)
    units = filled_units(intent, fills)
    if price is None and all(trade.order_ref != intent.order_ref for trade in before):
        return position
    if position is None:
        if intent.opens is None or not units:
            return None
        position = _opened(intent, fills)
    trade = PositionTrade(
        order_ref=intent.order_ref,
        units=units if intent.opens else -units,
        price=round(price or 0.0, 9),
        commission_usd=round(sum(fill.commission or 0.0 for fill in fills), 9),
    )
    adopted_units = position.units - sum(trade.units for trade in before)
    adopted_profit = position.realised_pnl_usd - _realised(position)
    others = tuple(other for other in before if other.order_ref != intent.order_ref)
    traded = position.model_copy(update={"trades": (*others, trade), **_terms(intent, trade)})
    left = adopted_units + sum(trade.units for trade in traded.trades)
    return traded.model_copy(
        update={
            "units": left,
            "realised_pnl_usd": round(adopted_profit + _realised(traded), 6),
            "status": traded.status if left else PositionStatus.CLOSED,
        }
    )


def _leg_units(intent: OrderIntent, fills: Sequence[Fill]) -> list[float]:
    """Units executed, leg by leg."""
    return [
        sum(
            fill.side.sign * fill.quantity / leg.signed_ratio
            for fill in fills
            if fill.contract.con_id == leg.contract.con_id
        )
        for leg in intent.legs
    ]


def _opened(intent: OrderIntent, fills: Sequence[Fill]) -> StrategyPosition:
    """The position that an opening order's first unit creates, still without its units."""
    if intent.opens is None:
        raise ValueError(f"order {intent.order_ref} opens nothing")
    return StrategyPosition(
        position_id=intent.position_id,
        account=intent.account,
        underlying=intent.underlying,
        strategy=intent.strategy,
        legs=intent.legs,
        units=0,
        multiplier=intent.multiplier,
        entry_price=intent.limit_price,
        max_profit=intent.opens.max_profit,
        max_loss=intent.opens.max_loss,
        opened_session=intent.session,
        opened_at=min(fill.filled_at for fill in fills),
        entry=intent.opens.entry,
        status=PositionStatus.OPENING,
        rolls=intent.opens.rolls,
    )


def _terms(intent: OrderIntent, trade: PositionTrade) -> dict[str, float]:
    """What a fill at another price than the limit makes of an opening order's terms."""
    if intent.opens is None or not trade.units:
        return {}
    worse = trade.price - intent.limit_price
    return {
        "entry_price": trade.price,
        "max_profit": round(intent.opens.max_profit - worse, 9),
        "max_loss": round(intent.opens.max_loss + worse, 9),
    }


def _realised(position: StrategyPosition) -> float:
    """Profit of the units our orders closed, less the commissions of all of them."""
    closed = sum(
        (trade.price + position.entry_price) * trade.units for trade in position.trades if trade.units < 0
    )
    return closed * position.multiplier - sum(trade.commission_usd for trade in position.trades)
