"""Framing and fields of the TWS text protocol: bytes in, fields out, and back. No message is known here."""

import math
import re
import struct
from collections.abc import Iterator

from trading_pipelines.domain.errors import SchemaMismatch

SERVER_VERSION = 178
"""The highest version announced: the last one that every client still speaks as plain text."""

UNSET_DOUBLE = 1.7976931348623157e308
"""IB's word for a number that is not set."""

UNSET_INTEGER = 2**31 - 1

_GREETING = b"API\0"
_MAX_FRAME = 1 << 24
_LENGTH = struct.Struct(">I")
_HELLO = re.compile(r"v(\d+)(?:\.\.(\d+))?")

Field = str | int | float | bool | None


class FrameReader:
    """Cuts a byte stream into frames, however the network cut it before."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._greeted = False

    def feed(self, data: bytes) -> Iterator[str]:
        """The complete frames in what has arrived so far; SchemaMismatch for what is no API client."""
        self._buffer += data
        if not self._greeted:
            if len(self._buffer) < len(_GREETING):
                return
            if not self._buffer.startswith(_GREETING):
                raise SchemaMismatch(f"{bytes(self._buffer[:4])!r} is no API greeting")
            del self._buffer[: len(_GREETING)]
            self._greeted = True
        start = 0
        try:
            while len(self._buffer) - start >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._buffer, start)
                if length > _MAX_FRAME:
                    raise SchemaMismatch(f"a frame of {length} bytes is no message")
                end = start + _LENGTH.size + length
                if len(self._buffer) < end:
                    break
                payload = self._buffer[start + _LENGTH.size : end].decode(errors="backslashreplace")
                start = end
                yield payload
        finally:
            del self._buffer[:start]


def negotiate(hello: str) -> int:
    """The version to announce to a client that said `v{min}..{max}`: never above what it knows."""
    match = _HELLO.match(hello)
    if match is None:
        raise SchemaMismatch(f"{hello!r} names no range of versions")
    return min(SERVER_VERSION, int(match[2] or match[1]))


def frame(*fields: Field) -> bytes:
    """One message: length prefix, then every field closed by NUL."""
    return framed("\0".join(map(_text, fields)))


def framed(payload: str) -> bytes:
    """One message from fields that are joined already; the hot path of ticks."""
    body = payload.encode() + b"\0"
    return _LENGTH.pack(len(body)) + body


def whole(number: float) -> str:
    """A size or volume: without a fraction where it has none, since older clients read a whole number."""
    return str(int(number)) if number == int(number) else str(number)


def _text(field: Field) -> str:
    if field is None:
        return ""
    if field is True:
        return "1"
    if field is False:
        return "0"
    return str(field)


class Fields:
    """A cursor over the fields of one message, which reads them as the types they stand for."""

    def __init__(self, payload: str) -> None:
        self._fields = payload.split("\0")
        if self._fields and self._fields[-1] == "":
            self._fields.pop()
        self._next = 0

    def text(self) -> str:
        """The next field as it is; SchemaMismatch past the end."""
        if self._next >= len(self._fields):
            raise SchemaMismatch(f"message {self._fields[:2]} ends after {len(self._fields)} fields")
        self._next += 1
        return self._fields[self._next - 1]

    def integer(self) -> int:
        """The next field as a whole number; empty and unset are 0."""
        number = self.optional_number()
        if number is None:
            return 0
        if not math.isfinite(number):
            raise SchemaMismatch(f"field {self._next - 1} is {number}, not a whole number")
        return int(number)

    def number(self) -> float:
        """The next field as a number; empty and unset are 0."""
        return self.optional_number() or 0.0

    def optional_number(self) -> float | None:
        """The next field as a number, `nan` and `Infinite` included; None where it is empty or unset."""
        text = self.text()
        if text in {"", "None"}:
            return None
        if text == "Infinite":
            return math.inf
        try:
            number = float(text)
        except ValueError as error:
            raise SchemaMismatch(f"field {self._next - 1} is {text!r}, not a number") from error
        return None if number in {UNSET_DOUBLE, UNSET_INTEGER} else number

    def flag(self) -> bool:
        """The next field as a boolean."""
        return self.text() in {"1", "true", "True"}

    def skip(self, count: int) -> None:
        """Leave out fields that mean nothing here."""
        for _ in range(count):
            self.text()

    @property
    def left(self) -> int:
        """Fields that were not read yet."""
        return len(self._fields) - self._next
