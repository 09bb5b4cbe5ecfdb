"""Dagster's way into the lake: dagster-deltalake-polars, with every silent loss of data closed.

The stock handler swallows a predicate it cannot build and then overwrites the table, reads only the
first day of a range, and accepts rows of another partition. This one takes keys, layout and slices from
`domain/tables.py`, never from metadata, and reads and writes through `adapters/delta.py` alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, cast

import polars as pl
from dagster import (
    DagsterInvariantViolationError,
    InputContext,
    MultiPartitionKey,
    OutputContext,
)
from dagster._core.storage.db_io_manager import (
    DbIOManager,
    DbTypeHandler,
    TablePartitionDimension,
    TableSlice,
)
from dagster_deltalake import LocalConfig
from dagster_deltalake.config import AzureConfig, GcsConfig, S3Config
from dagster_deltalake.io_manager import DeltaLakeDbClient, TableConnection, WriteMode
from dagster_deltalake_polars import DeltaLakePolarsIOManager, DeltaLakePolarsTypeHandler
from pydantic import Field

from trading_pipelines.adapters.delta import Extent, Lake, Scope, Value, conform, refuse_outside, slices
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.core.content import content_hash
from trading_pipelines.domain import tables
from trading_pipelines.domain.errors import ConfigError, DataError, MissingData, SealedSlice
from trading_pipelines.domain.tables import Table

AS_OF_TAG = "trading_pipelines/as_of"
"""The run tag that names the run's tick, ISO in UTC."""

Frames = pl.DataFrame | pl.LazyFrame
Catalogue = Callable[[str, str], Table]


class GuardedTypeHandler(DeltaLakePolarsTypeHandler):
    """Reads and writes Polars frames by slice; what it cannot do exactly it refuses.

    A run with AS_OF_TAG replaces its tick as a whole in tables that are sliced by `as_of`; any other
    write replaces the slices its rows belong to.
    """

    def __init__(self, catalogue: Catalogue = tables.table, journal_path: str | None = None) -> None:
        self._catalogue = catalogue
        self._journal_path = journal_path
        self._held: dict[tuple[Table, frozenset[tuple[str, Extent]]], pl.DataFrame] = {}
        """What a scope holds since this run wrote it: the next step need not read it back."""

    def handle_output(
        self, context: OutputContext, table_slice: TableSlice, obj: Frames, connection: TableConnection
    ) -> None:
        """Replace the slices of `obj`; SealedSlice when an order was decided on other content.

        An empty frame replaces the run's tick where there are rows of it, and else writes nothing.
        """
        table = self._catalogue(table_slice.schema, table_slice.table)
        lake = _lake(table, connection)
        rows = conform(table, obj.collect() if isinstance(obj, pl.LazyFrame) else obj)
        partition, tick = _partition(table, table_slice), _tick(context)
        if tick is not None and "as_of" in table.slice_by:
            scopes: list[Scope] = [{**partition, "as_of": tick}]
            nothing_to_do = rows.is_empty() and not lake.has_rows(table, **scopes[0])
        else:
            scopes = slices(table, rows)
            nothing_to_do = rows.is_empty()
            if partition:
                refuse_outside(table, rows, [partition])
        sealed = not nothing_to_do and self._is_sealed(table, lake, rows, scopes)
        version = lake.version(table) if nothing_to_do or sealed else lake.write(table, rows, scopes)
        if len(scopes) == 1 and not sealed:
            self._held[table, frozenset(scopes[0].items())] = rows.sort(table.key)
        context.add_output_metadata(
            {
                "dagster/row_count": rows.height,
                "delta_version": version,
                "content_hash": content_hash(rows, table.key),
                "table_uri": connection.table_uri,
            }
            | ({} if tick is None else {"as_of": tick.isoformat()})
        )

    def load_input(
        self, context: InputContext, table_slice: TableSlice, connection: TableConnection
    ) -> Frames:
        """The partitions the consumer asks for, or of them the run's tick: `metadata={"slice": "tick"}`.

        A DataFrame is sorted by the table's key; empty and typed when there is nothing yet.
        """
        table = self._catalogue(table_slice.schema, table_slice.table)
        scope: dict[str, Extent] = dict(_partition(table, table_slice))
        wanted = (context.definition_metadata or {}).get("slice", "partition")
        if wanted == "tick":
            scope["as_of"] = _required_tick(context, table)
        elif wanted != "partition":
            raise ConfigError(f"an input cannot be the {wanted!r} of a table", "say tick or partition")
        lazy = context.dagster_type.typing_type is pl.LazyFrame
        held = self._held.get((table, frozenset(scope.items())))
        frame = _lake(table, connection).scan(table, scope) if held is None else held.lazy()
        if not lazy and held is None:
            frame = frame.sort(table.key)
        if table_slice.columns is not None:
            frame = frame.select(table_slice.columns)
        return frame if lazy else frame.collect()

    def _is_sealed(self, table: Table, lake: Lake, rows: pl.DataFrame, scopes: Sequence[Scope]) -> bool:
        """Whether every tick of the write is sealed and stored just so; SealedSlice when one would change."""
        if not table.sealed or self._journal_path is None:
            return False
        pair = [table.partition_by[0], "as_of"]
        ticks = rows.select(pair).unique()
        if rows.is_empty() or "as_of" not in table.slice_by:
            # What is replaced may belong to ticks that the new rows do not name.
            ticks = pl.concat([ticks, lake.scan(table, *scopes).select(pair).collect()]).unique()
        with SqliteJournal(self._journal_path) as journal:
            sealed = [tick for tick in ticks.sort(pair).iter_rows() if journal.is_sealed(*tick)]
        if not sealed:
            return False
        stored = lake.scan(table, *scopes).collect()
        for session, as_of in sealed:
            this_tick = (pl.col(pair[0]) == session) & (pl.col("as_of") == as_of)
            before, after = (content_hash(frame.filter(this_tick), table.key) for frame in (stored, rows))
            if before != after:
                raise SealedSlice(
                    f"{table.group}/{table.name}: an order was decided on {as_of:%Y-%m-%d %H:%M} UTC,"
                    " its rows cannot change",
                    "run the next tick; what was decided stands",
                )
        return len(sealed) == ticks.height


class FixedLakeClient(DeltaLakeDbClient):
    """Connects to one lake; the stock client asks the resource's configuration, which is fixed at load."""

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self._root = root.rstrip("/")
        self._storage_options = dict(storage_options or {})

    @contextmanager
    def connect(  # type: ignore[override]  # a static method in the stock client
        self, context: InputContext | OutputContext, table_slice: TableSlice
    ) -> Iterator[TableConnection]:
        """The table's place in the lake."""
        yield TableConnection(
            table_uri=f"{self._root}/{table_slice.schema}/{table_slice.table}",
            storage_options=self._storage_options,
            table_config=None,
        )


class GuardedDbIOManager(DbIOManager):
    """Finds table and partition of an asset: the key is [group, table], the columns are the catalogue's."""

    def __init__(
        self,
        handler: GuardedTypeHandler,
        catalogue: Catalogue = tables.table,
        client: DeltaLakeDbClient | None = None,
    ) -> None:
        super().__init__(
            type_handlers=[handler],
            db_client=client or DeltaLakeDbClient(),
            database="deltalake",
            io_manager_name="GuardedDeltaIOManager",
            default_load_type=pl.DataFrame,
        )
        self._catalogue = catalogue

    def _get_table_slice(
        self, context: OutputContext | InputContext, output_context: OutputContext
    ) -> TableSlice:
        table = self._table(context)
        dimensions = _dimensions(table, context) if context.has_asset_partitions else []
        writes = isinstance(context, OutputContext)
        if writes and not dimensions and any(table.schema[name] == pl.Date for name in table.partition_by):
            raise ConfigError(
                f"asset {context.asset_key.to_user_string()} has no partitions,"
                f" its table is partitioned by {', '.join(table.partition_by)}",
                "give the asset its partitions_def",
            )
        return TableSlice(
            table=table.name,
            schema=table.group,
            database=self._database,
            partition_dimensions=dimensions,
            columns=(context.definition_metadata or {}).get("columns"),
        )

    def _table(self, context: OutputContext | InputContext) -> Table:
        path = tuple(context.asset_key.path) if context.has_asset_key else ()
        try:
            group, name = path
            return self._catalogue(group, name)
        except (ValueError, KeyError) as error:
            raise ConfigError(
                f"{'/'.join(path) or context.name} is no table of the lake",
                "an asset of this IO manager has the key [group, table] of domain/tables.py",
            ) from error


class GuardedDeltaIOManager(DeltaLakePolarsIOManager):
    """The lake as an IO manager: root_uri, storage_options and client_options as in the stock one."""

    storage_options: AzureConfig | S3Config | LocalConfig | GcsConfig = Field(
        default=LocalConfig(), discriminator="provider"
    )
    journal_path: str | None = Field(
        default=None, description="The journal that knows which ticks are sealed; without it none is."
    )

    @staticmethod
    def catalogue(group: str, name: str) -> Table:
        """Where tables are looked up; KeyError for what is none."""
        return tables.table(group, name)

    @staticmethod
    def type_handlers() -> Sequence[DbTypeHandler[Any]]:
        """Polars alone: the stock Arrow handler writes as carelessly as the stock Polars one."""
        return [GuardedTypeHandler()]

    def create_io_manager(self, context: object) -> GuardedDbIOManager:
        """ConfigError for a stock setting that would not reach a write here."""
        unused = [
            name
            for name in (
                "overwrite_schema",
                "table_config",
                "schema_",
                "custom_metadata",
                "writer_properties",
            )
            if getattr(self, name)
        ]
        if self.mode is not WriteMode.overwrite:
            unused.append("mode")
        if unused:
            raise ConfigError(
                f"the guarded IO manager does not take {', '.join(unused)}",
                "layout and write mode come from domain/tables.py",
            )
        return GuardedDbIOManager(GuardedTypeHandler(self.catalogue, self.journal_path), self.catalogue)


def _dimensions(table: Table, context: OutputContext | InputContext) -> list[TablePartitionDimension]:
    """Each partition column with its keys. A key is the column's value: no windows, no time zones."""
    keys = context.asset_partition_keys
    if not isinstance(next(iter(keys), None), MultiPartitionKey):
        return [TablePartitionDimension(table.partition_by[0], list(keys))]
    by_dimension: dict[str, dict[str, None]] = {}
    for key in keys:
        for name, value in cast(MultiPartitionKey, key).keys_by_dimension.items():
            by_dimension.setdefault(name, {})[value] = None
    combinations = 1
    for values in by_dimension.values():
        combinations *= len(values)
    if combinations != len(keys):
        raise DataError(
            f"{table.group}/{table.name}: {len(keys)} partitions are not every combination of their keys",
            "ask for one partition, or for a whole range of each dimension",
        )
    return [TablePartitionDimension(name, list(values)) for name, values in by_dimension.items()]


def _partition(table: Table, table_slice: TableSlice) -> Scope:
    return {
        dimension.partition_expr: frozenset(
            _key_value(table, dimension.partition_expr, key)
            for key in cast(Sequence[str], dimension.partitions)
        )
        for dimension in table_slice.partition_dimensions or []
    }


def _key_value(table: Table, column: str, key: str) -> Value:
    dtype = table.schema.get(column)
    if dtype == pl.String:
        return key
    if dtype == pl.Date:
        try:
            return date.fromisoformat(key)
        except ValueError as error:
            raise ConfigError(
                f"{table.group}/{table.name}: partition key {key!r} is no date", "partition by days"
            ) from error
    raise ConfigError(
        f"{table.group}/{table.name} cannot be partitioned by {column} ({dtype or 'no such column'})",
        "partition columns are dates or text; a time of day is an ordinary column",
    )


def _tick(context: OutputContext | InputContext) -> datetime | None:
    """The tick the run is tagged with; None outside of a run and in a run without the tag."""
    try:
        tag = context.step_context.dagster_run.tags.get(AS_OF_TAG)
    except DagsterInvariantViolationError:
        return None
    return None if tag is None else named_tick(tag)


def named_tick(tag: str) -> datetime:
    """The time, in UTC, that a value of AS_OF_TAG names; ConfigError when it is none or has no zone."""
    try:
        tick = datetime.fromisoformat(tag)
    except ValueError as error:
        raise ConfigError(
            f"the run tag {AS_OF_TAG} is {tag!r}, no time", "write it in ISO form, UTC"
        ) from error
    if tick.tzinfo is None:
        raise ConfigError(f"the run tag {AS_OF_TAG} is {tag!r}, without a zone", "write it in ISO form, UTC")
    return tick.astimezone(UTC)


def _required_tick(context: InputContext, table: Table) -> datetime:
    if "as_of" not in table.schema:
        raise ConfigError(f"{table.group}/{table.name} has no ticks", "load its partition")
    tick = _tick(context)
    if tick is None:
        raise MissingData(
            f"the run names no tick of {table.group}/{table.name}",
            f"launch it with the tag {AS_OF_TAG}=<UTC time of the tick>",
        )
    return tick


def _lake(table: Table, connection: TableConnection) -> Lake:
    return Lake(connection.table_uri.removesuffix("/" + "/".join(table.path)), connection.storage_options)
