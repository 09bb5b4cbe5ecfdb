"""The loopback port that steps a gateway's clock and tells its state: one JSON object a line, both ways."""

import asyncio
import json
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from pydantic import TypeAdapter

from trading_pipelines.domain.errors import BrokerError, BrokerUnavailable, SchemaMismatch, TradingError
from trading_pipelines.domain.positions import StrategyPosition

_BOOK = TypeAdapter(tuple[StrategyPosition, ...])
_MAX_LINE = 1 << 24


class Steered(Protocol):
    """What can be steered from outside."""

    def now(self) -> datetime:
        """The simulated time."""
        ...

    def step(self, to: datetime) -> None:
        """Move the simulated time, with all that follows from it."""
        ...

    def book(self) -> Sequence[StrategyPosition]:
        """The strategies held at the start."""
        ...

    def state(self) -> dict[str, int]:
        """Counts of clients, messages, lines, orders and fills."""
        ...

    def stop(self) -> None:
        """Close the gateway, after the answer."""
        ...


class ControlSession(asyncio.Protocol):
    """Answers commands as they come: `{"command": "step", "to": "2024-06-12T13:35:00+00:00"}`."""

    def __init__(self, steered: Steered, connections: set[asyncio.Transport]) -> None:
        self._steered = steered
        self._connections = connections
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A controller connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The controller is gone."""
        if self._transport is not None:
            self._connections.discard(self._transport)
            self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every complete line, and hang up on what is no command: a browser may be led here."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if self._transport is None or self._transport.is_closing():
                return
            try:
                answer = {"ok": True, **_obey(self._steered, line)}
            except TradingError as error:
                answer = {"ok": False, "error": str(error)}
                if isinstance(error, SchemaMismatch):
                    self._transport.close()
                    return
            self._transport.write(json.dumps(answer).encode() + b"\n")


def _obey(steered: Steered, line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
        step = request["command"] == "step"
        to = datetime.fromisoformat(request["to"]) if step else None
        action = partial(_step, to=to) if to else _QUESTIONS[request["command"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SchemaMismatch(f"{line[:80]!r} is no command") from error
    return action(steered)


def _time(steered: Steered) -> dict[str, Any]:
    return {"time": steered.now().isoformat()}


def _step(steered: Steered, to: datetime) -> dict[str, Any]:
    steered.step(to)
    return _time(steered)


def _book(steered: Steered) -> dict[str, Any]:
    return {"book": _BOOK.dump_python(tuple(steered.book()), mode="json")}


def _state(steered: Steered) -> dict[str, Any]:
    return {"state": steered.state()}


def _stop(steered: Steered) -> dict[str, Any]:
    steered.stop()
    return {}


_QUESTIONS: dict[str, Callable[[Steered], dict[str, Any]]] = {
    "time": _time,
    "book": _book,
    "state": _state,
    "stop": _stop,
}


class GatewayControl:
    """A controller: synchronous, one connection, usable as a context manager."""

    def __init__(self, host: str, port: int, timeout_seconds: float = 30.0) -> None:
        self._name = f"{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_seconds)
        except OSError as error:
            raise BrokerUnavailable(
                f"no gateway control at {self._name}: {error}", "start the simulated gateway"
            ) from error
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> "GatewayControl":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def time(self) -> datetime:
        """The gateway's clock, UTC."""
        return datetime.fromisoformat(self._ask(command="time")["time"])

    def step(self, to: datetime) -> datetime:
        """Move the gateway's clock to a time and return it; BrokerError when it cannot go there."""
        return datetime.fromisoformat(self._ask(command="step", to=to.isoformat())["time"])

    def book(self) -> tuple[StrategyPosition, ...]:
        """The strategies the gateway's account starts with."""
        return _BOOK.validate_python(self._ask(command="book")["book"], strict=False)

    def state(self) -> dict[str, int]:
        """Counts of clients, messages, lines, orders, working orders and fills."""
        state: dict[str, int] = self._ask(command="state")["state"]
        return state

    def stop(self) -> None:
        """Stop the gateway."""
        self._ask(command="stop")

    def close(self) -> None:
        """Hang up; the gateway goes on."""
        self._lines.close()
        self._socket.close()

    def _ask(self, **request: str) -> dict[str, Any]:
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            line = self._lines.readline(_MAX_LINE)
        except OSError as error:
            raise BrokerUnavailable(f"gateway control at {self._name} broke off: {error}") from error
        if not line.endswith(b"\n"):
            raise BrokerUnavailable(f"gateway control at {self._name} hung up", "see the gateway's log")
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise BrokerError(f"the gateway refused {request['command']}: {answer['error']}")
        return answer
