"""What the simulated account holds when it starts: combos of past sessions, at those sessions' own prices.

So exits, rolls and reconciliation have work from the first tick: the condor is due for its roll whatever
the seed, the verticals are still young.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from trading_pipelines.core.market import calendar
from trading_pipelines.core.strategies.payoff import payoff
from trading_pipelines.domain.contracts import Contract, Right, SecurityType, Side
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.domain.orders import EntryContext, OrderLeg
from trading_pipelines.domain.positions import PositionStatus, StrategyPosition
from trading_pipelines.simulated_gateway.account import OpeningPosition
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines.simulated_gateway.source import MarketQuote

NET_LIQUIDATION = 250_000.0
_ENTRY_DTE = 45
_AFTER_OPEN = timedelta(hours=1)
_RANK_SESSIONS = 252
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class _Leg:
    """A leg to choose: by its delta, or `width` points above the leg before it."""

    side: Side
    right: Right
    delta: float = 0.0
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """A position to open `sessions_ago`, with so many days to expiry left today."""

    underlying: str
    strategy: str
    sessions_ago: int
    least_dte: int
    most_dte: int
    units: int
    legs: tuple[_Leg, ...]


_CONDOR = _Plan(
    "SPY",
    "iron_condor",
    sessions_ago=24,
    least_dte=2,
    most_dte=21,
    units=2,
    legs=(
        _Leg(Side.SELL, Right.PUT, delta=0.16),
        _Leg(Side.BUY, Right.PUT, width=-10),
        _Leg(Side.SELL, Right.CALL, delta=0.16),
        _Leg(Side.BUY, Right.CALL, width=10),
    ),
)
_BULL_PUT = _Plan(
    "QQQ",
    "bull_put",
    sessions_ago=10,
    least_dte=26,
    most_dte=50,
    units=2,
    legs=(_Leg(Side.SELL, Right.PUT, delta=0.30), _Leg(Side.BUY, Right.PUT, width=-10)),
)
_BULL_CALL = _Plan(
    "IWM",
    "bull_call",
    sessions_ago=6,
    least_dte=26,
    most_dte=50,
    units=3,
    legs=(_Leg(Side.BUY, Right.CALL, delta=0.50), _Leg(Side.SELL, Right.CALL, width=5)),
)
_BEAR_CALL = _Plan(
    "IWM",
    "bear_call",
    sessions_ago=6,
    least_dte=26,
    most_dte=50,
    units=3,
    legs=(_Leg(Side.SELL, Right.CALL, delta=0.30), _Leg(Side.BUY, Right.CALL, width=5)),
)


def opening_book(
    market: SyntheticMarket, session: date, account: str, seed: int
) -> tuple[StrategyPosition, ...]:
    """The positions held when `session` begins: a SPY condor, a QQQ and an IWM vertical.

    Each was opened an hour into its own past session, on contracts listed then, at their mids then.
    """
    plans = (_CONDOR, _BULL_PUT, _BULL_CALL if seed % 2 == 0 else _BEAR_CALL)
    return tuple(_opened(market, session, account, plan) for plan in plans)


def account_start(
    market: SyntheticMarket, session: date, book: tuple[StrategyPosition, ...]
) -> tuple[float, tuple[OpeningPosition, ...]]:
    """Cash and holdings that make the account worth NET_LIQUIDATION at the close before `session`."""
    holdings = tuple(
        OpeningPosition(leg.contract.con_id, float(leg.signed_ratio * position.units), price)
        for position in book
        for leg, price in zip(position.legs, _entry_prices(market, position), strict=True)
    )
    opened, _ = calendar.session_bounds(session)
    quotes = market.quotes([holding.con_id for holding in holdings], opened)
    multipliers = [leg.contract.multiplier for position in book for leg in position.legs]
    value = sum(
        holding.quantity * multiplier * (quote.previous_close or 0.0)
        for holding, multiplier, quote in zip(holdings, multipliers, quotes, strict=True)
    )
    return round(NET_LIQUIDATION - value, 2), holdings


def _entry_prices(market: SyntheticMarket, position: StrategyPosition) -> list[float]:
    quotes = market.quotes([leg.contract.con_id for leg in position.legs], position.opened_at)
    return [_mid(quote) for quote in quotes]


def _opened(market: SyntheticMarket, session: date, account: str, plan: _Plan) -> StrategyPosition:
    opened_session = calendar.sessions_before(session, plan.sessions_ago)[0]
    at = calendar.session_bounds(opened_session)[0] + _AFTER_OPEN
    listed = market.on(opened_session)
    legs = _legs(listed, plan, session, at)
    quotes = listed.quotes([leg.contract.con_id for leg in legs], at)
    price = round(sum(leg.signed_ratio * _mid(quote) for leg, quote in zip(legs, quotes, strict=True)), 4)
    result = payoff(legs, price)
    if result.max_profit is None or result.max_loss is None:
        raise MissingData(f"the {plan.strategy} of the opening book has no limited risk", "check its legs")
    return StrategyPosition(
        position_id=f"{account}-{plan.underlying}-{plan.strategy}-{opened_session:%Y%m%d}",
        account=account,
        underlying=plan.underlying,
        strategy=plan.strategy,
        legs=legs,
        units=plan.units,
        multiplier=legs[0].contract.multiplier,
        entry_price=price,
        max_profit=result.max_profit,
        max_loss=result.max_loss,
        opened_session=opened_session,
        opened_at=at,
        entry=_context(listed, plan.underlying, at),
        status=PositionStatus.OPEN,
    )


def _legs(market: SyntheticMarket, plan: _Plan, session: date, at: datetime) -> tuple[OrderLeg, ...]:
    """Listed contracts for the plan: the fitting expiry nearest to 45 days, then leg by leg."""
    opened_session = market.session
    parameters = market.option_parameters(_con_id(market, plan.underlying, SecurityType.STOCK, "SMART"))
    fitting = [
        expiry
        for expiry in parameters[0].expiries
        if plan.least_dte <= (expiry - session).days <= plan.most_dte
    ]
    if not fitting:
        raise MissingData(f"no expiry for the opening {plan.strategy} was listed on {opened_session}")
    expiry = min(fitting, key=lambda day: abs((day - opened_session).days - _ENTRY_DTE))
    legs: list[OrderLeg] = []
    for wanted in plan.legs:
        contracts = [
            listed.contract
            for listed in market.find(
                Contract(
                    security_type=SecurityType.OPTION,
                    symbol=plan.underlying,
                    exchange="SMART",
                    expiry=expiry,
                    right=wanted.right,
                )
            )
        ]
        if wanted.width:
            target = (legs[-1].contract.strike or 0.0) + wanted.width
            distances = [abs((contract.strike or 0.0) - target) for contract in contracts]
        else:
            quotes = market.quotes([contract.con_id for contract in contracts], at)
            deltas = [quote.greeks.delta if quote.greeks else 0.0 for quote in quotes]
            distances = [abs(abs(delta) - wanted.delta) for delta in deltas]
        nearest = min(range(len(contracts)), key=distances.__getitem__)
        legs.append(OrderLeg(contract=contracts[nearest], ratio=1, side=wanted.side))
    return tuple(legs)


def _context(market: SyntheticMarket, underlying: str, at: datetime) -> EntryContext:
    stock = _con_id(market, underlying, SecurityType.STOCK, "SMART")
    vix = _con_id(market, "VIX", SecurityType.INDEX, "CBOE")
    stock_quote, vix_quote = market.quotes([stock, vix], at)
    implied = "OPTION_IMPLIED_VOLATILITY"
    now = market.bars(stock, what=implied, seconds=300, end=at, count=1)[0].close
    past = [
        bar.close
        for bar in market.bars(stock, what=implied, seconds=_DAY_SECONDS, end=at, count=_RANK_SESSIONS)
    ]
    low, high = min(past), max(past)
    return EntryContext(
        underlying_price=_mid(stock_quote),
        iv30=now,
        iv_rank=100 * min(max((now - low) / (high - low), 0.0), 1.0),
        vix=vix_quote.last,
    )


def _con_id(market: SyntheticMarket, symbol: str, security_type: SecurityType, exchange: str) -> int:
    (listed,) = market.find(Contract(security_type=security_type, symbol=symbol, exchange=exchange))
    return listed.contract.con_id


def _mid(quote: MarketQuote) -> float:
    if quote.bid is None or quote.ask is None:
        raise MissingData("a leg of the opening book had no two-sided quote", "choose another seed")
    return (quote.bid + quote.ask) / 2
