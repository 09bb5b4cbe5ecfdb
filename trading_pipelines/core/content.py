"""What a slice says, as one hash: the same rows give the same hash wherever and however they are stored."""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

PROVENANCE = ("run_id", "code_version")
"""Columns that say who computed a row; not part of what the row says."""


def content_hash(frame: pl.DataFrame, key: Sequence[str]) -> str:
    """SHA-256 (hex) of the rows of `frame`, whatever their order, their columns' order and their chunks.

    Rows are sorted by `key`, then by what else they hold. Names, types and values count, and null is
    not zero; the columns of PROVENANCE do not count, so a repetition by another run is the same content.
    """
    columns = [name for name in sorted(frame.columns) if name not in PROVENANCE]
    rest = [name for name in columns if name not in key]
    ordered = frame.select(columns).sort(*key, *rest, nulls_last=True)
    # All columns at once: a frame-wise expression costs the same for one column and for thirty.
    nulls, values = (
        ordered.select(pl.all().is_null()),
        ordered.select(map(_canonical, columns, ordered.dtypes)),
    )
    digest = hashlib.sha256(ordered.height.to_bytes(8, "little"))
    for name, dtype in ordered.schema.items():
        digest.update(f"\x00{name}\x00{dtype}\x00".encode())
        digest.update(nulls.get_column(name).to_numpy().tobytes())
        digest.update(_bytes(values.get_column(name)))
    return digest.hexdigest()


def _canonical(name: str, dtype: pl.DataType) -> pl.Expr:
    """The column with one spelling each for null and zero; IEEE has two zeros, and −0.0 + 0.0 is 0.0."""
    column = pl.col(name)
    if dtype == pl.String:
        return column.fill_null("")
    if dtype.is_float():
        return column.fill_null(0.0) + 0.0
    return column.to_physical().cast(pl.Int64).fill_null(0)


def _bytes(values: pl.Series) -> bytes:
    """The values as bytes; IEEE has many NaNs, they are one here."""
    if values.dtype == pl.String:
        text = [value.encode() for value in values]
        return np.array([len(value) for value in text], dtype=np.uint32).tobytes() + b"".join(text)
    numbers = values.to_numpy()
    if values.dtype.is_float():
        return np.where(np.isnan(numbers), np.nan, numbers).tobytes()
    return numbers.tobytes()
