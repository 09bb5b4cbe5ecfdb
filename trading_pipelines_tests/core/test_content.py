"""The content hash: what changes it, and what must not."""

import hashlib
import struct
from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.content import content_hash

KEY = ("as_of", "name")
FRAME = pl.DataFrame(
    {
        "as_of": [datetime(2024, 6, 12, 13, 30, tzinfo=UTC)] * 3,
        "session": [date(2024, 6, 12)] * 3,
        "name": ["a", "b", "c"],
        "value": [1.5, None, 0.0],
        "count": [1, None, 3],
        "ok": [True, None, False],
        "run_id": ["r1", "r1", "r1"],
    }
)


def test_the_hash_is_the_documented_one() -> None:
    # Written out by hand: decisions store this hash, and another process or version must find the same.
    as_of = int(datetime(2024, 6, 12, 13, 30, tzinfo=UTC).timestamp()) * 1_000_000
    no_nulls, second_is_null = b"\0\0\0", b"\0\1\0"
    expected = hashlib.sha256(
        struct.pack("<q", 3)
        + b"\0as_of\0Datetime(time_unit='us', time_zone='UTC')\0"
        + no_nulls
        + struct.pack("<3q", as_of, as_of, as_of)
        + (b"\0count\0Int64\0" + second_is_null + struct.pack("<3q", 1, 0, 3))
        + (b"\0name\0String\0" + no_nulls + struct.pack("<3I", 1, 1, 1) + b"abc")
        + (b"\0ok\0Boolean\0" + second_is_null + struct.pack("<3q", 1, 0, 0))
        + (b"\0session\0Date\0" + no_nulls + struct.pack("<3q", 19886, 19886, 19886))
        + (b"\0value\0Float64\0" + second_is_null + struct.pack("<3d", 1.5, 0.0, 0.0))
    )
    assert content_hash(FRAME, KEY) == expected.hexdigest()


@given(st.permutations(range(3)), st.permutations(FRAME.columns))
def test_order_of_rows_and_columns_does_not_matter(rows: list[int], columns: list[str]) -> None:
    assert content_hash(FRAME[rows].select(columns), KEY) == content_hash(FRAME, KEY)


def test_chunks_do_not_matter() -> None:
    chunked = pl.concat([FRAME[:1], FRAME[1:2], FRAME[2:]], rechunk=False)
    assert chunked.n_chunks() == 3
    assert content_hash(chunked, KEY) == content_hash(FRAME, KEY)


def test_who_computed_a_row_is_not_content() -> None:
    assert content_hash(FRAME.with_columns(run_id=pl.lit("r2")), KEY) == content_hash(FRAME, KEY)


def test_rows_with_equal_keys_still_hash_the_same_in_any_order() -> None:
    twins = FRAME.with_columns(name=pl.lit("a"))
    assert content_hash(twins.reverse(), KEY) == content_hash(twins, KEY)


@pytest.mark.parametrize(
    "changed",
    [
        FRAME.with_columns(pl.col("value").fill_null(0.0)),
        FRAME.with_columns(pl.col("count").fill_null(0)),
        FRAME.with_columns(pl.col("ok").fill_null(value=False)),
        FRAME.with_columns(value=pl.col("value") + 1e-12),
        FRAME.with_columns(name=pl.Series(["ab", "", "c"])),
        FRAME.with_columns(name=pl.Series(["a", "b", None])),
        FRAME.with_columns(value=pl.Series([1.5, float("nan"), 0.0])),
        FRAME.with_columns(pl.col("count").cast(pl.Float64)),
        FRAME.rename({"count": "counts"}),
        FRAME[:2],
        FRAME.clear(),
    ],
)
def test_any_other_name_type_or_value_is_other_content(changed: pl.DataFrame) -> None:
    assert content_hash(changed, KEY) != content_hash(FRAME, KEY)


def test_one_spelling_for_zero_and_for_not_a_number() -> None:
    def value(number: float) -> str:
        return content_hash(pl.DataFrame({"value": [number]}), ("value",))

    assert value(-0.0) == value(0.0)
    assert value(float("nan")) == value(-float("nan"))
