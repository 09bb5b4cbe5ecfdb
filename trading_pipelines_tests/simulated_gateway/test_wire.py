import math
import struct

import pytest

from trading_pipelines.domain.errors import SchemaMismatch
from trading_pipelines.simulated_gateway.wire import Fields, FrameReader, frame, negotiate, whole


def test_a_frame_is_its_length_and_fields_closed_by_nul() -> None:
    assert (
        frame(4, "SPY", True, False, None, -1.5)
        == b"\x00\x00\x00\x10" + b"4\x00SPY\x001\x000\x00\x00-1.5\x00"
    )


def test_a_size_has_no_fraction_unless_it_is_one() -> None:
    assert [whole(10.0), whole(12_345_678.0), whole(0.5)] == ["10", "12345678", "0.5"]


@pytest.mark.parametrize(
    ("hello", "version"),
    [("v157..178", 178), ("v100..157", 157), ("v100..213 +PACEAPI", 178), ("v176", 176)],
)
def test_the_version_is_the_highest_both_speak(hello: str, version: int) -> None:
    assert negotiate(hello) == version


def test_a_hello_without_versions_is_refused() -> None:
    with pytest.raises(SchemaMismatch):
        negotiate("hello")


def test_frames_come_out_whole_whatever_the_pieces() -> None:
    stream = b"API\0" + b"".join(struct.pack(">I", len(body)) + body for body in (b"v157..178", b"71\x002\0"))
    for size in (1, 2, 3, 7, len(stream)):
        reader = FrameReader()
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert [payload for piece in pieces for payload in reader.feed(piece)] == ["v157..178", "71\x002\0"]


def test_a_stranger_is_recognised_by_its_first_bytes() -> None:
    with pytest.raises(SchemaMismatch):
        list(FrameReader().feed(b"GET / HTTP/1.1\r\n"))


def test_fields_are_read_as_what_they_stand_for() -> None:
    fields = Fields("7\0SPY\x001\x000\x002.5\0\0")
    assert (fields.integer(), fields.text(), fields.flag(), fields.flag()) == (7, "SPY", True, False)
    assert (fields.number(), fields.optional_number()) == (2.5, None)
    with pytest.raises(SchemaMismatch):
        fields.text()


@pytest.mark.parametrize("unset", ["", "1.7976931348623157E308", "1.7976931348623157e+308", "2147483647"])
def test_unset_is_none_however_it_is_written(unset: str) -> None:
    assert Fields(f"{unset}\0").optional_number() is None


def test_infinity_and_nan_are_read_but_are_no_whole_numbers() -> None:
    fields = Fields("Infinite\0nan\0")
    first, second = fields.optional_number(), fields.optional_number()
    assert first == math.inf
    assert second is not None
    assert math.isnan(second)
    with pytest.raises(SchemaMismatch):
        Fields("nan\0").integer()


def test_what_is_no_number_is_named() -> None:
    with pytest.raises(SchemaMismatch, match="'many'"):
        Fields("many\0").integer()
