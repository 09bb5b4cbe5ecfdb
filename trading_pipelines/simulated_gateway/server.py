"""The gateway: a market, a clock, an account and a truth log behind two loopback ports."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from trading_pipelines.core.market.calendar import tick_at
from trading_pipelines.domain.errors import BrokerUnavailable
from trading_pipelines.domain.positions import StrategyPosition
from trading_pipelines.simulated_gateway.account import Account, OpeningPosition
from trading_pipelines.simulated_gateway.clock import GatewayClock
from trading_pipelines.simulated_gateway.control import ControlSession, GatewayControl
from trading_pipelines.simulated_gateway.session import ClientSession
from trading_pipelines.simulated_gateway.source import MarketSource
from trading_pipelines.simulated_gateway.truth import TruthLog
from trading_pipelines.simulated_gateway.venue import Venue

HOST = "127.0.0.1"
_FAREWELLS = 50
_BEAT_SECONDS = 1.0
"""How often, in wall time, a running clock moves the market."""


class Gateway:
    """Serves one market source to API clients, and its clock to a controller.

    `speed` 0 (the default) leaves the clock to `step`; `limits` switches the 50 messages a second and
    the 100 market-data lines on. Ports 0 take any free port; `port` and `control_port` then say which.
    """

    def __init__(
        self,
        source: MarketSource,
        *,
        start: datetime,
        account: str = "DU1234567",
        cash: float = 1_000_000.0,
        positions: Sequence[OpeningPosition] = (),
        book: Sequence[StrategyPosition] = (),
        seed: int = 0,
        speed: float = 0.0,
        limits: bool = False,
        truth: Path | None = None,
    ) -> None:
        tick_at(start)  # loads the exchange calendars, a second and a half no client should wait for
        clock = GatewayClock(start, speed)
        self.venue = Venue(
            source,
            clock,
            Account(account, cash, positions, source, clock),
            TruthLog(truth),
            seed=seed,
            limits=limits,
            book=book,
        )
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Transport] = set()
        self._beat: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()

    @property
    def port(self) -> int:
        """Where API clients connect."""
        return _port(self._servers[0])

    @property
    def control_port(self) -> int:
        """Where the controller connects."""
        return _port(self._servers[1])

    async def start(self, host: str = HOST, port: int = 0, control_port: int = 0) -> None:
        """Listen on both ports; BrokerUnavailable when one is taken."""
        loop = asyncio.get_running_loop()
        listeners: tuple[tuple[int, Callable[[], asyncio.Protocol]], ...] = (
            (port, lambda: ClientSession(self.venue, self._connections)),
            (control_port, lambda: ControlSession(self, self._connections)),
        )
        try:
            for number, factory in listeners:
                self._servers.append(await loop.create_server(factory, host, number))
        except OSError as error:
            await self.close()
            raise BrokerUnavailable(
                f"port {number} of {host} cannot be listened on: {error.strerror}",
                "stop what listens there, or name another port",
            ) from error
        if self.venue.clock.speed:
            self._beat = asyncio.create_task(self._run_clock())

    async def serve(self) -> None:
        """Run until `stop`, then close; a clock that stumbles ends it too, with its error."""
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            watched = {stopped} if self._beat is None else {stopped, self._beat}
            done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            stopped.cancel()
            await self.close()

    async def close(self) -> None:
        """Hang up on every client and stop listening."""
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        for server in self._servers:
            server.close()
        for _ in range(_FAREWELLS):
            await asyncio.sleep(0.01)  # what was just accepted is a connection only after a turn or two
            for transport in list(self._connections):
                transport.close()
            if not self._connections:
                break
        for transport in list(self._connections):
            transport.abort()  # it does not read what it asked for
        await asyncio.sleep(0)
        self.venue.truth.close()

    def now(self) -> datetime:
        """The simulated time."""
        return self.venue.clock.now()

    def step(self, to: datetime) -> None:
        """Move the simulated time; DataError for a time that is past."""
        self.venue.step(to)

    def book(self) -> Sequence[StrategyPosition]:
        """The strategies held at the start."""
        return self.venue.book

    def state(self) -> dict[str, int]:
        """Counts of clients, messages, lines, orders and fills."""
        return self.venue.state()

    def stop(self) -> None:
        """End `serve`."""
        self._stopped.set()

    async def _run_clock(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            self.venue.refresh()


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway in a thread of its own, with a controller connected to it."""

    gateway: Gateway
    host: str
    port: int
    control_port: int
    control: GatewayControl


@contextmanager
def running_gateway(source: MarketSource, **options: Any) -> Iterator[RunningGateway]:
    """Run a gateway in the background on free ports; `options` are those of `Gateway`.

    Its state may be read from outside while nothing is asked of it; change it by `control` only.
    """
    loop = asyncio.new_event_loop()
    gateway = Gateway(source, **options)
    try:
        loop.run_until_complete(gateway.start())
    except BrokerUnavailable:
        loop.close()
        raise
    thread = threading.Thread(target=_run, args=(loop, gateway), name="simulated-gateway", daemon=True)
    port, control_port = gateway.port, gateway.control_port
    thread.start()
    try:
        with GatewayControl(HOST, control_port) as control:
            yield RunningGateway(gateway, HOST, port, control_port, control)
    finally:
        with suppress(RuntimeError):  # its loop is closed: it was stopped before
            loop.call_soon_threadsafe(gateway.stop)
        thread.join(timeout=10)


def _run(loop: asyncio.AbstractEventLoop, gateway: Gateway) -> None:
    try:
        loop.run_until_complete(gateway.serve())
    finally:
        loop.close()
