"""A proxy between client and gateway, for faults: it drops, changes or adds messages, or cuts the line."""

import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import BinaryIO, Self

Message = list[str]
Hook = Callable[[Message], Iterable[Message]]


class Interceptor:
    """Listens on `port` and forwards to a gateway; the hooks see every message and return what goes on.

    `on_request` sees what the client sends, `on_reply` what the gateway answers; both may call `cut`.
    """

    def __init__(self, gateway_port: int) -> None:
        self._gateway_port = gateway_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.on_request: Hook = lambda message: [message]
        self.on_reply: Hook = lambda message: [message]
        self.requests: list[Message] = []
        self._sockets: list[socket.socket] = []
        self._threads = [Thread(target=self._accept)]
        self._client: socket.socket | None = None

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)
        for each in self._sockets:
            each.close()

    def cut(self) -> None:
        """Break every connection, both ways."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def tell(self, *fields: object) -> None:
        """Say something to the client of one's own accord."""
        assert self._client is not None
        self._client.sendall(_frame([str(field) for field in fields]))

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                gateway = socket.create_connection(("127.0.0.1", self._gateway_port))
                self._sockets += [client, gateway]
                self._client = client
                self._start(client, gateway, self._request, greeting=True)
                self._start(gateway, client, self._reply, greeting=False)

    def _start(self, source: socket.socket, target: socket.socket, hook: Hook, *, greeting: bool) -> None:
        thread = Thread(target=_pump, args=(source, target, hook, greeting))
        self._threads.append(thread)
        thread.start()

    def _request(self, message: Message) -> Iterable[Message]:
        self.requests.append(message)
        return self.on_request(message)

    def _reply(self, message: Message) -> Iterable[Message]:
        return self.on_reply(message)


def _pump(source: socket.socket, target: socket.socket, hook: Hook, greeting: bool) -> None:
    """Forward messages until one side closes, then close the other."""
    with suppress(OSError), source.makefile("rb") as stream:
        if greeting:
            target.sendall(stream.read(4))
            target.sendall(_raw_frame(stream))
        while frame := _raw_frame(stream):
            for message in hook(frame[4:].decode().split("\0")[:-1]):
                target.sendall(_frame(message))
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _raw_frame(stream: BinaryIO) -> bytes:
    """Length and payload, or nothing at the end."""
    header = stream.read(4)
    return header + stream.read(struct.unpack(">I", header)[0]) if len(header) == 4 else b""


def _frame(message: Message) -> bytes:
    payload = "".join(f"{field}\0" for field in message).encode()
    return struct.pack(">I", len(payload)) + payload
