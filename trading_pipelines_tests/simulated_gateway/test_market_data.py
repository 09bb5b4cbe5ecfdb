from datetime import timedelta
from math import isnan

import ib_async
import pytest

from trading_pipelines.simulated_gateway.server import RunningGateway, running_gateway
from trading_pipelines_tests.simulated_gateway.clients import (
    RawClient,
    option_contract,
    underlying_contract,
    until,
)
from trading_pipelines_tests.simulated_gateway.conftest import ConnectRaw
from trading_pipelines_tests.simulated_gateway.static_market import (
    CALL_560,
    CALL_600,
    CLOSE,
    NOON,
    SPY,
    VIX,
    StaticMarket,
    quote,
)

LATER = NOON + timedelta(minutes=5)


def stream_request(request_id: int, con_id: int, generic: str = "", snapshot: int = 0) -> tuple[object, ...]:
    contract = (con_id, "SPY", "OPT", "", 0, "", "", "SMART", "", "USD", "", "")
    return (1, 11, request_id, *contract, 0, generic, snapshot, 0, "")


def test_a_snapshot_has_both_sides_the_last_trade_and_the_close(client: ib_async.IB) -> None:
    (ticker,) = client.reqTickers(underlying_contract())
    assert (ticker.bid, ticker.bidSize) == (549.99, 10.0)
    assert (ticker.ask, ticker.askSize) == (550.01, 12.0)
    assert (ticker.last, ticker.lastSize, ticker.volume) == (550.0, 1.0, 1234.0)
    assert ticker.close == 548.0
    assert (ticker.marketDataType, ticker.minTick) == (1, 0.01)


def test_an_option_has_the_models_greeks(client: ib_async.IB) -> None:
    (ticker,) = client.reqTickers(option_contract(CALL_560))
    model = ticker.modelGreeks
    assert model is not None
    assert (model.impliedVol, model.delta, model.optPrice, model.undPrice) == (0.18, 0.30, 4.53, 550.0)
    assert (model.gamma, model.vega, model.theta) == (0.01, 0.50, -0.12)


def test_bid_and_ask_have_volatilities_of_their_own(client: ib_async.IB) -> None:
    # Three cents from the model at a vega of 0.50 per point are 0.06 points.
    (ticker,) = client.reqTickers(option_contract(CALL_560))
    assert ticker.bidGreeks is not None
    assert ticker.askGreeks is not None
    assert ticker.bidGreeks.impliedVol == pytest.approx(0.1794, abs=1e-9)
    assert ticker.askGreeks.impliedVol == pytest.approx(0.1806, abs=1e-9)
    assert (ticker.bidGreeks.optPrice, ticker.askGreeks.optPrice) == (4.50, 4.56)


def test_a_side_without_a_quote_is_said_as_minus_one(
    gateway: RunningGateway, connect_raw: ConnectRaw
) -> None:
    client = connect_raw(gateway).start(5)
    client.send(*stream_request(8, CALL_600, snapshot=1))
    answer = client.until(lambda fields: fields[0] == "57")
    assert ["1", "6", "8", "1", "-1.0", "0", "0"] in answer
    assert ["1", "6", "8", "2", "0.05", "12", "0"] in answer


def test_what_was_never_quoted_is_not_said_at_all(client: ib_async.IB) -> None:
    (ticker,) = client.reqTickers(ib_async.Index("VIX", "CBOE", conId=VIX))
    assert ticker.last == 12.5
    assert isnan(ticker.open)


def test_generic_ticks_tell_open_interest_volume_and_implied_volatility(client: ib_async.IB) -> None:
    option = client.reqMktData(option_contract(CALL_560), "100,101")
    until(client, lambda: option.callOpenInterest == 5000.0 and option.callVolume == 1234.0)
    stock = client.reqMktData(underlying_contract(), "106")
    until(client, lambda: stock.impliedVolatility == 0.16)
    assert isnan(option.putOpenInterest)


def test_a_snapshot_with_generic_ticks_is_refused_with_321(
    gateway: RunningGateway, connect_raw: ConnectRaw
) -> None:
    client = connect_raw(gateway).start(5)
    client.send(*stream_request(8, CALL_560, generic="101", snapshot=1))
    assert client.until(lambda fields: fields[:4] == ["4", "2", "8", "321"])
    assert gateway.control.state()["lines"] == 0


def test_a_step_tells_streams_what_moved(
    market: StaticMarket, gateway: RunningGateway, client: ib_async.IB
) -> None:
    market.moves.append((LATER, SPY, quote(540.0, 540.02, last=540.01, close=548.0)))
    ticker = client.reqMktData(underlying_contract())
    until(client, lambda: ticker.bid == 549.99)
    gateway.control.step(LATER)
    until(client, lambda: ticker.ask == 540.02)
    assert (ticker.bid, ticker.last) == (540.0, 540.01)


def test_what_did_not_move_is_not_said_again(
    market: StaticMarket, gateway: RunningGateway, connect_raw: ConnectRaw
) -> None:
    market.moves.append((LATER, CALL_560, quote(4.50, 4.60, last=4.53, close=4.40)))
    client = connect_raw(gateway).start(5)
    client.send(*stream_request(8, CALL_560))
    client.until(lambda fields: fields[:4] == ["21", "8", "13", "0"])
    gateway.control.step(LATER)
    client.send(49, 1)
    told = client.until(lambda fields: fields[0] == "49")
    assert told[:-1] == [["1", "6", "8", "2", "4.6", "12", "0"]]


def test_a_cancelled_stream_is_silent_and_gives_its_line_back(
    market: StaticMarket, gateway: RunningGateway, client: ib_async.IB
) -> None:
    market.moves.append((LATER, SPY, quote(540.0, 540.02)))
    ticker = client.reqMktData(underlying_contract())
    until(client, lambda: ticker.bid == 549.99)
    client.cancelMktData(underlying_contract())
    client.reqCurrentTime()
    assert gateway.control.state()["lines"] == 0
    gateway.control.step(LATER)
    client.reqCurrentTime()
    assert ticker.bid == 549.99


def test_after_the_close_frozen_data_says_so(gateway: RunningGateway, client: ib_async.IB) -> None:
    gateway.control.step(CLOSE)
    client.reqMarketDataType(2)
    (ticker,) = client.reqTickers(underlying_contract())
    assert ticker.marketDataType == 2


def test_an_unknown_contract_is_error_200(gateway: RunningGateway, connect_raw: ConnectRaw) -> None:
    client = connect_raw(gateway).start(5)
    client.send(*stream_request(8, 1))
    assert client.until(lambda fields: fields[:4] == ["4", "2", "8", "200"])


def test_a_request_id_in_use_is_error_102(gateway: RunningGateway, connect_raw: ConnectRaw) -> None:
    client = connect_raw(gateway).start(5)
    client.send(*stream_request(8, CALL_560))
    client.send(*stream_request(8, CALL_560))
    assert client.until(lambda fields: fields[:4] == ["4", "2", "8", "102"])


def test_the_hundred_and_first_line_is_error_101_under_limits(connect_raw: ConnectRaw) -> None:
    with running_gateway(StaticMarket(), start=NOON, limits=True) as gateway:
        client = connect_raw(gateway).start(5)
        for second in range(3):  # 50 messages a second
            gateway.control.step(NOON + timedelta(seconds=second))
            for number in range(40):
                client.send(*stream_request(100 + 40 * second + number, CALL_560))
            client.send(49, 1)
            answer = client.until(lambda fields: fields[0] == "49")
        refused = [fields for fields in answer if fields[0] == "4"]
        assert [fields[3] for fields in refused] == ["101"] * 20
        assert gateway.control.state()["lines"] == 100


def test_requests_that_arrive_together_are_one_look_at_the_market(
    market: StaticMarket, gateway: RunningGateway, connect_raw: ConnectRaw
) -> None:
    client = connect_raw(gateway).start(5)
    looked = len(market.asked)
    client.write(
        b"".join(
            RawClient.framed(*stream_request(100 + number, CALL_560, snapshot=1)) for number in range(2000)
        )
    )
    for _ in range(2000):
        client.until(lambda fields: fields[0] == "57")
    looks = [asked for asked in market.asked[looked:] if asked]
    assert sum(looks) == 2000
    assert len(looks) < 50
