"""The books of one account; every amount is counted by hand."""

from datetime import timedelta

import pytest

from trading_pipelines.domain.contracts import Side
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.simulated_gateway.account import Account, OpeningPosition, commission
from trading_pipelines.simulated_gateway.clock import GatewayClock
from trading_pipelines.simulated_gateway.matching import Leg
from trading_pipelines_tests.simulated_gateway.static_market import (
    CALL_560,
    CALL_570,
    CONTRACTS,
    ES,
    NOON,
    PUT_540,
    SPY,
    StaticMarket,
    quote,
)

CALL, STOCK, FUTURE = CONTRACTS[CALL_560], CONTRACTS[SPY], CONTRACTS[ES]


def account(
    *positions: OpeningPosition, cash: float = 100_000.0, market: StaticMarket | None = None
) -> Account:
    return Account("DU1", cash, positions, market or StaticMarket(), GatewayClock(NOON))


@pytest.mark.parametrize(
    ("con_id", "quantity", "usd"),
    [(CALL_560, 10, 6.50), (SPY, 100, 1.00), (SPY, 1000, 5.00), (ES, 2, 4.50)],
    ids=["options", "stock at least a dollar", "stock", "futures"],
)
def test_commissions(con_id: int, quantity: float, usd: float) -> None:
    assert commission(CONTRACTS[con_id], quantity) == usd


def test_a_position_the_market_does_not_list_is_refused() -> None:
    with pytest.raises(MissingData, match="contract 1"):
        account(OpeningPosition(1, 1, 1.0))


def test_buying_more_averages_the_cost_with_commissions() -> None:
    books = account()
    assert books.book(CALL, Side.BUY, 1, 4.00) == (0.65, None)
    assert books.book(CALL, Side.BUY, 3, 5.00) == (1.95, None)
    assert books.holdings[CALL_560].average_cost == pytest.approx((400 + 1500 + 2.60) / 4)
    assert books.cash == pytest.approx(100_000 - 1900 - 2.60)


def test_selling_part_realises_that_part_and_keeps_the_cost_of_the_rest() -> None:
    books = account(OpeningPosition(CALL_560, 4, 4.00))
    fee, realised = books.book(CALL, Side.SELL, 1, 5.00)
    assert (fee, realised) == (0.65, pytest.approx(100 - 0.65))
    assert books.holdings[CALL_560].average_cost == 400.0


def test_selling_short_receives_cash_and_costs_less_by_the_commission() -> None:
    books = account()
    assert books.book(CALL, Side.SELL, 2, 4.50)[1] is None
    assert books.holdings[CALL_560].average_cost == pytest.approx(450 - 0.65)
    assert books.cash == pytest.approx(100_000 + 900 - 1.30)


def test_a_trade_through_zero_closes_one_position_and_opens_another() -> None:
    books = account(OpeningPosition(CALL_560, 1, 4.00))
    fee, realised = books.book(CALL, Side.SELL, 3, 5.00)
    assert (fee, realised) == (1.95, pytest.approx(100 - 0.65))
    assert books.holdings[CALL_560].quantity == -2
    assert books.holdings[CALL_560].average_cost == pytest.approx(500 - 0.65)


def test_a_future_moves_no_cash_until_it_is_closed() -> None:
    books = account()
    books.book(FUTURE, Side.BUY, 1, 5510.00)
    assert books.cash == pytest.approx(100_000 - 2.25)
    # Marked at 5520.125: 10.125 points at 50 dollars.
    assert books.valuation().net_liquidation == pytest.approx(100_000 - 2.25 + 506.25)
    _, realised = books.book(FUTURE, Side.SELL, 1, 5520.00)
    assert realised == pytest.approx(500 - 2.25)
    assert books.cash == pytest.approx(100_000 + 500 - 4.50)


def test_a_fill_costs_the_account_its_half_spread_and_commission() -> None:
    books = account(OpeningPosition(PUT_540, -2, 5.0))
    before = books.valuation().net_liquidation
    fee, _ = books.book(CALL, Side.BUY, 10, 4.56)
    assert books.valuation().net_liquidation == pytest.approx(before - 10 * 100 * 0.03 - fee)


def test_profits_of_the_day_count_trades_from_their_price_and_holdings_from_the_close() -> None:
    books = account(OpeningPosition(SPY, 100, 500.0))  # closed at 548, stands at 550
    books.book(STOCK, Side.SELL, 40, 551.0)
    valuation = books.valuation()
    assert valuation.daily_pnl == pytest.approx(60 * 2.0 + 40 * 3.0 - 1.0)
    assert valuation.realised_pnl == pytest.approx(40 * 51.0 - 1.0)


def test_a_new_day_begins_at_its_previous_closes_with_nothing_realised() -> None:
    tomorrow = NOON + timedelta(days=1)
    market = StaticMarket(moves=[(tomorrow, SPY, quote(559.0, 561.0, close=555.0))])
    clock = GatewayClock(NOON)
    books = Account("DU1", 0.0, [OpeningPosition(SPY, 100, 500.0)], market, clock)
    books.book(STOCK, Side.SELL, 50, 551.0)
    clock.advance_to(tomorrow)
    books.begin_day()
    valuation = books.valuation()
    assert valuation.realised_pnl == 0.0
    assert valuation.daily_pnl == pytest.approx(50 * 5.0)


def test_a_contract_without_quotes_is_worth_what_it_cost() -> None:
    market = StaticMarket(moves=[(NOON, CALL_560, quote(None, None))])
    books = account(OpeningPosition(CALL_560, 2, 4.00), market=market)
    (value,) = books.values()
    assert (value.price, value.unrealised_pnl) == (4.00, 0.0)


def test_closing_frees_margin() -> None:
    books = account(OpeningPosition(CALL_560, -1, 4.50), OpeningPosition(CALL_570, 1, 1.80))
    legs = (Leg(CALL, 1, Side.BUY), Leg(CONTRACTS[CALL_570], 1, Side.SELL))
    # Ten wide; marked 4.53 and 1.82, so 7.29 are at risk; closed at 2.76, five cents above its mark.
    preview = books.preview(legs, 1, 2.76)
    assert preview.before.initial == pytest.approx(729.0)
    assert preview.change.initial == pytest.approx(-729.0 + 5.0)
    assert (preview.commission, preview.equity_change) == (1.30, -1.30)
