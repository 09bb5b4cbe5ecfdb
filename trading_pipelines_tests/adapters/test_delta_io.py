"""The guarded IO manager: what an asset's write replaces, what an input holds, and what is refused."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster_deltalake import LocalConfig
from dagster_deltalake.io_manager import WriteMode
from deltalake import DeltaTable

from trading_pipelines.adapters.delta import Lake
from trading_pipelines.adapters.delta_io import AS_OF_TAG, GuardedDeltaIOManager
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.core.content import content_hash
from trading_pipelines.domain.errors import ConfigError, DataError, MissingData, SealedSlice
from trading_pipelines.domain.tables import FILLS, UTC_TIME, Table
from trading_pipelines_tests.adapters.small_tables import (
    HISTORY,
    LISTING,
    NEXT,
    QUOTES,
    SESSION,
    closes,
    quotes,
    tick,
)
from trading_pipelines_tests.builders import closing_intent

SESSIONS = dg.DailyPartitionsDefinition("2024-06-10", timezone="America/New_York", end_date="2024-06-20")
PAIRS = Table(
    "statistics",
    "pairs",
    "Partitioned by day and by text.",
    pl.Schema({"session": pl.Date(), "underlying": pl.String(), "value": pl.Int64()}),
    key=("session", "underlying"),
    partition_by=("session", "underlying"),
    slice_by=(),
    sealed=False,
)
SMALL = {table.path: table for table in (QUOTES, LISTING, HISTORY, PAIRS)}


class SmallLake(GuardedDeltaIOManager):
    """Ours, over the small tables of the tests."""

    @staticmethod
    def catalogue(group: str, name: str) -> Table:
        return SMALL[group, name]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def journal(tmp_path: Path) -> SqliteJournal:
    return SqliteJournal(tmp_path / "journal.sqlite")


def asset(table: Table, make: Callable[[], Any], **settings: Any) -> dg.AssetsDefinition:
    """The asset of a table that brings what `make` makes."""

    @dg.asset(key=list(table.path), **{"partitions_def": SESSIONS, **settings})
    def small() -> Any:
        return make()

    return small


def run(
    lake: Lake,
    *assets: dg.AssetsDefinition,
    key: str | None = str(SESSION),
    number: int | None = None,
    tags: dict[str, str] | None = None,
    selection: int = 1,
    **settings: Any,
) -> dg.ExecuteInProcessResult:
    """Materialise the first of `assets`, or as many as `selection`; `number` tags the run with a tick."""
    as_of = {} if number is None else {AS_OF_TAG: tick(number).isoformat()}
    return dg.materialize(
        assets,
        selection=assets[:selection],
        partition_key=key,
        tags={**as_of, **(tags or {})},
        resources={"io_manager": SmallLake(root_uri=lake.root, **settings)},
    )


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What the run's one materialisation says."""
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


# Writing


def test_a_write_replaces_the_slices_of_its_rows(lake: Lake) -> None:
    run(lake, asset(QUOTES, lambda: pl.concat([quotes(), quotes(underlying="QQQ"), quotes(number=1)])))
    run(lake, asset(QUOTES, lambda: quotes(rows=1, bid=2.0)))
    held = lake.read(QUOTES).group_by("underlying", "as_of").agg("bid").sort("underlying", "as_of")
    assert held["bid"].to_list() == [[1.0] * 3, [2.0], [1.0] * 3]


def test_a_run_of_a_tick_replaces_the_whole_tick(lake: Lake) -> None:
    run(lake, asset(QUOTES, lambda: pl.concat([quotes(), quotes(underlying="QQQ")])), number=0)
    run(lake, asset(QUOTES, lambda: quotes(number=1)), number=1)
    run(lake, asset(QUOTES, lambda: quotes(bid=2.0)), number=0)
    assert lake.read(QUOTES, as_of=tick(0))["underlying"].to_list() == ["SPY"] * 3
    assert lake.read(QUOTES).height == 6


def test_a_row_of_another_tick_is_refused(lake: Lake) -> None:
    with pytest.raises(DataError, match="3 of 3 rows lie outside"):
        run(lake, asset(QUOTES, lambda: quotes(number=2)), number=1)
    assert lake.version(QUOTES) is None


def test_an_empty_frame_writes_nothing_unless_its_tick_has_rows(lake: Lake) -> None:
    empty = asset(QUOTES, lambda: quotes().clear())
    assert metadata(run(lake, empty, number=0))["delta_version"] is None
    assert lake.version(QUOTES) is None
    run(lake, asset(QUOTES, quotes), number=0)
    run(lake, empty)
    run(lake, empty, number=1)
    assert (lake.version(QUOTES), lake.read(QUOTES).height) == (1, 3)
    run(lake, empty, number=0)
    assert (lake.version(QUOTES), lake.read(QUOTES).height) == (2, 0)


def test_an_empty_frame_keeps_a_table_that_is_not_sliced_by_tick(lake: Lake) -> None:
    run(lake, asset(LISTING, quotes), number=0)
    run(lake, asset(LISTING, lambda: quotes().clear()), number=0)
    assert lake.read(LISTING).height == 3


def test_an_asset_that_returns_none_writes_nothing(lake: Lake) -> None:
    @dg.asset(key=list(QUOTES.path), partitions_def=SESSIONS)
    def nothing() -> None:
        return None

    assert run(lake, nothing).success
    assert not Path(lake.root).exists()


def test_a_lazy_frame_is_written_too(lake: Lake) -> None:
    run(lake, asset(QUOTES, lambda: quotes().lazy()))
    assert lake.read(QUOTES).equals(quotes())


def test_a_range_of_sessions_is_written_and_read_in_one_run(lake: Lake) -> None:
    days = [SESSION + timedelta(days=n) for n in (-1, 0, 1)]
    whole = {
        "dagster/asset_partition_range_start": str(days[0]),
        "dagster/asset_partition_range_end": str(days[2]),
    }
    run(lake, asset(QUOTES, lambda: pl.concat([quotes(day) for day in days])), key=None, tags=whole)
    assert lake.read(QUOTES)["session"].unique().sort().to_list() == days
    last_two = {**whole, "dagster/asset_partition_range_start": str(days[1])}
    read, reader = reading(QUOTES, pl.DataFrame)
    run(lake, reader, asset(QUOTES, quotes), key=None, tags=last_two)
    assert read[0]["session"].unique().sort().to_list() == days[1:]


def test_partitions_of_day_and_text_are_told_apart(lake: Lake) -> None:
    both = dg.MultiPartitionsDefinition(
        {"session": SESSIONS, "underlying": dg.StaticPartitionsDefinition(["O'X", "SPY"])}
    )

    def row(underlying: str, value: int, session: date = SESSION) -> pl.DataFrame:
        return pl.DataFrame({"session": [session], "underlying": [underlying], "value": [value]})

    for underlying, value in (("O'X", 1), ("SPY", 2), ("O'X", 3)):
        key = dg.MultiPartitionKey({"session": str(SESSION), "underlying": underlying})
        run(lake, asset(PAIRS, lambda u=underlying, v=value: row(u, v), partitions_def=both), key=key)
    assert lake.read(PAIRS).select("underlying", "value").rows() == [("O'X", 3), ("SPY", 2)]
    with pytest.raises(DataError, match="1 of 1 rows lie outside"):
        run(lake, asset(PAIRS, lambda: row("SPY", 4), partitions_def=both), key=key)
    read, reader = reading(PAIRS, pl.DataFrame, partitions_def=both)
    run(lake, reader, asset(PAIRS, quotes, partitions_def=both), key=key)
    assert read[0]["value"].to_list() == [3]


def test_history_without_partitions_is_written_by_slice(lake: Lake) -> None:
    for frame in (closes("SPY", SESSION, NEXT), closes("QQQ", SESSION), closes("SPY", NEXT, close=2.0)):
        run(lake, asset(HISTORY, lambda f=frame: f, partitions_def=None), key=None)
    assert lake.read(HISTORY).select("symbol", "close").rows() == [("QQQ", 1.0), ("SPY", 1.0), ("SPY", 2.0)]


def test_a_write_says_what_it_wrote(lake: Lake) -> None:
    said = metadata(run(lake, asset(QUOTES, lambda: quotes().reverse())))
    assert said["dagster/row_count"] == 3
    assert said["delta_version"] == 1
    assert said["content_hash"] == content_hash(lake.read(QUOTES), QUOTES.key)


# Sealed slices


def seal(journal: SqliteJournal, number: int = 0) -> None:
    """Record an intent of a tick."""
    journal.record_intent(closing_intent(session=SESSION, as_of=tick(number)), tick(number))


def test_a_sealed_tick_takes_the_same_content_and_no_other(lake: Lake, journal: SqliteJournal) -> None:
    guarded = {"journal_path": str(journal.path), "number": 0}
    run(lake, asset(QUOTES, quotes), **guarded)
    seal(journal)
    run(lake, asset(QUOTES, lambda: quotes().reverse()), **guarded)
    assert lake.version(QUOTES) == 1
    for other in (quotes(bid=2.0), quotes(rows=2), quotes().clear()):
        with pytest.raises(SealedSlice, match="an order was decided on 2024-06-12 13:30 UTC"):
            run(lake, asset(QUOTES, lambda f=other: f), **guarded)
    run(lake, asset(QUOTES, lambda: quotes(number=1)), journal_path=str(journal.path), number=1)
    assert lake.read(QUOTES, as_of=tick(0)).equals(quotes())


def test_without_a_tick_a_sealed_slice_is_kept_as_well(lake: Lake, journal: SqliteJournal) -> None:
    path = str(journal.path)
    run(lake, asset(QUOTES, quotes), journal_path=path)
    seal(journal)
    with pytest.raises(SealedSlice):
        run(lake, asset(QUOTES, lambda: pl.concat([quotes(bid=2.0), quotes(number=1)])), journal_path=path)
    run(lake, asset(QUOTES, lambda: pl.concat([quotes(), quotes(number=1)])), journal_path=path)
    assert lake.read(QUOTES).height == 6


def test_rows_of_a_sealed_tick_cannot_be_displaced_by_those_of_another(
    lake: Lake, journal: SqliteJournal
) -> None:
    path = str(journal.path)
    run(lake, asset(LISTING, quotes), journal_path=path)
    seal(journal)
    with pytest.raises(SealedSlice):
        run(lake, asset(LISTING, lambda: quotes(number=1)), journal_path=path)
    assert lake.read(LISTING).equals(quotes())


# Reading


def reading(
    table: Table, kind: type, metadata: dict[str, Any] | None = None, **settings: Any
) -> tuple[list[Any], dg.AssetsDefinition]:
    """An asset that keeps what it is given of a table."""
    got: list[Any] = []

    def read(rows: Any) -> None:
        got.append(rows)

    read.__annotations__ = {"rows": kind, "return": None}
    source = dg.AssetIn(key=list(table.path), metadata=metadata)
    return got, dg.asset(name="reader", ins={"rows": source}, **{"partitions_def": SESSIONS, **settings})(
        read
    )


def test_an_input_is_its_partition_sorted_by_key(lake: Lake) -> None:
    for number, session in ((1, SESSION), (0, SESSION), (0, NEXT)):
        lake.replace(QUOTES, quotes(session, number).reverse(), session=session, as_of=tick(number, session))
    read, reader = reading(QUOTES, pl.DataFrame)
    run(lake, reader, asset(QUOTES, quotes))
    assert read[0].equals(pl.concat([quotes(), quotes(number=1)]))


def test_a_lazy_input_stays_lazy(lake: Lake) -> None:
    lake.replace(QUOTES, quotes(), session=SESSION)
    lake.replace(QUOTES, quotes(NEXT), session=NEXT)
    read, reader = reading(QUOTES, pl.LazyFrame)
    run(lake, reader, asset(QUOTES, quotes))
    assert isinstance(read[0], pl.LazyFrame)
    assert read[0].collect().equals(quotes())


def test_the_tick_of_an_input_is_read_from_its_own_file(lake: Lake) -> None:
    for number in range(3):
        lake.replace(QUOTES, quotes(number=number), session=SESSION, as_of=tick(number))
    files = pl.DataFrame(DeltaTable(lake.uri(QUOTES)).get_add_actions(flatten=True))
    for path in files.filter(pl.col("min.as_of") != tick(1))["path"]:
        (Path(lake.uri(QUOTES)) / path).unlink()
    for kind in (pl.DataFrame, pl.LazyFrame):
        read, reader = reading(QUOTES, kind, {"slice": "tick"})
        run(lake, reader, asset(QUOTES, quotes), number=1)
        assert read[0].lazy().collect().equals(quotes(number=1))


TICKED_PAIRS = Table(
    "statistics",
    "ticked_pairs",
    "Partitioned by day and by text, sliced by tick.",
    QUOTES.schema,
    key=QUOTES.key,
    partition_by=("session", "underlying"),
    slice_by=("as_of",),
    sealed=False,
)
SMALL[TICKED_PAIRS.path] = TICKED_PAIRS


def test_a_step_is_handed_what_the_step_before_it_wrote(lake: Lake) -> None:
    read, reader = reading(QUOTES, pl.DataFrame, {"slice": "tick"})
    lake.replace(QUOTES, quotes(number=1), session=SESSION, as_of=tick(1))
    run(lake, reader, asset(QUOTES, lambda: quotes(bid=2.0).reverse()), number=0, selection=2)
    assert read[0].equals(quotes(bid=2.0))


def test_a_step_that_asks_for_another_partition_is_not_handed_that_of_its_run(lake: Lake) -> None:
    lake.replace(TICKED_PAIRS, quotes(underlying="QQQ"), underlying="QQQ")
    both = dg.MultiPartitionsDefinition(
        {"session": SESSIONS, "underlying": dg.StaticPartitionsDefinition(["QQQ", "SPY"])}
    )
    spy, qqq = (
        dg.MultiPartitionKey({"session": str(SESSION), "underlying": name}) for name in ("SPY", "QQQ")
    )
    got: list[pl.DataFrame] = []
    mapping = dg.SpecificPartitionsPartitionMapping([qqq])
    other = dg.AssetIn(key=list(TICKED_PAIRS.path), partition_mapping=mapping, metadata={"slice": "tick"})

    @dg.asset(ins={"rows": other}, partitions_def=both)
    def reader(rows: pl.DataFrame) -> None:
        got.append(rows)

    run(lake, reader, asset(TICKED_PAIRS, quotes, partitions_def=both), key=spy, number=0, selection=2)
    assert got[0].equals(quotes(underlying="QQQ"))
    assert lake.read(TICKED_PAIRS)["underlying"].unique().sort().to_list() == ["QQQ", "SPY"]


def test_a_tick_needs_a_run_that_names_it(lake: Lake) -> None:
    _, reader = reading(QUOTES, pl.DataFrame, {"slice": "tick"})
    with pytest.raises(MissingData, match="the run names no tick of snapshots/small_quotes"):
        run(lake, reader, asset(QUOTES, quotes))
    for tag in ("soon", "2024-06-12T13:30:00"):
        with pytest.raises(ConfigError, match=AS_OF_TAG):
            run(lake, reader, asset(QUOTES, quotes), tags={AS_OF_TAG: tag})


def test_an_input_cannot_be_a_slice_nobody_knows(lake: Lake) -> None:
    _, reader = reading(QUOTES, pl.DataFrame, {"slice": "hour"})
    with pytest.raises(ConfigError, match="an input cannot be the 'hour' of a table"):
        run(lake, reader, asset(QUOTES, quotes))
    _, reader = reading(HISTORY, pl.DataFrame, {"slice": "tick"})
    with pytest.raises(ConfigError, match="has no ticks"):
        run(lake, reader, asset(HISTORY, quotes, partitions_def=None), number=0)


def test_a_table_never_written_is_an_empty_input(lake: Lake) -> None:
    for kind, slice_ in ((pl.DataFrame, "tick"), (pl.LazyFrame, "partition")):
        read, reader = reading(QUOTES, kind, {"slice": slice_})
        run(lake, reader, asset(QUOTES, quotes), number=0)
        assert read[0].lazy().collect().schema == QUOTES.schema


def test_an_input_may_name_its_columns(lake: Lake) -> None:
    lake.replace(QUOTES, quotes(), session=SESSION)
    read, reader = reading(QUOTES, pl.DataFrame, {"columns": ["bid"]})
    run(lake, reader, asset(QUOTES, quotes))
    assert read[0].columns == ["bid"]


def test_an_asset_can_be_loaded_outside_of_a_run(lake: Lake) -> None:
    lake.replace(QUOTES, quotes(), session=SESSION)
    definitions = dg.Definitions(
        assets=[asset(QUOTES, quotes)], resources={"io_manager": SmallLake(root_uri=lake.root)}
    )
    loaded = definitions.load_asset_value(
        list(QUOTES.path), python_type=pl.DataFrame, partition_key=str(SESSION)
    )
    assert loaded.equals(quotes())


# Refusals


@pytest.mark.parametrize(
    "key", [["snapshots", "unheard_of"], ["small_quotes"], ["a", "snapshots", "small_quotes"]]
)
def test_an_asset_that_is_no_table_of_the_lake_is_refused(lake: Lake, key: list[str]) -> None:
    @dg.asset(key=key, partitions_def=SESSIONS)
    def stranger() -> pl.DataFrame:
        return quotes()

    with pytest.raises(ConfigError, match="is no table of the lake"):
        run(lake, stranger)
    assert not Path(lake.root).exists()


def test_a_table_of_sessions_needs_an_asset_with_partitions(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="has no partitions, its table is partitioned by session"):
        run(lake, asset(QUOTES, quotes, partitions_def=None), key=None)


def test_hours_are_no_partitions(lake: Lake) -> None:
    hours = dg.HourlyPartitionsDefinition("2024-06-12-00:00", end_date="2024-06-13-00:00")
    with pytest.raises(ConfigError, match="partition key '2024-06-12-13:00' is no date"):
        run(lake, asset(QUOTES, quotes, partitions_def=hours), key="2024-06-12-13:00")


@pytest.mark.parametrize(
    "setting",
    [{"mode": WriteMode.append}, {"overwrite_schema": True}, {"table_config": {"delta.appendOnly": "true"}}],
)
def test_a_stock_setting_that_would_not_reach_a_write_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        SmallLake(root_uri="lake", **setting).create_io_manager(None)


def test_partitions_that_are_no_rectangle_are_refused(lake: Lake) -> None:
    both = dg.MultiPartitionsDefinition(
        {"session": SESSIONS, "underlying": dg.StaticPartitionsDefinition(["QQQ", "SPY"])}
    )
    diagonal = dg.SpecificPartitionsPartitionMapping(
        [
            dg.MultiPartitionKey({"session": str(SESSION), "underlying": "QQQ"}),
            dg.MultiPartitionKey({"session": str(NEXT), "underlying": "SPY"}),
        ]
    )

    @dg.asset(ins={"rows": dg.AssetIn(key=list(PAIRS.path), partition_mapping=diagonal)})
    def reader(rows: pl.DataFrame) -> None:
        pytest.fail(f"got {rows.height} rows")

    with pytest.raises(DataError, match="2 partitions are not every combination"):
        run(lake, reader, asset(PAIRS, quotes, partitions_def=both), key=None)


def test_the_catalogue_is_the_project_s_unless_told_otherwise() -> None:
    manager = GuardedDeltaIOManager(root_uri="lake", storage_options=LocalConfig())
    assert manager.catalogue("execution", "fills") is FILLS
    assert FILLS.schema["as_of"] == UTC_TIME
