"""Recorded markets into the lake's history tables, file by file, so that memory stays bounded."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

import polars as pl

from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.domain.tables import BARS, Extent, Table
from trading_pipelines.ports import Lake

_OPTIONS = (SecurityType.OPTION, SecurityType.FUTURE_OPTION)


class Recording(Protocol):
    """The rows of one source file: one symbol, resolution and security type."""

    @property
    def source(self) -> str:
        """What the column `source` says."""
        ...

    @property
    def table(self) -> Table:
        """The table the rows belong to."""
        ...

    @property
    def frame(self) -> pl.DataFrame:
        """The rows, as the table declares them."""
        ...


@dataclass(frozen=True, slots=True)
class Imported:
    """One file that was read, and written when `written`; `number` counts from 1 to `files` in each pass."""

    source: str
    table: str
    rows: int
    number: int
    files: int | None
    """None while the first pass still counts."""

    @property
    def written(self) -> bool:
        """False in the first pass, which only reads."""
        return self.files is not None


def import_recordings(
    read: Callable[[], Iterable[Recording]], lake: Lake, progress: Callable[[Imported], None]
) -> tuple[Imported, ...]:
    """Read every recording to see that all are whole, then again to write them; returns what was written.

    Nothing is written when any file is not fit (SchemaMismatch of the reader). A repetition replaces what
    it wrote and doubles nothing. MissingData when there is nothing to import.
    """
    files = 0
    for files, recording in enumerate(read(), start=1):
        progress(_report(recording, files, None))
    if not files:
        raise MissingData("there are no recordings to import", "name the folder that holds equity, option, …")
    written = []
    for number, recording in enumerate(read(), start=1):
        if not recording.frame.is_empty():
            lake.replace(recording.table, recording.frame, **_scope(recording))
        written.append(_report(recording, number, files))
        progress(written[-1])
    return tuple(written)


def _report(recording: Recording, number: int, files: int | None) -> Imported:
    table = "/".join(recording.table.path)
    return Imported(recording.source, table, recording.frame.height, number, files)


def _scope(recording: Recording) -> dict[str, Extent]:
    """What a file's rows replace: what came from the same file before.

    Its session would be wrong: a future's day at CME spans two of UTC, so a session has two files. But
    daily bars come from the broker too, and a session may have one only: there the file's range counts.
    """
    names = ["resolution", "symbol", "security_type", *(["what"] if recording.table is BARS else [])]
    scope: dict[str, Extent] = dict(recording.frame.select(names).row(0, named=True))
    daily_bars = recording.table is BARS and scope["resolution"] == "daily"
    if not daily_bars or scope["security_type"] in _OPTIONS:
        return {**scope, "source": recording.source}
    sessions: list[date] = recording.frame["session"].to_list()
    return {**scope, "session": (min(sessions), max(sessions) + timedelta(days=1))}
