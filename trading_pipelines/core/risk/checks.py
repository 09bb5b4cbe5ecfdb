"""The pre-trade checks: each measures one thing, compares it with its limit and says so.

A check passes only on a number that is known, finite and within its limit; a broken input fails it.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_pipelines.core.execution.combos import closing_legs
from trading_pipelines.core.execution.pricing import ComboQuote, collar, combo_quote, two_sided
from trading_pipelines.core.risk.facts import LegQuote, RiskFacts
from trading_pipelines.core.strategies.payoff import payoff
from trading_pipelines.domain.errors import DataError
from trading_pipelines.domain.orders import CheckResult, OrderIntent, OrderState
from trading_pipelines.domain.parameters import Parameters

_IN_LIMBO = frozenset({OrderState.UNKNOWN, OrderState.SENDING})
"""Nobody can say whether such an order works: no new one until it is resolved."""


@dataclass(frozen=True)
class Case:
    """One intent, and what it is judged by."""

    intent: OrderIntent
    facts: RiskFacts
    parameters: Parameters
    now: datetime

    @property
    def opens(self) -> bool:
        """True for an order that adds risk."""
        return self.intent.opens is not None

    def leg_quotes(self) -> list[LegQuote | None]:
        """The quote of each leg, in the legs' order."""
        known = {quote.con_id: quote for quote in self.facts.quotes}
        return [known.get(leg.contract.con_id) for leg in self.intent.legs]

    def combo(self) -> ComboQuote | None:
        """The unit's market from its legs' quotes."""
        return combo_quote(self.intent.legs, {q.con_id: (q.bid, q.ask) for q in self.facts.quotes})

    def loss_share(self) -> float | None:
        """Max loss as a share of net liquidation: the larger of what is stated and what the legs imply."""
        try:
            implied = payoff(self.intent.legs, self.intent.limit_price).max_loss
        except DataError:  # legs of several expiries, or no options: their loss is not known
            return None
        if implied is None:
            return None
        usd = implied * self.intent.multiplier * self.intent.units
        return self.share(max(usd, self.intent.max_loss_usd))

    def share(self, usd: float | None) -> float | None:
        """Dollars as a share of net liquidation; None unless both are known and it is positive."""
        total = _finite(self.facts.net_liquidation)
        amount = _finite(usd)
        return None if amount is None or total is None or total <= 0 else _finite(amount / total)


def numbers(case: Case) -> CheckResult:
    """Every number of the intent is finite, and there is something to trade."""
    intent = case.intent
    values = [intent.limit_price, intent.multiplier, float(intent.units), intent.max_loss_usd]
    sane = all(math.isfinite(value) for value in values) and intent.multiplier > 0 and intent.units >= 1
    sane = sane and bool(intent.legs) and all(leg.ratio >= 1 for leg in intent.legs)
    return CheckResult(
        name="numbers", passed=sane, detail="finite price, loss and multiplier, one unit or more"
    )


def account(case: Case) -> CheckResult:
    """The intent's account is the connected one, is allowed, and is of the mode's kind (DU… is paper)."""
    ours, connected = case.intent.account, case.facts.account
    paper = ours.startswith("DU")
    fits = {"simulated": paper, "paper": paper, "live": bool(ours) and not paper}.get(case.facts.mode, False)
    allowed = ours == connected and ours in case.parameters.account.allowed
    detail = f"{ours} on a connection to {connected} in mode {case.facts.mode}"
    return CheckResult(name="account", passed=allowed and fits, detail=detail)


def halted(case: Case) -> CheckResult:
    """The kill switch is off."""
    reason = case.facts.halted
    return CheckResult(
        name="halted", passed=reason is None, detail=f"halted: {reason}" if reason else "not halted"
    )


def session_open(case: Case) -> CheckResult:
    """The market is open, in the session the intent was made for."""
    facts = case.facts
    inside = facts.session_open <= case.now < facts.session_close
    same = facts.session_open.date() == case.intent.session
    detail = (
        f"{case.now:%H:%M:%S} UTC, open {facts.session_open:%Y-%m-%d %H:%M} to {facts.session_close:%H:%M}"
    )
    return CheckResult(name="session_open", passed=inside and same, detail=detail)


def quiet_window(case: Case) -> CheckResult:
    """Nothing is opened in the first and the last minutes of a session."""
    if not case.opens:
        return _exempt("quiet_window")
    entries = case.parameters.entries
    first = case.facts.session_open + timedelta(minutes=entries.quiet_open_minutes)
    last = case.facts.session_close - timedelta(minutes=entries.quiet_close_minutes)
    detail = f"entries from {first:%H:%M} until {last:%H:%M} UTC"
    return CheckResult(name="quiet_window", passed=first <= case.now < last, detail=detail)


def quotes_two_sided(case: Case) -> CheckResult:
    """Every leg has a bid and an ask that is not below it."""
    good = sum(
        quote is not None and two_sided((quote.bid, quote.ask)) is not None for quote in case.leg_quotes()
    )
    legs = len(case.intent.legs)
    return CheckResult(
        name="quotes_two_sided", passed=good == legs > 0, value=good, limit=legs, detail="legs with a market"
    )


def quotes_fresh(case: Case) -> CheckResult:
    """Every leg's quote was confirmed lately, and not in the future."""
    stamps = [quote.quoted_at if quote else None for quote in case.leg_quotes()]
    ages = [(case.now - stamp).total_seconds() for stamp in stamps if stamp is not None]
    whole = len(ages) == len(stamps) > 0 and min(ages) >= 0
    limit = case.parameters.risk.max_quote_age_seconds
    return _at_most(
        "quotes_fresh", max(ages) if whole else None, limit, "seconds since the oldest leg's quote"
    )


def quotes_live(case: Case) -> CheckResult:
    """Every leg's quote is of a type that may be traded on: not frozen, not delayed."""
    live = case.parameters.quality.live_types
    good = sum(quote is not None and quote.market_data_type in live for quote in case.leg_quotes())
    legs = len(case.intent.legs)
    return CheckResult(
        name="quotes_live", passed=good == legs > 0, value=good, limit=legs, detail=f"legs of type {live}"
    )


def price_collar(case: Case) -> CheckResult:
    """The limit is near the mid of the legs' quotes."""
    combo = case.combo()
    limit = collar(combo.mid, case.parameters.risk) if combo else case.parameters.risk.max_price_deviation_usd
    deviation = abs(case.intent.limit_price - combo.mid) if combo else None
    market = f"mid {combo.mid:.3f}" if combo else "no market"
    return _at_most("price_collar", deviation, limit, f"limit {case.intent.limit_price:.2f}, {market}")


def duplicate(case: Case) -> CheckResult:
    """This reference was never sent, and no other order works for the position."""
    intent, facts = case.intent, case.facts
    others = [order.order_ref for order in facts.unresolved if order.position_id == intent.position_id]
    again = [intent.order_ref] if intent.order_ref in facts.known_refs else []
    found = [*again, *others]
    detail = f"already there: {', '.join(found)}" if found else "no such order"
    return CheckResult(name="duplicate", passed=not found, value=len(found), limit=0, detail=detail)


def unknown_orders(case: Case) -> CheckResult:
    """No order anywhere is in limbo, and none of the underlying waits for a person."""
    limbo = [
        order.order_ref
        for order in case.facts.unresolved
        if order.state in _IN_LIMBO
        or (order.state is OrderState.NEEDS_HUMAN and order.underlying == case.intent.underlying)
    ]
    detail = f"state not known: {', '.join(limbo)}" if limbo else "every order's state is known"
    return CheckResult(name="unknown_orders", passed=not limbo, value=len(limbo), limit=0, detail=detail)


def reconciliation(case: Case) -> CheckResult:
    """Opening: books and broker agree in the underlying; closing: in the order's own contracts."""
    own = {leg.contract.con_id for leg in case.intent.legs}
    found = [con_id for con_id in case.facts.differences if case.opens or con_id in own]
    detail = f"differs in {', '.join(map(str, found))}" if found else "books and broker agree"
    return CheckResult(name="reconciliation", passed=not found, value=len(found), limit=0, detail=detail)


def symbol_free(case: Case) -> CheckResult:
    """Nothing is opened while another order of the underlying may still work."""
    if not case.opens:
        return _exempt("symbol_free")
    working = [
        order.order_ref for order in case.facts.unresolved if order.underlying == case.intent.underlying
    ]
    detail = f"at work: {', '.join(working)}" if working else "no order at work"
    return CheckResult(name="symbol_free", passed=not working, value=len(working), limit=0, detail=detail)


def closes_held(case: Case) -> CheckResult:
    """A closing order is the exact opposite of what is held, and of no more units."""
    if case.opens:
        return CheckResult(name="closes_held", passed=True, detail="the order opens")
    held = case.facts.held
    if (
        held is None
        or held.position_id != case.intent.position_id
        or closing_legs(held.legs) != case.intent.legs
    ):
        return CheckResult(name="closes_held", passed=False, detail="not the opposite of a position we hold")
    return _at_most("closes_held", case.intent.units, held.units, "units closed of those held")


def order_size(case: Case) -> CheckResult:
    """No order is larger than a fat finger allows."""
    return _at_most("order_size", case.intent.units, case.parameters.risk.max_units_per_order, "units")


def order_risk(case: Case) -> CheckResult:
    """What one order may lose."""
    return _opening_share(case, "order_risk", case.loss_share(), case.parameters.risk.max_order_risk_share)


def position_loss(case: Case) -> CheckResult:
    """What one position may lose."""
    return _opening_share(
        case, "position_loss", case.loss_share(), case.parameters.risk.max_position_loss_share
    )


def portfolio_loss(case: Case) -> CheckResult:
    """What everything held, working and unknown may lose with this order."""
    before, own = case.share(case.facts.open_max_loss_usd), case.loss_share()
    total = None if before is None or own is None else before + own
    return _opening_share(case, "portfolio_loss", total, case.parameters.risk.max_portfolio_loss_share)


def daily_loss(case: Case) -> CheckResult:
    """After a day's loss only closing orders pass."""
    pnl = case.share(case.facts.daily_pnl_usd)
    if not case.opens:
        return _exempt("daily_loss")
    limit = case.parameters.risk.max_daily_loss_share
    # Reaching the limit is a breach: the loss must stay below it.
    passed = pnl is not None and -pnl < limit
    return CheckResult(
        name="daily_loss",
        passed=passed,
        value=None if pnl is None else -pnl,
        limit=limit,
        detail="of net liquidation",
    )


def buying_power(case: Case) -> CheckResult:
    """Funds that stay free after the order's margin, by the broker's own what-if."""
    if not case.opens:
        return _exempt("buying_power")
    free, change = case.share(case.facts.free_funds), case.share(case.facts.margin_change)
    limit = case.parameters.risk.min_buying_power_share
    left = None if free is None or change is None else _finite(free - change)
    return CheckResult(
        name="buying_power",
        passed=left is not None and left >= limit - 1e-9,
        value=left,
        limit=limit,
        detail="of net liquidation stays free"
        if left is not None
        else "no what-if margin or funds: not known",
    )


def rate_minute(case: Case) -> CheckResult:
    """Orders within a minute, this one included."""
    count = case.facts.orders_last_minute + 1
    return _at_most("rate_minute", count, case.parameters.risk.max_orders_per_minute, "orders in a minute")


def rate_day(case: Case) -> CheckResult:
    """Orders of the session, this one included."""
    return _at_most(
        "rate_day", case.facts.orders_today + 1, case.parameters.risk.max_orders_per_day, "orders today"
    )


def _opening_share(case: Case, name: str, share: float | None, limit: float) -> CheckResult:
    if not case.opens:
        return _exempt(name)
    return _at_most(name, share, limit, "max loss, of net liquidation")


def _at_most(name: str, value: float | None, limit: float, detail: str) -> CheckResult:
    known = _finite(value)
    if known is None:
        return CheckResult(name=name, passed=False, value=None, limit=limit, detail=f"not known: {detail}")
    # A value at its limit passes, also when binary noise lifts it a hair above.
    return CheckResult(name=name, passed=known <= limit + 1e-9, value=known, limit=limit, detail=detail)


def _exempt(name: str) -> CheckResult:
    return CheckResult(name=name, passed=True, detail="exempt: the order closes")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
