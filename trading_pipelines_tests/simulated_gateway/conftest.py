"""A gateway over TCP with the real, unmodified ib_async in front of it."""

import asyncio
import logging
from collections.abc import Callable, Iterator

import ib_async
import pytest

from trading_pipelines.simulated_gateway.account import OpeningPosition
from trading_pipelines.simulated_gateway.server import RunningGateway, running_gateway
from trading_pipelines_tests.simulated_gateway.clients import RawClient
from trading_pipelines_tests.simulated_gateway.static_market import NOON, PUT_540, SPY, StaticMarket

POSITIONS = (OpeningPosition(PUT_540, -2, 5.0), OpeningPosition(SPY, 100, 500.0))

Connect = Callable[..., ib_async.IB]
ConnectRaw = Callable[..., RawClient]


class _Complaints(logging.Handler):
    """What nobody raises: messages ib_async could not decode, and failures inside the gateway's loop."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.name == "asyncio" or line.startswith(("Error handling fields", "Error for ")):
            self.lines.append(f"{record.name}: {line}")


@pytest.fixture(autouse=True)
def _nothing_is_swallowed() -> Iterator[None]:
    """Fails a test whose client could not decode what the gateway said, or whose gateway stumbled."""
    complaints = _Complaints()
    loggers = [logging.getLogger("ib_async"), logging.getLogger("asyncio")]
    for logger in loggers:
        logger.addHandler(complaints)
    yield
    for logger in loggers:
        logger.removeHandler(complaints)
    assert complaints.lines == []


@pytest.fixture
def market() -> StaticMarket:
    return StaticMarket()


@pytest.fixture
def gateway(market: StaticMarket) -> Iterator[RunningGateway]:
    """At noon, with a short put and a hundred shares, its clock standing still."""
    with running_gateway(market, start=NOON, positions=POSITIONS, seed=7) as running:
        yield running


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of the test's own for ib_async's synchronous calls."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def connect(loop: asyncio.AbstractEventLoop) -> Iterator[Connect]:
    """Connects ib_async to a gateway; every client is disconnected after the test."""
    clients: list[ib_async.IB] = []

    def connect_client(gateway: RunningGateway, client_id: int = 1) -> ib_async.IB:
        client = ib_async.IB()
        clients.append(client)
        client.RequestTimeout = 30
        client.RaiseRequestErrors = True
        client.connect(gateway.host, gateway.port, clientId=client_id, timeout=30, raiseSyncErrors=True)
        client.client.MaxRequests = 0
        return client

    yield connect_client
    for client in clients:
        client.disconnect()
    loop.run_until_complete(asyncio.sleep(0.01))  # lets the transports close


@pytest.fixture
def client(gateway: RunningGateway, connect: Connect) -> ib_async.IB:
    return connect(gateway)


@pytest.fixture
def connect_raw() -> Iterator[ConnectRaw]:
    """Connects a raw client, by default at version 178."""
    clients: list[RawClient] = []

    def connect_client(gateway: RunningGateway, **options: int) -> RawClient:
        clients.append(RawClient(gateway.port, **options))
        return clients[-1]

    yield connect_client
    for client in clients:
        client.close()
