"""What tests say to a gateway: contracts for ib_async, and a client that speaks in bare fields."""

import socket
import struct
from collections.abc import Callable

import ib_async
import pytest

from trading_pipelines_tests.simulated_gateway.static_market import SPY


class RawClient:
    """Sees what a library hides: versions, errors, broken frames. Reads one message at a time."""

    def __init__(self, port: int, *, highest: int = 178) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._received = b""
        hello = f"v157..{highest}".encode()
        self._socket.sendall(b"API\0" + struct.pack(">I", len(hello)) + hello)
        self.version, self.time = self.read()

    def start(self, client_id: int) -> "RawClient":
        """startApi; returns itself when the gateway said the next order id."""
        self.send(71, 2, client_id, "")
        self.until(lambda fields: fields[0] == "9")
        return self

    def send(self, *fields: object) -> None:
        self.write(self.framed(*fields))

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    @staticmethod
    def framed(*fields: object) -> bytes:
        body = "".join(f"{field}\0" for field in fields).encode()
        return struct.pack(">I", len(body)) + body

    def read(self) -> list[str]:
        """The next message; EOFError when the gateway hung up."""
        size = struct.unpack(">I", self._exactly(4))[0]
        return self._exactly(size).decode().split("\0")[:-1]

    def until(self, wanted: Callable[[list[str]], bool]) -> list[list[str]]:
        """Every message up to the first that is wanted, which is the last of the answer."""
        messages = [self.read()]
        while not wanted(messages[-1]):
            messages.append(self.read())
        return messages

    def close(self) -> None:
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            data = self._socket.recv(1 << 16)
            if not data:
                raise EOFError("the gateway hung up")
            self._received += data
        taken, self._received = self._received[:size], self._received[size:]
        return taken


def until(client: ib_async.IB, condition: Callable[[], object]) -> None:
    """Let the client work until something has come to hold; fails after half a minute."""
    for _ in range(6000):
        if condition():
            return
        client.sleep(0.005)
    pytest.fail("it did not come to hold")


def underlying_contract() -> ib_async.Contract:
    return ib_async.Stock("SPY", "SMART", "USD", conId=SPY)


def option_contract(con_id: int) -> ib_async.Contract:
    return ib_async.Contract(conId=con_id, secType="OPT", symbol="SPY", exchange="SMART", currency="USD")


def combo(*legs: tuple[int, str]) -> ib_async.Contract:
    """A SPY combination of single legs: (con_id, BUY or SELL)."""
    return ib_async.Contract(
        symbol="SPY",
        secType="BAG",
        exchange="SMART",
        currency="USD",
        comboLegs=[
            ib_async.ComboLeg(conId=con_id, ratio=1, action=action, exchange="SMART")
            for con_id, action in legs
        ],
    )
