"""Between ib_async's types and ours, both ways: the one place that knows IB's strings and sentinels.

IB says "nothing" in many ways: max float, NaN, −1 for prices, −2 for Greeks, "" and "0". Inward it is None.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

import ib_async as ib
import polars as pl

from trading_pipelines.domain.contracts import Contract, Right, SecurityType, Side
from trading_pipelines.domain.errors import MissingData, OrderRejected
from trading_pipelines.domain.orders import BrokerOrder, Fill, MarginImpact, OrderIntent
from trading_pipelines.domain.positions import BrokerPosition
from trading_pipelines.domain.tables import CONTRACT_COLUMNS, QUOTE_COLUMNS

UNSET: Final = 1e300
"""IB's unset double is the largest float; nothing real comes near."""
PRICE_DECIMALS: Final = 4
MOST_LEGS: Final = 4
HIGHEST_PRICE: Final = 1e6
DONE_STATUSES: Final = frozenset({"Filled", "Cancelled", "ApiCancelled", "Inactive"})

_OCC_SYMBOL = re.compile(r"^.{6}(\d{6})[CP]\d{8}$")
_RIGHTS: Final = {"C": Right.CALL, "CALL": Right.CALL, "P": Right.PUT, "PUT": Right.PUT}
_SIDES: Final = {"BOT": Side.BUY, "BUY": Side.BUY, "SLD": Side.SELL, "SELL": Side.SELL}
_EUROPEAN_INDEX_EXCEPTIONS: Final = frozenset({"OEX"})


def known(value: float | Decimal | str | None) -> float | None:
    """A number IB sent, or None for unset, NaN, infinite or empty."""
    if value is None or value == "":
        return None
    number = float(value)
    return number if math.isfinite(number) and abs(number) < UNSET else None


def to_ib(contract: Contract) -> ib.Contract:
    """Our contract as IB asks for it: by con_id alone where there is one, else by every field that is set."""
    found = ib.Contract(
        secType=contract.security_type.value,
        conId=contract.con_id,
        symbol=contract.symbol,
        exchange=contract.exchange,
        currency=contract.currency,
    )
    if not contract.con_id:
        found.localSymbol = contract.local_symbol
        found.tradingClass = contract.trading_class
        found.lastTradeDateOrContractMonth = f"{contract.expiry:%Y%m%d}" if contract.expiry else ""
        found.strike = contract.strike or 0.0
        found.right = contract.right.value if contract.right else ""
        found.multiplier = f"{contract.multiplier:g}" if contract.multiplier != 1.0 else ""
    return found


def from_ib(contract: ib.Contract) -> Contract:
    """IB's contract as ours; MissingData names a security type that we do not trade."""
    try:
        security_type = SecurityType(contract.secType)
    except ValueError as error:
        raise MissingData(
            f"{contract.localSymbol or contract.symbol} is of an unsupported type, {contract.secType!r}",
            "hold such contracts in another account",
        ) from error
    derivative = security_type in (SecurityType.OPTION, SecurityType.FUTURE_OPTION)
    return Contract(
        con_id=contract.conId,
        security_type=security_type,
        symbol=contract.symbol,
        exchange=contract.exchange,
        currency=contract.currency or "USD",
        local_symbol=contract.localSymbol,
        trading_class=contract.tradingClass,
        multiplier=known(contract.multiplier) or 1.0,
        expiry=expiry(contract),
        strike=known(contract.strike) if derivative else None,
        right=_RIGHTS.get(contract.right) if derivative else None,
    )


def expiry(contract: ib.Contract) -> date | None:
    """The day a contract expires: an option's OCC symbol before `lastTradeDate`, which for AM-settled
    index options is the day before."""
    occ = _OCC_SYMBOL.match(contract.localSymbol)
    text = f"20{occ[1]}" if occ else contract.lastTradeDateOrContractMonth[:8]
    return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date() if len(text) == 8 else None


def same_contract(asked: Contract, answer: Contract) -> bool:
    """Whether the broker's answer is the contract asked for: a changed con_id or multiplier is not."""
    return (not asked.con_id or asked.con_id == answer.con_id) and (
        asked.multiplier in (1.0, answer.multiplier)
    )


def exercise_style(details: ib.ContractDetails) -> str:
    """american or european: IB does not say, so by the underlying; listed US index options are
    European but for OEX."""
    contract = details.contract
    trading_class = contract.tradingClass if contract else ""
    european = details.underSecType == "IND" and trading_class not in _EUROPEAN_INDEX_EXCEPTIONS
    return "european" if european else "american"


def contracts_frame(details: Sequence[ib.ContractDetails]) -> pl.DataFrame:
    """CONTRACT_COLUMNS + exercise_style, a row for each answer, in its order."""
    contracts = [item.contract for item in details if item.contract]
    return pl.DataFrame(
        {
            "con_id": [contract.conId for contract in contracts],
            "security_type": [contract.secType for contract in contracts],
            "symbol": [contract.symbol for contract in contracts],
            "local_symbol": [contract.localSymbol for contract in contracts],
            "trading_class": [contract.tradingClass for contract in contracts],
            "exchange": [contract.exchange for contract in contracts],
            "currency": [contract.currency for contract in contracts],
            "multiplier": [known(contract.multiplier) or 1.0 for contract in contracts],
            "expiry": [expiry(contract) for contract in contracts],
            "strike": [contract.strike for contract in contracts],
            "right": [contract.right[:1] for contract in contracts],
            "exercise_style": [exercise_style(item) for item in details if item.contract],
        },
        schema=pl.Schema({**CONTRACT_COLUMNS, "exercise_style": pl.String()}),
    )


def quotes_frame(
    con_ids: Sequence[int], tickers: Sequence[ib.Ticker | None], quoted_at: datetime
) -> pl.DataFrame:
    """QUOTE_COLUMNS: what each ticker holds, a `missing` row where there is none.

    IB's −1 is no price and no size; NaN never arrived. A Greek of −2 was never computed.
    """
    nothing = ib.Ticker()
    rows = [ticker or nothing for ticker in tickers]
    models = [row.modelGreeks or _NO_MODEL for row in rows]
    answered = [ticker is not None for ticker in tickers]
    frame = pl.DataFrame(
        {
            "con_id": con_ids,
            "bid": [row.bid for row in rows],
            "ask": [row.ask for row in rows],
            "bid_size": [row.bidSize for row in rows],
            "ask_size": [row.askSize for row in rows],
            "last": [row.last for row in rows],
            "volume": [row.volume for row in rows],
            "previous_close": [row.close for row in rows],
            "quoted_at": pl.Series(
                [quoted_at if ok else None for ok in answered], dtype=QUOTE_COLUMNS["quoted_at"]
            ),
            "market_data_type": [
                row.marketDataType if ok else None for row, ok in zip(rows, answered, strict=True)
            ],
            "status": ["ok" if ok else "missing" for ok in answered],
            "model_iv": [model.impliedVol for model in models],
            "model_price": [model.optPrice for model in models],
            "model_delta": [model.delta for model in models],
            "model_gamma": [model.gamma for model in models],
            "model_vega": [model.vega for model in models],
            "model_theta": [model.theta for model in models],
            "model_underlying": [model.undPrice for model in models],
        },
        schema=QUOTE_COLUMNS,
        strict=False,
    )
    floats = [name for name, kind in QUOTE_COLUMNS.items() if kind == pl.Float64]
    prices = ("bid", "ask", "last", "previous_close", "volume", "model_iv", "model_price", "model_underlying")
    greeks = ("model_delta", "model_gamma", "model_vega", "model_theta")
    return frame.with_columns(
        pl.when(pl.col(name).is_finite() & (pl.col(name).abs() < UNSET) & ~_sentinel(name, prices, greeks))
        .then(pl.col(name))
        .alias(name)
        for name in floats
    ).with_columns(
        # A side without a price has no size; ib_async writes 0 there.
        pl.when(pl.col(side).is_not_null()).then(pl.col(f"{side}_size")).alias(f"{side}_size")
        for side in ("bid", "ask")
    )


def to_order(intent: OrderIntent, order_id: int) -> tuple[ib.Contract, ib.Order]:
    """A DAY limit order: the leg itself, or a guaranteed combo of two to four legs, bought.

    A credit is a negative price on a bought combo; a single sold leg is sold at the positive price.
    OrderRejected names what cannot be sent.
    """
    price = round(intent.limit_price, PRICE_DECIMALS)
    problem = _unsendable(intent, price)
    if problem:
        raise OrderRejected(f"order {intent.order_ref} cannot be sent: {problem}", "nothing was sent")
    if len(intent.legs) == 1:
        (leg,) = intent.legs
        contract, side, price = to_ib(leg.contract), leg.side, price * leg.side.sign
    else:
        contract, side = _combo(intent), Side.BUY
    order = ib.Order(
        orderId=order_id,
        action=side.value,
        totalQuantity=float(intent.units),
        orderType="LMT",
        lmtPrice=price,
        tif=intent.tif,
        account=intent.account,
        orderRef=intent.order_ref,
        transmit=True,
        outsideRth=False,
    )
    return contract, order


def from_trade(trade: ib.Trade) -> BrokerOrder:
    """What the broker says of one order; a completed order's numbers stand in the order itself."""
    order, status = trade.order, trade.orderStatus
    total = known(order.totalQuantity) or 0.0
    completed_quantity = known(order.filledQuantity) or 0.0
    filled = max(status.filled, completed_quantity)
    legs = trade.contract.comboLegs
    return BrokerOrder(
        order_ref=order.orderRef,
        order_id=order.orderId or status.orderId,
        perm_id=order.permId or status.permId,
        client_id=order.clientId or status.clientId,
        account=order.account,
        status=status.status,
        filled=filled,
        remaining=status.remaining or max(total - filled, 0.0),
        average_price=known(status.avgFillPrice) or 0.0,
        con_ids=tuple(leg.conId for leg in legs) if legs else (trade.contract.conId,),
    )


def from_fill(fill: ib.Fill) -> Fill:
    """One execution; commission and realised P&L are None until their report has come."""
    execution, report = fill.execution, fill.commissionReport
    reported = bool(report.execId)
    return Fill(
        exec_id=execution.execId,
        order_ref=execution.orderRef,
        perm_id=execution.permId,
        account=execution.acctNumber,
        contract=from_ib(fill.contract),
        side=_SIDES[execution.side],
        quantity=float(execution.shares),
        price=execution.price,
        filled_at=execution.time.astimezone(UTC),
        commission=known(report.commission) if reported else None,
        realised_pnl=known(report.realizedPNL) if reported else None,
    )


def from_position(position: ib.Position) -> BrokerPosition:
    """A position as the broker counts it."""
    return BrokerPosition(
        account=position.account,
        contract=from_ib(position.contract),
        quantity=float(position.position),
        average_cost=position.avgCost,
    )


def from_order_state(state: ib.OrderState) -> MarginImpact:
    """The answer to a what-if order; what IB left unset is None."""
    return MarginImpact(
        initial_margin_change=known(state.initMarginChange),
        maintenance_margin_change=known(state.maintMarginChange),
        equity_with_loan=known(state.equityWithLoanAfter),
        commission=known(state.commission),
    )


_NO_MODEL: Final = ib.OptionComputation(0, None, None, None, None, None, None, None, None)


def _sentinel(name: str, prices: Sequence[str], greeks: Sequence[str]) -> pl.Expr:
    if name in prices:
        return pl.col(name) == -1.0
    if name in greeks:
        return pl.col(name) == -2.0
    return pl.lit(value=False)


def _unsendable(intent: OrderIntent, price: float) -> str:
    """Why an intent is no order, or nothing."""
    legs = intent.legs
    single = legs[0] if len(legs) == 1 else None
    problems = (
        (not 1 <= len(legs) <= MOST_LEGS, f"it has {len(legs)} legs"),
        (not math.isfinite(price) or abs(price) > HIGHEST_PRICE, f"its limit price is {price}"),
        (intent.units < 1, f"it is for {intent.units} units"),
        (any(leg.contract.con_id <= 0 or leg.ratio < 1 for leg in legs), "a leg has no con_id or no ratio"),
        (len({leg.contract.con_id for leg in legs}) != len(legs), "two legs are the same contract"),
        (single is not None and single.ratio != 1, "its only leg has a ratio: count it in units"),
        (single is not None and price * single.side.sign <= 0, f"its only leg would trade at {price}"),
    )
    return next((text for found, text in problems if found), "")


def _combo(intent: OrderIntent) -> ib.Contract:
    return ib.Contract(
        secType=SecurityType.COMBO.value,
        symbol=intent.underlying,
        exchange="SMART",
        currency=intent.legs[0].contract.currency,
        comboLegs=[
            ib.ComboLeg(
                conId=leg.contract.con_id,
                ratio=leg.ratio,
                action=leg.side.value,
                exchange=leg.contract.exchange or "SMART",
            )
            for leg in intent.legs
        ],
    )
