from datetime import UTC, date, datetime

import ib_async
import pytest
from ib_async.wrapper import RequestError

from trading_pipelines.simulated_gateway.server import RunningGateway
from trading_pipelines_tests.simulated_gateway.clients import option_contract, underlying_contract
from trading_pipelines_tests.simulated_gateway.conftest import ConnectRaw
from trading_pipelines_tests.simulated_gateway.static_market import (
    CALL_560,
    ES,
    NOON,
    PUT_540,
    SPY,
    VIX,
)


def test_a_stock_is_qualified_by_its_symbol(client: ib_async.IB) -> None:
    (contract,) = client.qualifyContracts(ib_async.Stock("SPY", "SMART", "USD"))
    assert isinstance(contract, ib_async.Contract)
    assert (contract.conId, contract.exchange, contract.primaryExchange) == (SPY, "SMART", "ARCA")


def test_an_option_is_found_by_expiry_strike_and_right(client: ib_async.IB) -> None:
    (details,) = client.reqContractDetails(ib_async.Option("SPY", "20240719", 540.0, "P", "SMART"))
    contract = details.contract
    assert contract is not None
    assert (contract.conId, contract.multiplier) == (PUT_540, "100")
    assert contract.localSymbol == "SPY   240719P00540000"
    assert (details.underConId, details.minTick, details.contractMonth) == (SPY, 0.01, "202407")
    assert details.longName == "SPDR S&P 500 ETF TRUST"


def test_a_chain_is_every_option_of_a_month(client: ib_async.IB) -> None:
    found = client.reqContractDetails(ib_async.Option("SPY", "202407", exchange="SMART"))
    assert len(found) == 5


def test_a_contract_id_says_it_all(client: ib_async.IB) -> None:
    (details,) = client.reqContractDetails(ib_async.Contract(conId=ES))
    assert details.contract is not None
    assert (details.contract.localSymbol, details.contract.multiplier) == ("ESU4", "50")
    assert details.contract.lastTradeDateOrContractMonth == "20240920"


def test_an_index_has_neither_multiplier_nor_expiry(client: ib_async.IB) -> None:
    (details,) = client.reqContractDetails(ib_async.Index("VIX", "CBOE"))
    assert details.contract is not None
    assert (details.contract.conId, details.contract.multiplier) == (VIX, "")


@pytest.mark.parametrize(
    "contract",
    [
        ib_async.Stock("NOPE", "SMART", "USD"),
        ib_async.Option("SPY", "20240719", 1.0, "C", "SMART"),
        ib_async.Contract(conId=1),
    ],
    ids=["symbol", "strike", "con_id"],
)
def test_an_unknown_contract_is_error_200(client: ib_async.IB, contract: ib_async.Contract) -> None:
    with pytest.raises(RequestError) as refused:
        client.reqContractDetails(contract)
    assert refused.value.code == 200


def test_a_combo_has_no_details_and_gets_no_answer(gateway: RunningGateway, connect_raw: ConnectRaw) -> None:
    client = connect_raw(gateway).start(5)
    client.send(9, 8, 1, 0, "SPY", "BAG", "", 0, "", "", "SMART", "", "USD", "", "", 0, "", "", "")
    client.send(49, 1)
    answer = client.until(lambda fields: fields[0] == "49")
    assert not [message for message in answer if message[0] in {"10", "52"}]


def test_option_parameters_are_the_expiries_and_strikes_of_the_underlying(client: ib_async.IB) -> None:
    (chain,) = client.reqSecDefOptParams("SPY", "", "STK", SPY)
    assert (chain.exchange, chain.tradingClass, chain.multiplier) == ("SMART", "SPY", "100")
    assert chain.expirations == ["20240719"]
    assert chain.strikes == [530.0, 540.0, 560.0, 570.0, 600.0]


def test_what_has_no_options_has_an_empty_chain(client: ib_async.IB) -> None:
    assert client.reqSecDefOptParams("VIX", "", "IND", VIX) == []


def test_daily_bars_are_the_last_sessions(client: ib_async.IB) -> None:
    bars = client.reqHistoricalData(underlying_contract(), "", "5 D", "1 day", "TRADES", True)
    assert [bar.date for bar in bars] == [date(2024, 6, day) for day in (5, 6, 7, 10, 11)]
    assert (bars[0].open, bars[0].high, bars[0].low, bars[0].close) == (548.0, 551.0, 547.0, 550.0)
    assert (bars[0].volume, bars[0].average, bars[0].barCount) == (1e6, 549.5, 1000)


def test_intraday_bars_end_by_now_and_are_dated_in_new_york(client: ib_async.IB) -> None:
    bars = client.reqHistoricalData(underlying_contract(), "", "1 D", "5 mins", "TRADES", True)
    assert len(bars) == 30  # 09:30 to 12:00
    assert bars[0].date == datetime(2024, 6, 12, 13, 30, tzinfo=UTC)
    assert bars[-1].date == datetime(2024, 6, 12, 15, 55, tzinfo=UTC)


def test_bar_times_may_be_asked_for_as_epoch_seconds(client: ib_async.IB) -> None:
    bars = client.reqHistoricalData(underlying_contract(), "", "1 D", "5 mins", "TRADES", True, formatDate=2)
    assert bars[0].date == datetime(2024, 6, 12, 13, 30, tzinfo=UTC)


def test_bars_may_end_earlier_but_never_later_than_now(client: ib_async.IB) -> None:
    def last(end: object) -> object:
        bars = client.reqHistoricalData(underlying_contract(), end, "1800 S", "5 mins", "TRADES", True)
        assert len(bars) == 6
        return bars[-1].date

    assert last("20240612-15:00:00") == datetime(2024, 6, 12, 14, 55, tzinfo=UTC)
    assert last("20240612 11:00:00 US/Eastern") == datetime(2024, 6, 12, 14, 55, tzinfo=UTC)
    assert last(NOON.replace(hour=19)) == datetime(2024, 6, 12, 15, 55, tzinfo=UTC)


def test_implied_volatility_has_history(client: ib_async.IB) -> None:
    bars = client.reqHistoricalData(
        underlying_contract(), "", "1 W", "1 day", "OPTION_IMPLIED_VOLATILITY", True
    )
    assert [bar.close for bar in bars] == [0.16] * 5


def test_no_history_is_error_162(client: ib_async.IB) -> None:
    with pytest.raises(RequestError) as refused:
        client.reqHistoricalData(option_contract(CALL_560), "", "5 D", "1 day", "TRADES", True)
    assert refused.value.code == 162


@pytest.mark.parametrize(
    ("duration", "bar_size", "what"),
    [
        ("5 D", "7 parsecs", "TRADES"),
        ("5 fortnights", "1 day", "TRADES"),
        ("5 D", "1 day", "FEE_RATE"),
    ],
)
def test_a_history_request_that_makes_no_sense_is_error_321(
    gateway: RunningGateway, connect_raw: ConnectRaw, duration: str, bar_size: str, what: str
) -> None:
    client = connect_raw(gateway).start(5)
    contract = (SPY, "SPY", "STK", "", 0, "", "", "SMART", "", "USD", "", "")
    client.send(20, 8, *contract, 0, "", bar_size, duration, 1, what, 1, 0, "")
    assert client.until(lambda fields: fields[:4] == ["4", "2", "8", "321"])


def test_time_is_the_simulated_one(client: ib_async.IB) -> None:
    assert client.reqCurrentTime() == NOON
