"""Recorded rows of many contracts, asked for the last one of each that was known at a time."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from trading_pipelines.simulated_gateway.universe import Floats, Integers

_SPAN = 1 << 42
"""Microseconds; a month and a half, more than any session's recording."""


class Tape:
    """Values by contract and time. `rows` has the contract's number, `as_of`, and float columns."""

    def __init__(self, rows: pl.DataFrame, columns: Sequence[str]) -> None:
        ordered = rows.sort("contract", "as_of", maintain_order=True)
        times = ordered["as_of"].dt.epoch("us").to_numpy()
        self._base = int(times.min()) if times.size else 0
        self._contracts: Integers = ordered["contract"].cast(pl.Int64).to_numpy()
        self._keys: Integers = self._contracts * _SPAN + (times - self._base)
        self._columns: dict[str, Floats] = {
            name: np.append(ordered[name].cast(pl.Float64).fill_null(np.nan).to_numpy(), np.nan)
            for name in columns
        }

    def last(self, contracts: Integers, at: datetime) -> dict[str, Floats]:
        """Each column's value in the last row known at `at`, NaN where there is none or it was empty."""
        elapsed = min(max(round(at.timestamp() * 1e6) - self._base, -1), _SPAN - 1)
        rows = np.searchsorted(self._keys, contracts * _SPAN + elapsed, side="right") - 1
        known = rows >= 0
        known[known] = self._contracts[rows[known]] == contracts[known]
        rows = np.where(known, rows, -1)
        return {name: values[rows] for name, values in self._columns.items()}
