"""The lake: Delta tables as `domain/tables.py` declares them, and the one way to write them.

A write replaces slices and never more: what is replaced is said by scopes, a row outside of them is
refused, so a retry changes nothing and another partition cannot be lost. No Dagster here.
"""

import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, Schema, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from trading_pipelines.domain.errors import ConfigError, DataError, SchemaMismatch
from trading_pipelines.domain.tables import UTC_TIME, Table

Value = str | int | bool | date | datetime
Extent = Value | tuple[Value, Value] | AbstractSet[Value]
"""Of one column: a value, a range (low, high) without its high end as in `range`, or a set of values."""
Scope = Mapping[str, Extent]
"""Extents by column; a row is in scope when all of them hold it."""

_NAMES: dict[pl.DataType, type] = {
    pl.String(): str,
    pl.Int64(): int,
    pl.Boolean(): bool,
    pl.Date(): date,
    UTC_TIME: datetime,
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_WRITE_TRIES = 24
_LONGEST_PAUSE_SECONDS = 0.25
_CONFIGURATION: dict[str, str | None] = {
    # Opening replays the log since the last checkpoint: ten commits keep a write at 14–25 ms all day.
    "delta.checkpointInterval": "10",
    # Time travel lasts as long as both the log and the replaced files do.
    "delta.logRetentionDuration": "interval 400 days",
    "delta.deletedFileRetentionDuration": "interval 400 days",
}


def sql_literal(value: Value, dtype: pl.DataType) -> str:
    """`value` as Delta's SQL spells it for a column of `dtype`; DataError when it is no value of it."""
    match _checked(value, dtype):
        case bool():
            return "true" if value else "false"
        case datetime() as at:
            return f"'{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z'"
        case date() as day:
            return f"'{day.isoformat()}'"
        case str() as text:
            return "'" + text.replace("'", "''") + "'"
        case number:
            return str(number)


def predicate(table: Table, scopes: Sequence[Scope]) -> str:
    """The SQL condition that holds for the rows in any of `scopes`."""
    return " OR ".join(
        "(" + " AND ".join(_condition(table, column, extent) for column, extent in scope.items()) + ")"
        for scope in scopes
    )


def within(table: Table, scopes: Sequence[Scope]) -> pl.Expr:
    """The Polars condition that holds for the rows in any of `scopes`; null where a column is."""
    return pl.any_horizontal(
        pl.all_horizontal(_expression(table, column, extent) for column, extent in scope.items())
        for scope in scopes
    )


def slices(table: Table, frame: pl.DataFrame) -> list[Scope]:
    """The slices that the rows of `frame` belong to, by partition and `slice_by` columns.

    Slices that differ in one column only share a scope, so 504 sessions of a symbol are one. DataError
    when a row does not say its slice.
    """
    columns = list(dict.fromkeys((*table.partition_by, *table.slice_by)))
    distinct = frame.select(columns).unique(maintain_order=True)
    nameless = [name for name in columns if distinct[name].null_count()]
    if nameless:
        raise DataError(f"{_label(table)}: rows without {', '.join(nameless)}", "they name the row's slice")
    widest = max(columns, key=lambda name: distinct[name].n_unique())
    others = [name for name in columns if name != widest]
    if not others:
        return [{widest: frozenset(distinct[widest])}] if distinct.height else []
    grouped = distinct.group_by(others, maintain_order=True).agg(widest)
    return [{**row, widest: frozenset(row[widest])} for row in grouped.iter_rows(named=True)]


def conform(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with the table's columns in their order; all-null columns take the declared type.

    SchemaMismatch names every column that is missing, unknown or of another type; DataError when
    two rows have the same key.
    """
    untyped = [name for name, dtype in frame.schema.items() if dtype == pl.Null and name in table.schema]
    typed = frame.with_columns(pl.col(name).cast(table.schema[name]) for name in untyped)
    _compare(table, typed.schema, "the frame")
    ordered = typed.select(table.schema.names())
    repeated = ordered.select(table.key).is_duplicated()
    if repeated.any():
        example = ordered.filter(repeated).row(0, named=True)
        raise DataError(
            f"{_label(table)}: {repeated.sum()} rows share their key, as "
            + ", ".join(f"{name}={example[name]}" for name in table.key),
            f"a row is identified by {', '.join(table.key)}",
        )
    return ordered


def refuse_outside(table: Table, rows: pl.DataFrame, scopes: Sequence[Scope]) -> None:
    """DataError when a row is in none of `scopes`."""
    outside = rows.filter(~within(table, scopes).fill_null(False)).height
    if outside:
        raise DataError(
            f"{_label(table)}: {outside} of {rows.height} rows lie outside {predicate(table, scopes)}",
            "a write may only bring rows of the slice it replaces",
        )


class Lake:
    """Delta tables under one root, a folder or an object-store URL."""

    def __init__(self, root: str, storage_options: dict[str, str] | None = None) -> None:
        self.root = str(root).rstrip("/")
        self._storage_options = storage_options or None

    def uri(self, table: Table) -> str:
        """Where the table lies; ConfigError for a name that could lead elsewhere."""
        for name in table.path:
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"{name!r} cannot name a group or table of the lake",
                    "names begin with a-z and go on with a-z, 0-9 and _, at most 63 in all",
                )
        return "/".join((self.root, *table.path))

    def create(self, table: Table) -> None:
        """Make the table with its declared schema; does nothing when it is there, whoever made it."""
        uri = self.uri(table)
        if DeltaTable.is_deltatable(uri, self._storage_options):
            return
        try:
            DeltaTable.create(
                uri,
                schema=Schema.from_arrow(pl.DataFrame(schema=table.schema).to_arrow().schema),
                mode="ignore",
                partition_by=list(table.partition_by),
                name=table.name,
                description=table.doc,
                configuration=_CONFIGURATION,
                storage_options=self._storage_options,
            )
        except DeltaError:
            # Another process was faster: its table is as good as ours.
            if not DeltaTable.is_deltatable(uri, self._storage_options):
                raise

    def version(self, table: Table) -> int | None:
        """The newest committed version, or None when the table was never written."""
        handle = self._open(table)
        return None if handle is None else int(handle.version())

    def scan(self, table: Table, *scopes: Scope) -> pl.LazyFrame:
        """The table now, or its rows in any of `scopes`, in no order; empty and typed before its first write.

        Partitions and file statistics are used, so a tick of a long table reads one file. An empty
        scope is the whole table.
        """
        handle = self._open(table)
        frame = pl.DataFrame(schema=table.schema).lazy() if handle is None else pl.scan_delta(handle)
        return frame.filter(within(table, scopes)) if scopes and all(scopes) else frame

    def read(self, table: Table, **scope: Extent) -> pl.DataFrame:
        """The rows in scope, sorted by the table's key."""
        return self.scan(table, scope).sort(table.key).collect()

    def has_rows(self, table: Table, **scope: Extent) -> bool:
        """Whether any row is in scope."""
        return not self.scan(table, scope).select(table.key[0]).limit(1).collect().is_empty()

    def replace(self, table: Table, frame: pl.DataFrame, **scope: Extent) -> int:
        """Make `frame` all that the table holds in scope; returns the committed version.

        An empty frame empties the scope. Errors as in `write`.
        """
        return self.write(table, frame, [scope])

    def write(self, table: Table, frame: pl.DataFrame, scopes: Sequence[Scope]) -> int:
        """Make `frame` all that the table holds in any of `scopes`; returns the committed version.

        SchemaMismatch for another shape, DataError for a row outside the scopes or a repeated key:
        nothing is written then. A commit conflict is tried again from the newest version; DataError
        when it does not end.
        """
        if not scopes or not all(scopes):
            raise DataError(f"{_label(table)}: a write must say what it replaces", "name at least one column")
        rows = conform(table, frame)
        refuse_outside(table, rows, scopes)
        return self._commit(table, rows.to_arrow(), predicate(table, scopes))

    def _commit(self, table: Table, data: pa.Table, replaced: str) -> int:
        for pause in _pauses():
            handle = self._open(table)
            if handle is None:
                self.create(table)
                handle = DeltaTable(self.uri(table), storage_options=self._storage_options)
            try:
                write_deltalake(handle, data, mode="overwrite", predicate=replaced)
            except CommitFailedError as conflict:
                last = conflict
                time.sleep(pause)
            else:
                return int(handle.version())
        raise DataError(
            f"{_label(table)} could not be committed in {_WRITE_TRIES} tries", "another writer keeps it busy"
        ) from last

    def _open(self, table: Table) -> DeltaTable | None:
        """The newest version, opened anew: a kept handle slows with every commit of others."""
        try:
            handle = DeltaTable(self.uri(table), storage_options=self._storage_options)
        except TableNotFoundError:
            return None
        _compare(table, pl.Schema(handle.schema()), "the stored table")
        return handle


def _pauses() -> Iterator[float]:
    """Seconds to wait after each failed try: rising, and random so that rivals part."""
    for attempt in range(_WRITE_TRIES):
        yield random.uniform(0, min(_LONGEST_PAUSE_SECONDS, 0.01 * 2**attempt))


def _label(table: Table) -> str:
    return "/".join(table.path)


def _compare(table: Table, found: pl.Schema, what: str) -> None:
    declared = table.schema
    faults = [f"{name} is missing" for name in declared if name not in found]
    faults += [f"{name} is unknown" for name in found if name not in declared]
    faults += [
        f"{name} is {found[name]}, not {dtype}"
        for name, dtype in declared.items()
        if name in found and found[name] != dtype
    ]
    if faults:
        raise SchemaMismatch(
            f"{_label(table)}: {what} differs from its declaration: {', '.join(faults)}",
            "domain/tables.py declares the columns",
        )


def _condition(table: Table, column: str, extent: Extent) -> str:
    dtype, name = _dtype(table, column), f'"{column}"'
    if isinstance(extent, tuple):
        low, high = (sql_literal(value, dtype) for value in extent)
        return f"{name} >= {low} AND {name} < {high}"
    if isinstance(extent, AbstractSet):
        return f"{name} IN ({', '.join(sorted(sql_literal(value, dtype) for value in extent))})"
    return f"{name} = {sql_literal(extent, dtype)}"


def _expression(table: Table, column: str, extent: Extent) -> pl.Expr:
    dtype, stored = _dtype(table, column), pl.col(column)
    if isinstance(extent, tuple):
        low, high = (pl.lit(_checked(value, dtype), dtype) for value in extent)
        return (stored >= low) & (stored < high)
    if isinstance(extent, AbstractSet):
        return stored.is_in(pl.Series([_checked(value, dtype) for value in extent], dtype=dtype).implode())
    return stored == pl.lit(_checked(extent, dtype), dtype)


def _dtype(table: Table, column: str) -> pl.DataType:
    if column not in table.schema:
        raise DataError(f"{_label(table)} has no column {column}", f"it has {', '.join(table.schema)}")
    return table.schema[column]


def _checked(value: Value, dtype: pl.DataType) -> Value:
    """`value` when a slice of a `dtype` column can be named by it; never converts, DataError otherwise."""
    # bool before int and datetime before date: each is a kind of the other to Python, not to a table.
    kind = next((kind for kind in (str, bool, int, datetime, date) if isinstance(value, kind)), None)
    naive = isinstance(value, datetime) and value.tzinfo is None
    if naive or kind is None or kind is not _NAMES.get(dtype):
        raise DataError(
            f"{value!r} cannot name a slice of a {dtype} column",
            "slices are named by text, whole numbers, truth values, dates and times with a zone",
        )
    return str(value) if isinstance(value, str) else value
