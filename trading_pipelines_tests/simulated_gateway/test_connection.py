import asyncio
import struct
from datetime import timedelta

import ib_async
import pytest

from trading_pipelines.domain.errors import BrokerUnavailable
from trading_pipelines.simulated_gateway.server import Gateway, RunningGateway, running_gateway
from trading_pipelines_tests.simulated_gateway.clients import RawClient, underlying_contract, until
from trading_pipelines_tests.simulated_gateway.conftest import Connect, ConnectRaw
from trading_pipelines_tests.simulated_gateway.static_market import NOON, SPY, StaticMarket, quote


def test_ib_async_connects_at_version_178_with_its_whole_start_up(client: ib_async.IB) -> None:
    assert client.client.serverVersion() == 178
    assert client.managedAccounts() == ["DU1234567"]
    assert client.isConnected()


def test_a_client_that_knows_less_is_spoken_to_in_its_own_version(
    gateway: RunningGateway, connect_raw: ConnectRaw
) -> None:
    assert connect_raw(gateway, highest=157).version == "157"
    assert connect_raw(gateway, highest=178).version == "178"


def test_a_client_that_knows_more_gets_the_last_plain_text_version(
    gateway: RunningGateway, connect_raw: ConnectRaw
) -> None:
    assert connect_raw(gateway, highest=213).version == "178"


def test_the_handshake_tells_the_simulated_time(gateway: RunningGateway, connect_raw: ConnectRaw) -> None:
    assert connect_raw(gateway).time == "20240612 12:00:00 US/Eastern"


def test_a_second_client_with_the_same_id_is_told_326_and_hung_up_on(
    gateway: RunningGateway, client: ib_async.IB, connect_raw: ConnectRaw
) -> None:
    intruder = connect_raw(gateway)
    intruder.send(71, 2, 1, "")
    assert intruder.read()[:4] == ["4", "2", "-1", "326"]
    with pytest.raises(EOFError):
        intruder.read()
    assert client.isConnected()


def test_a_client_id_is_free_again_after_its_client_left(
    gateway: RunningGateway, connect: Connect, connect_raw: ConnectRaw
) -> None:
    first = connect_raw(gateway).start(5)
    first.close()
    deadline = 10_000
    while gateway.control.state()["clients"] and deadline:
        deadline -= 1
    assert connect(gateway, 5).isConnected()


def test_frames_are_read_however_the_network_cuts_them(
    gateway: RunningGateway, connect_raw: ConnectRaw
) -> None:
    client = connect_raw(gateway).start(5)
    for byte in RawClient.framed(49, 1):
        client.write(bytes([byte]))
    assert client.until(lambda fields: fields[0] == "49")[-1] == ["49", "1", "1718208000"]


def test_who_does_not_greet_like_a_client_is_hung_up_on(gateway: RunningGateway) -> None:
    async def visit() -> bytes:
        reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    assert asyncio.run(visit()) == b""


def test_a_frame_too_long_to_be_a_message_ends_the_connection(
    gateway: RunningGateway, connect_raw: ConnectRaw
) -> None:
    client = connect_raw(gateway).start(5)
    client.write(struct.pack(">I", 0x7FFFFFFF))
    with pytest.raises(EOFError):
        client.until(lambda _: False)


def test_an_unknown_message_is_answered_with_505(gateway: RunningGateway, connect_raw: ConnectRaw) -> None:
    client = connect_raw(gateway).start(5)
    client.send(999, 1)
    assert client.until(lambda fields: fields[:4] == ["4", "2", "-1", "505"])


@pytest.mark.parametrize(
    "fields",
    [
        (9, 8, 1),
        (9, 8, 1, "x", "SPY", "STK", "", 0, "", "", "SMART", "", "USD", "", "", 0, "", "", ""),
        (9, 8, 1, 0, "SPY", "OPT", "2024XX12", 0, "", "", "SMART", "", "USD", "", "", 0, "", "", ""),
        (9, 8, 1, 0, "SPY", "OPT", "", 0, "", "many", "SMART", "", "USD", "", "", 0, "", "", ""),
        (4, 1, "nan"),
    ],
    ids=["cut short", "con_id", "expiry", "multiplier", "order id"],
)
def test_a_message_that_cannot_be_read_is_answered_with_320_and_the_next_is_served(
    gateway: RunningGateway, connect_raw: ConnectRaw, fields: tuple[object, ...]
) -> None:
    client = connect_raw(gateway).start(5)
    client.send(*fields)
    client.send(49, 1)
    answer = client.until(lambda fields: fields[0] == "49")
    assert [message[3] for message in answer if message[0] == "4"][-1] == "320"


def test_the_fifty_first_message_of_a_second_is_refused(
    market: StaticMarket, connect_raw: ConnectRaw
) -> None:
    with running_gateway(market, start=NOON, limits=True) as gateway:
        client = connect_raw(gateway).start(5)
        client.write(b"".join(RawClient.framed(49, 1) for _ in range(51)))
        answer = client.until(lambda fields: fields[0] == "4" and fields[3] == "100")
        assert sum(fields[0] == "49" for fields in answer) == 50

        gateway.control.step(NOON.replace(second=1))
        client.send(49, 1)
        assert client.until(lambda fields: fields[0] == "49")[-1] == ["49", "1", "1718208001"]


def test_without_limits_any_number_of_messages_is_served(
    gateway: RunningGateway, connect_raw: ConnectRaw
) -> None:
    client = connect_raw(gateway).start(5)
    client.write(b"".join(RawClient.framed(49, 1) for _ in range(200)))
    for _ in range(200):
        client.until(lambda fields: fields[0] == "49")


def test_a_taken_port_is_said_in_one_line(gateway: RunningGateway) -> None:
    async def start() -> None:
        await Gateway(StaticMarket(), start=NOON).start(port=gateway.port)

    with pytest.raises(BrokerUnavailable, match=rf"port {gateway.port} of 127.0.0.1 cannot be listened on"):
        asyncio.run(start())


def test_a_running_clock_moves_the_market_by_itself(connect: Connect) -> None:
    later = NOON + timedelta(minutes=30)
    market = StaticMarket(moves=[(later, SPY, quote(540.0, 540.02))])
    with running_gateway(market, start=NOON, speed=3600.0) as gateway:
        client = connect(gateway)
        ticker = client.reqMktData(underlying_contract())
        until(client, lambda: ticker.bid == 540.0)
        assert gateway.control.time() >= later
        client.disconnect()
