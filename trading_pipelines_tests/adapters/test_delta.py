"""The lake: slices are replaced, never more, whatever the frame, the name or the rival."""

import multiprocessing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipelines.adapters.delta import Extent, Lake, predicate, slices, within
from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.errors import ConfigError, DataError, SchemaMismatch
from trading_pipelines.domain.tables import TABLES, Table
from trading_pipelines_tests.adapters.small_tables import (
    HISTORY,
    NEXT,
    QUOTES,
    SESSION,
    closes,
    quotes,
    tick,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def bids(lake: Lake) -> dict[tuple[date, int, str], list[float]]:
    """What the table holds: bids by session, minute and underlying."""
    grouped = lake.read(QUOTES).group_by(
        "session", pl.col("as_of").dt.minute(), "underlying", maintain_order=True
    )
    return {key: frame["bid"].to_list() for key, frame in grouped}  # type: ignore[misc]


# Names and creation


@pytest.mark.parametrize("name", ["cr/../x", "..", "", "Upper", "1st", "a-b", "a b", "a" * 64, "a\n", "é"])
def test_a_name_that_could_lead_elsewhere_is_refused(lake: Lake, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a group or table"):
        lake.uri(replace(QUOTES, name=name))
    with pytest.raises(ConfigError, match="cannot name a group or table"):
        lake.replace(replace(QUOTES, group=name), quotes(), session=SESSION)
    assert not Path(lake.root).exists()


def test_every_table_of_the_catalogue_can_be_created(lake: Lake) -> None:
    for table in TABLES:
        lake.create(table)
        assert lake.version(table) == 0
        assert lake.read(table).schema == table.schema
        stored = DeltaTable(lake.uri(table)).metadata()
        assert tuple(stored.partition_columns) == table.partition_by
        assert stored.configuration["delta.checkpointInterval"] == "10"


def test_creating_twice_keeps_what_is_there(lake: Lake) -> None:
    lake.replace(QUOTES, quotes(), session=SESSION)
    lake.create(QUOTES)
    assert lake.version(QUOTES) == 1
    assert lake.read(QUOTES).height == 3


def test_a_table_never_written_reads_as_empty_and_typed(lake: Lake) -> None:
    assert lake.version(QUOTES) is None
    assert not lake.has_rows(QUOTES, session=SESSION)
    assert lake.read(QUOTES, session=SESSION).schema == QUOTES.schema
    assert lake.scan(QUOTES).collect().is_empty()
    assert not Path(lake.root).exists()


def test_a_stored_table_of_another_shape_is_refused(lake: Lake) -> None:
    lake.replace(QUOTES, quotes(), session=SESSION)
    wider = replace(QUOTES, schema=pl.Schema({**QUOTES.schema, "ask": pl.Float64()}))
    with pytest.raises(SchemaMismatch, match="ask is missing"):
        lake.read(wider)
    with pytest.raises(SchemaMismatch, match="ask is missing"):
        lake.replace(wider, quotes().with_columns(ask=pl.lit(1.0)), session=SESSION)


# Replacing slices


def test_replacing_a_slice_again_changes_only_that_slice(lake: Lake) -> None:
    lake.replace(QUOTES, quotes(), session=SESSION, as_of=tick())
    lake.replace(QUOTES, quotes(number=1), session=SESSION, as_of=tick(1))
    lake.replace(QUOTES, quotes(NEXT), session=NEXT, as_of=tick(session=NEXT))
    lake.replace(QUOTES, quotes(number=1, rows=2, bid=9.0), session=SESSION, as_of=tick(1))
    assert bids(lake) == {
        (SESSION, 30, "SPY"): [1.0, 1.0, 1.0],
        (SESSION, 35, "SPY"): [9.0, 9.0],
        (NEXT, 30, "SPY"): [1.0, 1.0, 1.0],
    }


def test_each_write_returns_the_version_it_committed(lake: Lake) -> None:
    versions = [lake.replace(QUOTES, quotes(number=k), session=SESSION, as_of=tick(k)) for k in range(3)]
    assert versions == [1, 2, 3]
    assert lake.version(QUOTES) == 3


def test_an_empty_frame_empties_its_scope(lake: Lake) -> None:
    for number in (0, 1):
        lake.replace(QUOTES, quotes(number=number), session=SESSION, as_of=tick(number))
    lake.replace(QUOTES, quotes().clear(), session=SESSION, as_of=tick())
    assert bids(lake) == {(SESSION, 35, "SPY"): [1.0, 1.0, 1.0]}


def test_a_range_ends_before_its_high_end(lake: Lake) -> None:
    days = [SESSION, NEXT, NEXT + timedelta(days=1)]
    lake.replace(HISTORY, closes("SPY", *days), symbol="SPY", session=(SESSION, days[2] + timedelta(days=1)))
    lake.replace(HISTORY, closes("SPY", SESSION, close=2.0), symbol="SPY", session=(SESSION, days[2]))
    assert lake.read(HISTORY).select("session", "close").rows() == [(SESSION, 2.0), (days[2], 1.0)]
    with pytest.raises(DataError, match="1 of 1 rows lie outside"):
        lake.replace(HISTORY, closes("SPY", days[2]), symbol="SPY", session=(SESSION, days[2]))


def test_a_row_outside_the_scope_is_refused_and_nothing_is_written(lake: Lake) -> None:
    lake.replace(QUOTES, quotes(), session=SESSION)
    with pytest.raises(DataError, match=r"3 of 6 rows lie outside .*2024-06-12"):
        lake.replace(QUOTES, pl.concat([quotes(), quotes(NEXT)]), session=SESSION)
    nameless = quotes().with_columns(session=pl.lit(None, pl.Date))
    with pytest.raises(DataError, match="3 of 3 rows lie outside"):
        lake.replace(QUOTES, nameless, session=SESSION)
    assert lake.version(QUOTES) == 1


def test_a_write_without_a_scope_is_refused(lake: Lake) -> None:
    with pytest.raises(DataError, match="must say what it replaces"):
        lake.replace(QUOTES, quotes())


def test_rows_replaced_beside_nulls_leave_the_nulls(lake: Lake) -> None:
    # SQL's NOT (null = 'SPY') is null: a careless rewrite of a shared file would drop those rows.
    nameless = quotes(number=1).with_columns(underlying=pl.lit(None, pl.String))
    lake.replace(QUOTES, pl.concat([quotes(), nameless]), session=SESSION)
    lake.replace(QUOTES, quotes(bid=2.0), session=SESSION, underlying="SPY")
    assert lake.read(QUOTES)["underlying"].null_count() == 3
    assert lake.read(QUOTES, underlying="SPY")["bid"].to_list() == [2.0] * 3


def test_slices_survive_compaction(lake: Lake) -> None:
    for number in range(4):
        lake.replace(QUOTES, quotes(number=number), session=SESSION, as_of=tick(number))
    DeltaTable(lake.uri(QUOTES)).optimize.compact()
    lake.replace(QUOTES, quotes(number=2, bid=5.0), session=SESSION, as_of=tick(2))
    assert [values[0] for values in bids(lake).values()] == [1.0, 1.0, 5.0, 1.0]


# The frame


def test_column_order_and_untyped_nulls_are_normalised(lake: Lake) -> None:
    frame = quotes().with_columns(bid=pl.lit(None)).select(reversed(QUOTES.schema.names()))
    lake.replace(QUOTES, frame, session=SESSION)
    stored = lake.read(QUOTES)
    assert stored.schema == QUOTES.schema
    assert stored["bid"].null_count() == 3


def test_another_shape_is_refused_naming_each_column(lake: Lake) -> None:
    frame = quotes().drop("bid").with_columns(pl.col("con_id").cast(pl.Int32), extra=pl.lit(1))
    with pytest.raises(SchemaMismatch, match="bid is missing, extra is unknown, con_id is Int32, not Int64"):
        lake.replace(QUOTES, frame, session=SESSION)
    assert lake.version(QUOTES) is None


def test_two_rows_with_one_key_are_refused(lake: Lake) -> None:
    with pytest.raises(DataError, match=r"2 rows share their key, as .*con_id=0"):
        lake.replace(QUOTES, pl.concat([quotes(), quotes(rows=1)]), session=SESSION)


# Scopes


@pytest.mark.parametrize(
    ("column", "extent"),
    [
        ("session", "2024-06-12"),
        ("session", datetime(2024, 6, 12, tzinfo=UTC)),
        ("as_of", datetime(2024, 6, 12, 13, 30)),  # noqa: DTZ001 — a time without a zone is what is refused
        ("as_of", SESSION),
        ("con_id", True),
        ("con_id", 1.0),
        ("con_id", "1"),
        ("underlying", 1),
        ("bid", 1.0),
        ("underlying", frozenset({"SPY", 1})),
        ("session", (SESSION, "2024-06-13")),
        ("strike", 1),
    ],
)
def test_an_extent_that_does_not_fit_its_column_is_refused(lake: Lake, column: str, extent: Extent) -> None:
    scope: dict[str, Extent] = {column: extent}
    with pytest.raises(DataError, match=r"cannot name a slice of|has no column strike"):
        predicate(QUOTES, [scope])
    with pytest.raises(DataError, match=r"cannot name a slice of|has no column strike"):
        lake.read(QUOTES, **scope)


def test_an_enumerated_text_names_a_slice_by_its_value(lake: Lake) -> None:
    frame = closes(SecurityType.STOCK, SESSION)
    lake.replace(HISTORY, frame, symbol=SecurityType.STOCK)
    assert predicate(HISTORY, [{"symbol": SecurityType.STOCK}]) == "(\"symbol\" = 'STK')"
    assert lake.read(HISTORY, symbol=frozenset({SecurityType.STOCK})).height == 1


@pytest.fixture(scope="module")
def shared_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    lake.replace(QUOTES, quotes(underlying="kept"), session=SESSION, underlying="kept")
    return lake


@settings(max_examples=12, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=12))
def test_any_text_names_exactly_its_own_slice(shared_lake: Lake, text: str) -> None:
    name = f"{text}'"
    for bid in (1.0, 2.0):
        shared_lake.replace(QUOTES, quotes(underlying=name, bid=bid), session=SESSION, underlying=name)
    assert shared_lake.read(QUOTES, underlying=name)["bid"].to_list() == [2.0] * 3
    shared_lake.replace(QUOTES, quotes().clear(), session=SESSION, underlying=name)
    assert shared_lake.read(QUOTES)["underlying"].unique().to_list() == ["kept"]


def test_slices_of_a_frame_hold_its_rows_and_no_others() -> None:
    held = pl.concat([quotes(), quotes(number=1), quotes(NEXT, underlying="QQQ")])
    others = pl.concat([quotes(number=2), quotes(NEXT), quotes(underlying="QQQ")])
    expression = within(QUOTES, slices(QUOTES, held))
    assert held.filter(expression).height == held.height
    assert others.filter(expression).is_empty()


def test_many_sessions_of_a_symbol_are_one_scope() -> None:
    days = [SESSION + timedelta(days=n) for n in range(500)]
    assert slices(HISTORY, pl.concat([closes("SPY", *days), closes("QQQ", *days)])) == [
        {"symbol": "SPY", "session": frozenset(days)},
        {"symbol": "QQQ", "session": frozenset(days)},
    ]
    assert slices(HISTORY, closes("SPY")) == []


def test_a_row_that_does_not_say_its_slice_is_refused() -> None:
    with pytest.raises(DataError, match="rows without underlying"):
        slices(QUOTES, quotes().with_columns(underlying=pl.lit(None, pl.String)))


def test_reading_one_tick_opens_one_file(lake: Lake) -> None:
    for number in range(3):
        lake.replace(QUOTES, quotes(number=number), session=SESSION, as_of=tick(number))
    handle = DeltaTable(lake.uri(QUOTES))
    files = pl.DataFrame(handle.get_add_actions(flatten=True))
    for path in files.filter(pl.col("min.as_of") != tick(1))["path"]:
        (Path(lake.uri(QUOTES)) / path).unlink()
    assert lake.read(QUOTES, session=SESSION, as_of=tick(1)).height == 3


# Rivals


def test_a_write_that_always_loses_raises_in_the_end(lake: Lake) -> None:
    class Overtaken(Lake):
        """Between opening and committing, a rival commits the same slice."""

        def _open(self, table: Table) -> DeltaTable | None:
            handle = super()._open(table)
            lake.replace(QUOTES, quotes(bid=7.0), session=SESSION, as_of=tick())
            return handle

    lake.replace(QUOTES, quotes(), session=SESSION, as_of=tick())
    with pytest.raises(DataError, match="could not be committed in 24 tries"):
        Overtaken(lake.root).replace(QUOTES, quotes(bid=8.0), session=SESSION, as_of=tick())
    assert lake.read(QUOTES)["bid"].to_list() == [7.0] * 3


def _race(root: str, writer: int, start: Any, versions: Any) -> None:
    lake = Lake(root)
    start.wait()
    for number in range(4):  # the same slices as the rivals …
        frame = quotes(number=number, bid=float(writer))
        versions.put(lake.replace(QUOTES, frame, session=SESSION, as_of=tick(number)))
    own = quotes(underlying=f"w{writer}")  # … and one of its own
    versions.put(lake.replace(QUOTES, own, session=SESSION, as_of=tick(), underlying=f"w{writer}"))


def test_racing_processes_create_once_and_leave_each_slice_to_one_of_them(lake: Lake) -> None:
    spawn = multiprocessing.get_context("spawn")
    start, versions = spawn.Barrier(3), spawn.Queue()
    racers = [spawn.Process(target=_race, args=(lake.root, writer, start, versions)) for writer in range(3)]
    for racer in racers:
        racer.start()
    committed = [versions.get(timeout=120) for _ in range(15)]
    for racer in racers:
        racer.join()
    assert len(set(committed)) == 15
    held = bids(lake)
    # Tick 0 is replaced as a whole, so a late rival may take the others' own slices with it.
    assert all(len(values) == 3 and len(set(values)) == 1 for values in held.values())
    assert {minute for _, minute, _ in held} == {30, 35, 40, 45}
