"""The account as ib_async sees it: a million in cash, a short put at 4.03, a hundred shares at 550."""

from datetime import timedelta
from math import isnan

import ib_async
import pytest

from trading_pipelines.simulated_gateway.server import RunningGateway
from trading_pipelines_tests.simulated_gateway.clients import option_contract, underlying_contract, until
from trading_pipelines_tests.simulated_gateway.conftest import Connect
from trading_pipelines_tests.simulated_gateway.static_market import (
    CALL_560,
    NOON,
    PUT_540,
    SPY,
    StaticMarket,
    quote,
)

LATER = NOON + timedelta(minutes=5)


def values(client: ib_async.IB) -> dict[str, str]:
    return {value.tag: value.value for value in client.accountValues()}


def filled(client: ib_async.IB, contract: ib_async.Contract, side: str, quantity: float) -> ib_async.Trade:
    trade = client.placeOrder(contract, ib_async.MarketOrder(side, quantity))
    until(client, trade.isDone)
    client.reqCurrentTime()
    return trade


def test_positions_are_told_with_their_average_cost_per_contract(client: ib_async.IB) -> None:
    held = {position.contract.conId: position for position in client.positions()}
    assert (held[PUT_540].position, held[PUT_540].avgCost) == (-2.0, 500.0)
    assert (held[SPY].position, held[SPY].avgCost) == (100.0, 500.0)
    assert held[PUT_540].contract.exchange == ""
    assert held[SPY].contract.exchange == "ARCA"


def test_the_portfolio_is_marked_at_mid(client: ib_async.IB) -> None:
    held = {item.contract.conId: item for item in client.portfolio()}
    assert (held[PUT_540].marketPrice, held[PUT_540].marketValue) == (4.03, -806.0)
    assert held[PUT_540].unrealizedPNL == 194.0
    assert (held[SPY].marketValue, held[SPY].unrealizedPNL) == (55_000.0, 5_000.0)


def test_net_liquidation_is_cash_and_marked_positions(client: ib_async.IB) -> None:
    told = values(client)
    assert told["NetLiquidation"] == "1054194.00"
    assert told["TotalCashValue"] == "1000000.00"
    assert told["GrossPositionValue"] == "55806.00"
    # Stock: half of 55,000. Two naked puts: 20 % of 550 less 10 out of the money, a share.
    assert told["InitMarginReq"] == "47500.00"
    assert told["MaintMarginReq"] == "33750.00"
    assert told["AvailableFunds"] == "1006694.00"
    assert told["ExcessLiquidity"] == "1020444.00"


def test_the_summary_tells_what_was_asked_for(client: ib_async.IB) -> None:
    summary = {value.tag: value.value for value in client.accountSummary("DU1234567")}
    assert summary["NetLiquidation"] == "1054194.00"
    assert "AccountReady" not in summary


def test_profit_and_loss_of_the_day_begins_at_the_previous_close(client: ib_async.IB) -> None:
    total = client.reqPnL("DU1234567")
    until(client, lambda: not isnan(total.dailyPnL))
    # The shares rose by 2.00, the short puts fell by 0.17.
    assert total.dailyPnL == pytest.approx(200.0 + 34.0)
    assert (total.unrealizedPnL, total.realizedPnL) == (pytest.approx(5_194.0), 0.0)


def test_profit_and_loss_of_one_position(client: ib_async.IB) -> None:
    single = client.reqPnLSingle("DU1234567", "", PUT_540)
    until(client, lambda: not isnan(single.dailyPnL))
    assert single.position == -2.0
    assert single.dailyPnL == pytest.approx(34.0)
    assert single.unrealizedPnL == pytest.approx(194.0)
    assert single.value == pytest.approx(-806.0)


def test_a_step_tells_subscribers_what_they_are_worth_now(
    market: StaticMarket, gateway: RunningGateway, client: ib_async.IB
) -> None:
    market.moves.append((LATER, SPY, quote(539.99, 540.01, close=548.0)))
    total = client.reqPnL("DU1234567")
    gateway.control.step(LATER)
    until(client, lambda: values(client)["NetLiquidation"] == "1053194.00")
    assert total.dailyPnL == pytest.approx(-800.0 + 34.0)


def test_a_fill_moves_cash_and_position_of_every_subscriber(
    gateway: RunningGateway, client: ib_async.IB, connect: Connect
) -> None:
    other = connect(gateway, 2)
    filled(client, option_contract(CALL_560), "BUY", 2)
    until(other, lambda: any(position.contract.conId == CALL_560 for position in other.positions()))
    held = {position.contract.conId: position for position in other.positions()}
    assert held[CALL_560].position == 2.0
    assert held[CALL_560].avgCost == pytest.approx(456.65)  # 4.56 × 100 and the commission
    assert values(other)["TotalCashValue"] == "999086.70"  # 912.00 and 1.30 spent


def test_closing_a_position_realises_its_profit_after_commissions(client: ib_async.IB) -> None:
    trade = filled(client, option_contract(PUT_540), "BUY", 2)
    # Sold at 5.00, bought back at 4.06, two contracts, 1.30 of commission.
    assert trade.fills[0].commissionReport.realizedPNL == pytest.approx(2 * 94.0 - 1.30)
    assert PUT_540 not in {position.contract.conId for position in client.positions()}
    assert values(client)["RealizedPnL"] == "186.70"
    assert values(client)["TotalCashValue"] == "999186.70"


def test_a_cancelled_subscription_is_silent(gateway: RunningGateway, client: ib_async.IB) -> None:
    total = client.reqPnL("DU1234567")
    until(client, lambda: not isnan(total.dailyPnL))
    client.cancelPnL("DU1234567")
    before = total.dailyPnL
    filled(client, underlying_contract(), "BUY", 1000)
    assert total.dailyPnL == before
