import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ib_async
import pytest

from trading_pipelines.domain.errors import BrokerError, BrokerUnavailable
from trading_pipelines.simulated_gateway.control import GatewayControl
from trading_pipelines.simulated_gateway.server import RunningGateway, running_gateway
from trading_pipelines.simulated_gateway.truth import TruthLog
from trading_pipelines_tests.builders import condor
from trading_pipelines_tests.simulated_gateway.clients import combo, option_contract, until
from trading_pipelines_tests.simulated_gateway.conftest import POSITIONS, Connect
from trading_pipelines_tests.simulated_gateway.static_market import (
    CALL_560,
    NOON,
    PUT_530,
    PUT_540,
    SPY,
    StaticMarket,
)


def test_a_step_moves_the_clock_and_nothing_else_does(gateway: RunningGateway) -> None:
    assert gateway.control.time() == NOON
    assert gateway.control.step(NOON + timedelta(minutes=5)) == NOON + timedelta(minutes=5)
    assert gateway.control.time() == NOON + timedelta(minutes=5)


def test_a_step_back_is_refused_and_the_gateway_goes_on(gateway: RunningGateway) -> None:
    with pytest.raises(BrokerError, match="cannot go back"):
        gateway.control.step(NOON - timedelta(minutes=5))
    with pytest.raises(BrokerError, match="no time zone"):
        gateway.control.step(NOON.replace(tzinfo=None))
    assert gateway.control.time() == NOON


def test_the_book_comes_back_as_it_was_given() -> None:
    with running_gateway(StaticMarket(), start=NOON, book=(condor(),)) as gateway:
        assert gateway.control.book() == (condor(),)


def test_the_state_counts_clients_messages_lines_orders_and_fills(
    gateway: RunningGateway, client: ib_async.IB
) -> None:
    before = gateway.control.state()
    client.reqMktData(option_contract(CALL_560))
    trades = [
        client.placeOrder(option_contract(CALL_560), ib_async.LimitOrder("BUY", 1, price))
        for price in (5.00, 4.00)
    ]
    until(client, lambda: trades[1].orderStatus.status == "Submitted")
    after = gateway.control.state()
    assert after.pop("messages") - before.pop("messages") == 3
    assert after == {"clients": 1, "lines": 1, "orders": 2, "working": 1, "fills": 1}


def test_who_speaks_http_to_the_control_port_is_hung_up_on(gateway: RunningGateway) -> None:
    with socket.create_connection((gateway.host, gateway.control_port), timeout=30) as visitor:
        visitor.sendall(b'POST / HTTP/1.1\n\n{"command": "stop"}\n')
        assert visitor.recv(100) == b""
    assert gateway.control.time() == NOON


def test_no_gateway_is_said_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        port = taken.getsockname()[1]
        with pytest.raises(BrokerUnavailable, match=rf"no gateway control at 127.0.0.1:{port}"):
            GatewayControl("127.0.0.1", port)


def test_stop_ends_the_gateway() -> None:
    def ask_on(gateway: RunningGateway) -> None:
        while True:
            gateway.control.time()

    with running_gateway(StaticMarket(), start=NOON) as gateway:
        gateway.control.stop()
        with pytest.raises(BrokerUnavailable):
            ask_on(gateway)


def test_the_truth_holds_what_was_held_ordered_filled_and_cancelled(tmp_path: Path, connect: Connect) -> None:
    path = tmp_path / "truth" / "gateway.jsonl"
    with running_gateway(StaticMarket(), start=NOON, positions=POSITIONS, seed=3, truth=path) as gateway:
        client = connect(gateway)
        spread = combo((PUT_530, "BUY"), (PUT_540, "SELL"))
        order = ib_async.LimitOrder("BUY", 2, -1.90, orderRef="tp1-spread")
        client.whatIfOrder(spread, order)
        trade = client.placeOrder(spread, order)
        until(client, lambda: trade.orderStatus.status == "Filled")
        resting = client.placeOrder(option_contract(CALL_560), ib_async.LimitOrder("BUY", 1, 4.00))
        until(client, lambda: resting.orderStatus.status == "Submitted")
        client.cancelOrder(resting.order)
        until(client, lambda: resting.orderStatus.status == "Cancelled")
        refused = client.placeOrder(option_contract(CALL_560), ib_async.LimitOrder("BUY", 1, float("nan")))
        until(client, lambda: refused.orderStatus.status == "Cancelled")
        client.disconnect()

    facts = [json.loads(line) for line in path.read_text().splitlines()]
    assert [fact["seq"] for fact in facts] == list(range(1, len(facts) + 1))
    assert {fact["at"] for fact in facts} == {NOON.isoformat()}
    assert [fact["kind"] for fact in facts] == [
        *("start", "position", "position"),
        *("what_if", "order", "fill", "fill", "fill"),
        *("order", "cancel", "cancelled"),
        *("order", "rejected"),
    ]
    assert [(fact["con_id"], fact["quantity"]) for fact in facts[1:3]] == [(PUT_540, -2), (SPY, 100)]
    sent = facts[4]
    assert (sent["order_ref"], sent["quantity"], sent["limit"]) == ("tp1-spread", 2.0, -1.90)
    assert sent["legs"] == [
        {"con_id": PUT_530, "ratio": 1, "side": "BUY"},
        {"con_id": PUT_540, "ratio": 1, "side": "SELL"},
    ]
    fills = [(fact["con_id"], fact["side"], fact["quantity"], fact["price"]) for fact in facts[5:8]]
    assert fills == [
        (0, "BUY", 2.0, -1.96),
        (PUT_530, "BUY", 2.0, 2.04),
        (PUT_540, "SELL", 2.0, 4.00),
    ]
    assert {fact["exec_id"] for fact in facts[5:8]} == {fill.execution.execId for fill in trade.fills}
    assert (facts[-1]["code"], facts[-1]["limit"]) == (110, "nan")


def test_a_log_that_is_there_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    for _ in range(2):
        log = TruthLog(path)
        log.record("order", datetime(2024, 6, 12, tzinfo=UTC), {"order_id": 1}, {"order_id": 2})
        log.close()
    facts = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(fact["seq"], fact["order_id"]) for fact in facts] == [(1, 1), (2, 2), (3, 1), (4, 2)]
