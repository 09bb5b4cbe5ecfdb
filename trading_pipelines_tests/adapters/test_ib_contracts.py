"""IB's strings and sentinels stop at one module; inward there are dates, enums and None."""

import sys
from datetime import UTC, date, datetime

import ib_async as ib
import pytest

from trading_pipelines.adapters import ib_contracts
from trading_pipelines.domain.contracts import Contract, Right, SecurityType, Side
from trading_pipelines.domain.errors import MissingData, OrderRejected
from trading_pipelines_tests.builders import BULL_PUT_LEGS, CONDOR_LEGS, leg, opening_intent

NOW = datetime(2024, 6, 12, 15, tzinfo=UTC)


def _ticker(**values: object) -> ib.Ticker:
    """A ticker that received these values; its constructor forgets them."""
    ticker = ib.Ticker()
    for name, value in values.items():
        setattr(ticker, name, value)
    return ticker


@pytest.mark.parametrize(
    "unset", [None, "", sys.float_info.max, "1.7976931348623157E308", float("nan"), float("inf"), "nan"]
)
def test_what_ib_left_unset_is_none(unset: float | str | None) -> None:
    assert ib_contracts.known(unset) is None


@pytest.mark.parametrize(("told", "value"), [(0.0, 0.0), ("-12.5", -12.5), (-1.0, -1.0), ("500.0", 500.0)])
def test_what_ib_told_is_a_number(told: float | str, value: float) -> None:
    assert ib_contracts.known(told) == value


def test_an_option_keeps_all_that_identifies_it() -> None:
    option = ib.Contract(
        secType="OPT",
        conId=42,
        symbol="SPY",
        lastTradeDateOrContractMonth="20240621",
        strike=540.0,
        right="P",
        multiplier="100",
        exchange="SMART",
        currency="USD",
        localSymbol="SPY   240621P00540000",
        tradingClass="SPY",
    )
    assert ib_contracts.from_ib(option) == Contract(
        con_id=42,
        security_type=SecurityType.OPTION,
        symbol="SPY",
        exchange="SMART",
        currency="USD",
        local_symbol="SPY   240621P00540000",
        trading_class="SPY",
        multiplier=100.0,
        expiry=date(2024, 6, 21),
        strike=540.0,
        right=Right.PUT,
    )


def test_a_stock_has_no_strike_right_or_expiry() -> None:
    stock = ib_contracts.from_ib(ib.Contract(secType="STK", conId=1, symbol="SPY", strike=0.0, right="0"))
    assert (stock.strike, stock.right, stock.expiry, stock.multiplier) == (None, None, None, 1.0)


def test_the_local_symbol_is_trusted_for_the_expiry() -> None:
    """SPX options that settle in the morning trade last on Thursday and expire on Friday."""
    spx = ib.Contract(
        secType="OPT", lastTradeDateOrContractMonth="20240620", localSymbol="SPX   240621C05400000"
    )
    assert ib_contracts.expiry(spx) == date(2024, 6, 21)


def test_a_contract_month_is_no_expiry() -> None:
    assert ib_contracts.expiry(ib.Contract(secType="FUT", lastTradeDateOrContractMonth="202406")) is None


def test_a_security_type_we_do_not_trade_is_named() -> None:
    with pytest.raises(MissingData, match="XAUUSD is of an unsupported type, 'CMDTY'"):
        ib_contracts.from_ib(ib.Contract(secType="CMDTY", symbol="XAUUSD"))


@pytest.mark.parametrize(
    ("under", "trading_class", "style"),
    [
        ("STK", "SPY", "american"),
        ("IND", "SPX", "european"),
        ("IND", "SPXW", "european"),
        ("IND", "OEX", "american"),
    ],
)
def test_index_options_are_european_but_for_oex(under: str, trading_class: str, style: str) -> None:
    details = ib.ContractDetails(contract=ib.Contract(tradingClass=trading_class), underSecType=under)
    assert ib_contracts.exercise_style(details) == style


def test_a_quote_without_a_price_or_a_greek_is_null() -> None:
    greeks = ib.OptionComputation(0, None, -0.5, None, None, 0.01, -2.0, -2.0, None)
    empty = _ticker(bid=-1, bidSize=0, ask=1.25, askSize=7, last=float("nan"), modelGreeks=greeks)
    (row,) = ib_contracts.quotes_frame([1], [empty], NOW).to_dicts()
    assert (row["bid"], row["bid_size"], row["ask"], row["ask_size"]) == (None, None, 1.25, 7.0)
    assert (row["last"], row["volume"], row["previous_close"]) == (None, None, None)
    assert (row["model_delta"], row["model_gamma"]) == (-0.5, 0.01)
    assert (row["model_vega"], row["model_theta"], row["model_iv"]) == (None, None, None)
    assert (row["status"], row["quoted_at"]) == ("ok", NOW)


@pytest.mark.parametrize("poison", [sys.float_info.max, float("inf"), float("-inf"), -1.0, float("nan")])
def test_poisoned_prices_do_not_pass(poison: float) -> None:
    (row,) = ib_contracts.quotes_frame(
        [1], [_ticker(bid=poison, bidSize=3, ask=2.0, askSize=1)], NOW
    ).to_dicts()
    assert (row["bid"], row["bid_size"], row["ask"]) == (None, None, 2.0)


def test_no_answer_is_a_missing_row_without_a_time() -> None:
    (row,) = ib_contracts.quotes_frame([7], [None], NOW).to_dicts()
    assert (row["con_id"], row["status"], row["quoted_at"], row["market_data_type"]) == (
        7,
        "missing",
        None,
        None,
    )


def test_a_condor_becomes_a_bought_guaranteed_combo_at_a_negative_price() -> None:
    contract, order = ib_contracts.to_order(opening_intent(units=3), 17)
    assert (contract.secType, contract.symbol, contract.exchange) == ("BAG", "SPY", "SMART")
    assert [(each.conId, each.ratio, each.action) for each in contract.comboLegs] == [
        (each.contract.con_id, 1, each.side.value) for each in CONDOR_LEGS
    ]
    assert (order.orderId, order.action, order.totalQuantity) == (17, "BUY", 3.0)
    assert (order.orderType, order.lmtPrice, order.tif) == ("LMT", -2.67, "DAY")
    assert (order.orderRef, order.account, order.transmit) == ("tp1-opening", "DU1234567", True)
    assert not order.smartComboRoutingParams  # NonGuaranteed is refused for four legs


def test_a_sold_leg_is_sold_at_a_positive_price() -> None:
    sold = (leg(Right.PUT, 470, Side.SELL),)
    contract, order = ib_contracts.to_order(opening_intent(legs=sold, limit_price=-2.30), 1)
    assert contract.conId == sold[0].contract.con_id
    assert (order.action, order.lmtPrice) == ("SELL", 2.30)


@pytest.mark.parametrize(
    "changes",
    [
        {"legs": ()},
        {"legs": CONDOR_LEGS + BULL_PUT_LEGS[:1]},
        {"legs": (CONDOR_LEGS[0], CONDOR_LEGS[0])},
        {"legs": CONDOR_LEGS[:1], "limit_price": -1.0},
        {"legs": (CONDOR_LEGS[0].model_copy(update={"ratio": 2}),), "limit_price": 1.0},
        {"legs": (CONDOR_LEGS[0].model_copy(update={"ratio": 0}), CONDOR_LEGS[1])},
        {"units": 0},
        {"limit_price": 2e6},
    ],
    ids=[
        "no leg",
        "five legs",
        "a leg twice",
        "bought for a credit",
        "a ratio alone",
        "no ratio",
        "no units",
        "price",
    ],
)
def test_what_is_no_order_is_refused_before_it_is_sent(changes: dict[str, object]) -> None:
    with pytest.raises(OrderRejected, match="nothing was sent"):
        ib_contracts.to_order(opening_intent(**changes), 1)


@pytest.mark.parametrize("price", [float("nan"), float("inf"), float("-inf")])
def test_a_price_that_is_no_number_is_refused(price: float) -> None:
    intent = opening_intent().model_copy(update={"limit_price": price})
    with pytest.raises(OrderRejected, match="limit price"):
        ib_contracts.to_order(intent, 1)


def test_an_execution_without_its_commission_report_has_none() -> None:
    execution = ib.Execution(
        execId="0000e0d5.00000001.02.01",
        time=NOW,
        acctNumber="DU1234567",
        side="SLD",
        shares=2.0,
        price=1.5,
        permId=9,
        orderRef="tp1-x",
    )
    contract = ib.Contract(secType="OPT", conId=3, symbol="SPY", right="C", strike=500.0)
    fill = ib_contracts.from_fill(ib.Fill(contract, execution, ib.CommissionReport(), NOW))
    assert (fill.side, fill.quantity, fill.commission, fill.realised_pnl) == (Side.SELL, 2.0, None, None)
    report = ib.CommissionReport("0000e0d5.00000001.02.01", 1.3, "USD", 0.0)
    told = ib_contracts.from_fill(ib.Fill(contract, execution, report, NOW))
    assert (told.commission, told.realised_pnl, told.correction) == (1.3, 0.0, 1)


def test_a_completed_order_is_read_from_the_order_itself() -> None:
    order = ib.Order(
        orderRef="tp1-x", permId=5, totalQuantity=3.0, filledQuantity=2.0, account="DU1234567", action="BUY"
    )
    trade = ib.Trade(ib.Contract(conId=3), order, ib.OrderStatus(status="Cancelled"), [], [])
    report = ib_contracts.from_trade(trade)
    assert (report.status, report.filled, report.remaining, report.con_ids) == ("Cancelled", 2.0, 1.0, (3,))
