"""The simulated gateway as a program: alone on the command line, or as the child of demo and up."""

import asyncio
import errno
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as time_of_day
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from trading_pipelines.apps import children
from trading_pipelines.core.market import calendar
from trading_pipelines.domain.errors import BrokerUnavailable, ConfigError
from trading_pipelines.simulated_gateway.control import GatewayControl

if TYPE_CHECKING:
    from trading_pipelines.simulated_gateway.server import Gateway

NEW_YORK = ZoneInfo("America/New_York")
HOST = "127.0.0.1"
ACCOUNT = "DU1234567"
REPLAY_CASH = 250_000.0
START_SECONDS = 60.0


@dataclass(frozen=True)
class Options:
    """What a gateway is started with; `start` is New York time of the session's day."""

    port: int
    control_port: int
    seed: int
    replay: Path | None
    underlyings: tuple[str, ...]
    session: date
    start: str
    speed: float
    limits: bool
    log: Path | None

    def arguments(self) -> list[str]:
        """The command line that starts exactly this."""
        arguments = [
            *("--port", str(self.port), "--control-port", str(self.control_port), "--seed", str(self.seed)),
            *("--date", self.session.isoformat(), "--start", self.start, "--speed", str(self.speed)),
            "--limits" if self.limits else "--no-limits",
        ]
        if self.replay is not None:
            arguments += ["--replay", str(self.replay)]
        if self.underlyings:
            arguments += ["--underlying", ",".join(self.underlyings)]
        if self.log is not None:
            arguments += ["--log", str(self.log)]
        return arguments


def run(options: Options) -> None:
    """Serve until stopped; BrokerUnavailable when a port is taken, MissingData when nothing is recorded."""
    for port in (options.port, options.control_port):
        refuse_taken(port)  # the market takes seconds to make, and its truth log would be opened
    calendar.session_bounds(options.session)  # a holiday is refused before anything is made
    start = datetime.combine(options.session, _clock_time(options.start), NEW_YORK)
    gateway = _gateway(options, start)

    async def serve() -> None:
        await gateway.start(HOST, options.port, options.control_port)
        for stop in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(stop, gateway.stop)
        print(f"simulated gateway  tcp://{HOST}:{gateway.port}")
        print(f"clock control      tcp://{HOST}:{gateway.control_port}")
        print(f"clock              {start:%Y-%m-%d %H:%M} New York, speed {options.speed:g}", flush=True)
        await gateway.serve()

    asyncio.run(serve())


def _gateway(options: Options, start: datetime) -> "Gateway":
    """The gateway asked for; its market loads in a second that demo and up need not spend."""
    from trading_pipelines.simulated_gateway.market import SyntheticMarket
    from trading_pipelines.simulated_gateway.opening_book import account_start, opening_book
    from trading_pipelines.simulated_gateway.replay import recorded_market
    from trading_pipelines.simulated_gateway.server import Gateway

    make = partial(
        Gateway,
        start=start,
        account=ACCOUNT,
        seed=options.seed,
        speed=options.speed,
        limits=options.limits,
        truth=options.log,
    )
    if options.replay is not None:
        recorded = recorded_market(options.replay, options.session, options.underlyings or None)
        return make(recorded, cash=REPLAY_CASH)
    market = SyntheticMarket(options.seed, options.session)
    book = opening_book(market, options.session, ACCOUNT, options.seed)
    cash, positions = account_start(market, options.session, book)
    return make(market, cash=cash, positions=positions, book=book)


def _clock_time(text: str) -> time_of_day:
    try:
        return time_of_day.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time of day", "write HH:MM, New York time") from None


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for bound in sockets:
            bound.bind((HOST, 0))
        return [bound.getsockname()[1] for bound in sockets]
    finally:
        for bound in sockets:
            bound.close()


def refuse_taken(port: int) -> None:
    """ConfigError when nobody can listen on a loopback port, mostly because somebody does."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
            raise ConfigError(
                f"port {port} on {HOST} {why}", "stop what listens there, or name another port"
            ) from None


@contextmanager
def child(options: Options, log: Path) -> Iterator[GatewayControl]:
    """A gateway in a process of its own, stopped on the way out; BrokerUnavailable if it does not come up."""
    with children.child(command(options), log) as process, connected(process, options, log) as control:
        yield control


def command(options: Options) -> list[str]:
    """What starts this gateway in another process."""
    return [sys.executable, "-m", "trading_pipelines.apps.cli", "gateway", *options.arguments()]


def connected(process: children.Process, options: Options, log: Path) -> GatewayControl:
    """A controller of the gateway that `process` starts; BrokerUnavailable with its last words if it dies."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = children.last_words(log).removeprefix("error: ")
            raise BrokerUnavailable(f"the simulated gateway did not start: {said}", f"see {log}")
        try:
            control = GatewayControl(HOST, options.control_port)
            control.time()
        except BrokerUnavailable:
            time.sleep(0.1)
        else:
            return control
    raise BrokerUnavailable(f"the simulated gateway did not answer within {START_SECONDS:g} s", f"see {log}")
