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
    digest = hashlib.sha256(ordered.height.to_bytes(8, "little"))
    for column in ordered.iter_columns():
        digest.update(f"\x00{column.name}\x00{column.dtype}\x00".encode())
        digest.update(column.is_null().to_numpy().tobytes())
        digest.update(_values(column))
    return digest.hexdigest()


def _values(column: pl.Series) -> bytes:
    """The values as bytes, with one spelling each for null, NaN and zero."""
    if column.dtype == pl.String:
        text = column.fill_null("")
        return text.str.len_bytes().to_numpy().tobytes() + "".join(text).encode()
    if column.dtype.is_float():
        # IEEE has many NaNs and two zeros; adding 0.0 turns −0.0 into 0.0.
        numbers = column.fill_null(0.0).to_numpy()
        return np.where(np.isnan(numbers), np.nan, numbers + 0.0).tobytes()
    return column.to_physical().cast(pl.Int64).fill_null(0).to_numpy().tobytes()
