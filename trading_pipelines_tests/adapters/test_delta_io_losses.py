"""The eight ways in which dagster-deltalake-polars loses data on a green run, and that ours does not.

Each test shows the stock IO manager doing it, where that is not left to chance, and ours keeping the
data: by doing what was asked, or by refusing before anything is written.
"""

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster_deltalake import LocalConfig
from dagster_deltalake_polars import DeltaLakePolarsIOManager

from trading_pipelines.adapters.delta_io import GuardedDeltaIOManager
from trading_pipelines.domain.errors import ConfigError, DataError
from trading_pipelines.domain.tables import Table

# The stock IO manager, which runs beside ours here, calls others by their old names.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The `dict` method is deprecated"),
    pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated"),
]

DAYS = dg.DailyPartitionsDefinition("2024-06-10", end_date="2024-06-20")
DAY, NEXT = "2024-06-12", "2024-06-13"
Make = Callable[[str], pl.DataFrame]


def table(key_type: pl.DataType) -> Table:
    """A table partitioned by one column of some type."""
    return Table(
        "losses",
        "things",
        "",
        pl.Schema({"part": key_type, "value": pl.Int64()}),
        key=("part", "value"),
        partition_by=("part",),
        slice_by=(),
        sealed=False,
    )


DATES = table(pl.Date())


def dated(key: str) -> pl.DataFrame:
    """One row of a day."""
    return pl.DataFrame({"part": [date.fromisoformat(key)], "value": [1]})


def things(make: Make, partitions: dg.PartitionsDefinition[str] = DAYS) -> dg.AssetsDefinition:
    """The asset losses/things: the rows of each of the run's partitions."""

    @dg.asset(
        key=["losses", "things"],
        partitions_def=partitions,
        metadata={"partition_expr": "part"},
    )
    def asset(context: dg.AssetExecutionContext) -> pl.DataFrame:
        return pl.concat([make(key) for key in context.partition_keys])

    return asset


class Storage:
    """One IO manager over its own folder; `run` materialises, `rows` reads without it."""

    def __init__(self, folder: Path, manager: dg.ConfigurableIOManagerFactory[Any]) -> None:
        self._folder = folder
        self._manager = manager

    def run(
        self, asset: dg.AssetsDefinition, key: str | tuple[str, str] | None, *upstream: dg.AssetsDefinition
    ) -> None:
        tags = {}
        if isinstance(key, tuple):
            first, last = key
            tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
            key = None
        dg.materialize(
            [asset, *upstream],
            selection=[asset],
            partition_key=key,
            tags=tags,
            resources={"io_manager": self._manager},
        )

    def rows(self) -> int:
        return pl.read_delta(str(self._folder / "losses" / "things")).height


Storages = Callable[[Table], tuple[Storage, Storage]]


@pytest.fixture
def storages(tmp_path: Path) -> Storages:
    """The stock IO manager, and ours with a catalogue of one table."""

    def both(only: Table) -> tuple[Storage, Storage]:
        class OneTable(GuardedDeltaIOManager):
            @staticmethod
            def catalogue(group: str, name: str) -> Table:
                return only

        stock = DeltaLakePolarsIOManager(root_uri=str(tmp_path / "stock"), storage_options=LocalConfig())
        ours = OneTable(root_uri=str(tmp_path / "ours"))
        return Storage(tmp_path / "stock", stock), Storage(tmp_path / "ours", ours)

    return both


def test_d1_a_second_day_on_a_text_column_keeps_the_first(storages: Storages) -> None:
    stock, ours = storages(table(pl.String()))
    asset = things(lambda key: pl.DataFrame({"part": [key], "value": [1]}))
    for storage in (stock, ours):
        storage.run(asset, DAY)
        storage.run(asset, NEXT)
    assert stock.rows() == 1
    assert ours.rows() == 2


def test_d2_a_day_on_a_naive_time_column_is_refused(storages: Storages) -> None:
    stock, ours = storages(table(pl.Datetime("us")))
    asset = things(lambda key: pl.DataFrame({"part": [datetime.fromisoformat(key)], "value": [1]}))
    stock.run(asset, DAY)
    stock.run(asset, NEXT)
    assert stock.rows() == 1
    with pytest.raises(ConfigError, match="cannot be partitioned by part"):
        ours.run(asset, DAY)


def test_d3_a_whole_number_as_partition_is_refused(storages: Storages) -> None:
    stock, ours = storages(table(pl.Int64()))
    asset = things(
        lambda key: pl.DataFrame({"part": [int(key)], "value": [1]}),
        dg.StaticPartitionsDefinition(["1", "2"]),
    )
    stock.run(asset, "1")
    stock.run(asset, "2")
    assert stock.rows() == 1
    with pytest.raises(ConfigError, match="cannot be partitioned by part"):
        ours.run(asset, "1")


def test_d4_one_run_over_some_keys_keeps_the_others(storages: Storages) -> None:
    stock, ours = storages(table(pl.String()))
    asset = things(
        lambda key: pl.DataFrame({"part": [key], "value": [1]}),
        dg.StaticPartitionsDefinition(["A", "B", "D"]),
    )
    for storage in (stock, ours):
        storage.run(asset, "D")
        storage.run(asset, ("A", "B"))
    assert stock.rows() == 2
    assert ours.rows() == 3


@pytest.fixture
def seen() -> list[int]:
    """How many rows each reader got."""
    return []


def test_d5_an_asset_without_partitions_reads_every_day(storages: Storages, seen: list[int]) -> None:
    source = things(dated)

    @dg.asset(ins={"rows": dg.AssetIn(key=["losses", "things"])})
    def reader(rows: pl.DataFrame) -> None:
        seen.append(rows.height)

    for storage in storages(DATES):
        storage.run(source, DAY)
        storage.run(source, NEXT)
        storage.run(reader, None, source)
    stock, ours = seen
    assert stock < 2
    assert ours == 2


def test_d6_a_window_of_days_is_read_whole(storages: Storages, seen: list[int]) -> None:
    source = things(dated)
    three_days = dg.TimeWindowPartitionMapping(start_offset=-2)

    @dg.asset(
        ins={"rows": dg.AssetIn(key=["losses", "things"], partition_mapping=three_days)}, partitions_def=DAYS
    )
    def reader(rows: pl.DataFrame) -> None:
        seen.append(rows.height)

    for storage in storages(DATES):
        for day in (DAY, NEXT, "2024-06-14"):
            storage.run(source, day)
        storage.run(reader, "2024-06-14", source)
    assert seen == [1, 3]


def test_d7_two_first_writes_at_once_are_both_kept(storages: Storages) -> None:
    _, ours = storages(DATES)
    start = threading.Barrier(2)

    def dated_together(key: str) -> pl.DataFrame:
        start.wait()
        return dated(key)

    asset = things(dated_together)
    threads = [threading.Thread(target=ours.run, args=(asset, day)) for day in (DAY, NEXT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ours.rows() == 2


def test_d8_a_row_of_another_day_is_refused_and_nothing_is_written(storages: Storages) -> None:
    def misdated(key: str) -> pl.DataFrame:
        return dated(str(date.fromisoformat(key) + timedelta(days=3)))

    stock, ours = storages(DATES)
    stock.run(things(misdated), NEXT)  # later writes have a predicate, and Delta itself refuses
    assert stock.rows() == 1
    with pytest.raises(DataError, match="1 of 1 rows lie outside"):
        ours.run(things(misdated), NEXT)
    ours.run(things(dated), DAY)
    with pytest.raises(DataError, match="1 of 1 rows lie outside"):
        ours.run(things(misdated), NEXT)
    assert ours.rows() == 1
