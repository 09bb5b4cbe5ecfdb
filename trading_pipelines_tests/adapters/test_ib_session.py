"""One connection: how it comes about, why it does not, how it ends, and that nothing is left of it."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from ib_async import Contract

from trading_pipelines.adapters.ib_session import IBClock, IBSession
from trading_pipelines.domain.errors import BrokerError, BrokerUnavailable, ConfigError
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines.simulated_gateway.server import RunningGateway, running_gateway
from trading_pipelines_tests.adapters.conftest import OPENED, broker_parameters
from trading_pipelines_tests.adapters.interceptor import Interceptor

Connect = Callable[..., IBSession]


@contextmanager
def _listener(answer: bytes | None) -> Iterator[int]:
    """Something that is no gateway: it answers with these bytes and hangs up, or says nothing."""
    server = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def serve() -> None:
        connection, _ = server.accept()
        taken.append(connection)
        connection.recv(100)
        if answer is not None:
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        thread.join(5)
        for each in [*taken, server]:
            each.close()


def _receive(session: IBSession, interceptor: Interceptor, *fields: object) -> None:
    """Have the gateway say something, and wait until the session has heard it."""
    interceptor.tell(*fields)
    IBClock(session).now()


def _ib_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ib-")]


def test_a_session_knows_the_accounts_and_the_gateways_clock(
    gateway: RunningGateway, session: IBSession
) -> None:
    assert session.accounts == ("DU1234567",)
    clock = IBClock(session)
    assert clock.now() == OPENED
    gateway.control.step(OPENED + timedelta(minutes=5))
    assert clock.now() == OPENED + timedelta(minutes=5)


def test_without_a_gateway_the_remedy_names_the_command(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(BrokerUnavailable) as caught, connect(port):
        pass
    assert str(caught.value) == (
        f"no gateway at 127.0.0.1:{port} — start one with `trading-pipelines gateway`, or set broker.port"
    )
    assert _ib_threads() == []


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x05hello\0\0\0\x04x\0y\0", b"", None],
    ids=["a web server", "frames of another protocol", "hangs up", "says nothing"],
)
def test_what_is_no_gateway_is_called_so(connect: Connect, answer: bytes | None) -> None:
    with (
        _listener(answer) as port,
        pytest.raises(BrokerUnavailable, match="did not answer as an IB gateway"),
        connect(port, connect_timeout_seconds=0.5),
    ):
        pass
    assert _ib_threads() == []


def test_a_client_id_that_is_in_use_is_named(
    gateway: RunningGateway, session: IBSession, connect: Connect
) -> None:
    with pytest.raises(BrokerUnavailable, match="client id 12 is in use"), connect(gateway.port):
        pass
    assert IBClock(session).now() == OPENED  # the first one is not disturbed


def test_each_role_has_a_client_id_of_its_own(gateway: RunningGateway, connect: Connect) -> None:
    with connect(gateway.port, "cycle") as first, connect(gateway.port, "execution") as second:
        assert (first.client_id, second.client_id) == (11, 12)
        assert gateway.control.state()["clients"] == 2


def test_an_unknown_role_is_a_mistake_in_the_configuration(connect: Connect) -> None:
    with pytest.raises(ConfigError, match=r"broker\.client_ids\.robot"):
        connect(4002, "robot")


def test_an_incomplete_first_report_is_no_connection(interceptor: Interceptor, connect: Connect) -> None:
    interceptor.on_reply = lambda message: [] if message[0] == "62" else [message]  # the end of positions
    with (
        pytest.raises(BrokerUnavailable, match="is not ready: positions request timed out"),
        connect(interceptor.port, connect_timeout_seconds=0.3),
    ):
        pass


def test_closing_ends_the_thread_and_frees_the_client_id(gateway: RunningGateway, connect: Connect) -> None:
    session = connect(gateway.port)
    with session:
        assert _ib_threads() == ["ib-execution"]
    session.close()
    assert _ib_threads() == []
    with pytest.raises(BrokerUnavailable, match="is not connected"):
        IBClock(session).now()
    with session:
        assert IBClock(session).now() == OPENED


def test_an_error_inside_is_not_hidden_by_closing(gateway: RunningGateway, connect: Connect) -> None:
    with pytest.raises(KeyError), connect(gateway.port):
        raise KeyError("ours")
    assert _ib_threads() == []


def test_it_answers_from_any_thread(session: IBSession) -> None:
    with ThreadPoolExecutor(4) as pool:
        times = list(pool.map(lambda _: IBClock(session).now(), range(40)))
    assert times == [OPENED] * 40


def test_a_request_without_an_answer_ends_in_time(session: IBSession) -> None:
    with pytest.raises(BrokerUnavailable, match=r"did not answer within 0\.1 s"):
        session.call(
            lambda: session.ib.reqContractDetailsAsync(Contract(secType="BAG", symbol="SPY")),
            timeout_seconds=0.1,
        )
    assert IBClock(session).now() == OPENED


def test_a_broken_connection_is_told_and_closes_cleanly(interceptor: Interceptor, connect: Connect) -> None:
    with connect(interceptor.port) as session:
        interceptor.on_request = lambda message: interceptor.cut() or []
        with pytest.raises(BrokerUnavailable, match="broke"):
            IBClock(session).now()
        assert not session.connected
    assert _ib_threads() == []


@pytest.mark.usefixtures("garbage_is_expected")
def test_what_cannot_be_read_is_counted_and_ends_in_an_error(
    interceptor: Interceptor, connect: Connect
) -> None:
    session = connect(interceptor.port)
    with pytest.raises(BrokerError, match="1 messages of the gateway could not be read"), session:
        _receive(session, interceptor, 10, "not", "a", "contract")
    with session:
        session.check()  # a new connection starts anew


def test_lost_connectivity_of_the_gateway_is_known_until_it_is_restored(
    interceptor: Interceptor, connect: Connect
) -> None:
    with connect(interceptor.port) as session:
        for code, degraded in ((1100, True), (1102, False), (1100, True), (1101, False)):
            _receive(session, interceptor, 4, 2, -1, code, "connectivity", "")
            assert session.degraded is degraded


def test_messages_are_spread_evenly_below_the_limit(market: SyntheticMarket) -> None:
    """A gateway with limits on answers error 100 to the 51st message of a second of its clock."""
    with running_gateway(market, start=OPENED, limits=True, speed=1.0) as gateway:
        parameters = broker_parameters(gateway.port, messages_per_second=45)
        with IBSession(parameters, "cycle") as session:
            for _ in range(55):
                IBClock(session).now()
            assert [code for code, _ in session.errors_of(-1) if code < 2000] == []
            assert gateway.control.state()["messages"] > 60
