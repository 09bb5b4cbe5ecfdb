from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from trading_pipelines.adapters import lean
from trading_pipelines.adapters.delta import Lake
from trading_pipelines.domain.errors import MissingData, SchemaMismatch
from trading_pipelines.domain.tables import BARS, QUOTES
from trading_pipelines.workflows.import_recordings import Imported, import_recordings
from trading_pipelines_tests.adapters.lean_files import write

DAILY = "20240102 00:00,4700000,4710000,4690000,4705000,5\n20240103 00:00,4700000,4710000,4690000,4680000,5\n"
QUOTE = "34200000,1000100,1000300,1000000,1000200,300,1000400,1000500,1000300,1000400,200\n"


def run(root: Path, lake: Lake) -> tuple[list[Imported], tuple[Imported, ...]]:
    told: list[Imported] = []
    written = import_recordings(lambda: lean.recordings(root), lake, told.append)
    return told, written


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "lean", "equity/usa/daily/spy.zip", {"spy.csv": DAILY})
    write(
        tmp_path / "lean",
        "equity/usa/minute/spy/20240102_quote.zip",
        {"20240102_spy_minute_quote.csv": QUOTE},
    )
    return tmp_path / "lean"


def test_every_file_reaches_its_table_and_is_told_twice(root: Path, lake: Lake) -> None:
    told, written = run(root, lake)
    assert [(one.source, one.table, one.rows) for one in written] == [
        ("lean:equity/usa/daily/spy.zip", "history/bars", 2),
        ("lean:equity/usa/minute/spy/20240102_quote.zip", "history/quotes", 1),
    ]
    assert [(one.number, one.files) for one in told] == [(1, None), (2, None), (1, 2), (2, 2)]
    assert lake.read(BARS, symbol="SPY")["close"].to_list() == [470.5, 468.0]
    assert lake.read(QUOTES, symbol="SPY")["bid_close"].to_list() == [100.02]


def test_importing_again_doubles_nothing(root: Path, lake: Lake) -> None:
    run(root, lake)
    before = lake.read(BARS), lake.read(QUOTES)
    run(root, lake)
    assert lake.read(BARS).equals(before[0])
    assert lake.read(QUOTES).equals(before[1])


def test_one_broken_file_keeps_all_of_them_out(root: Path, lake: Lake) -> None:
    write(root, "equity/usa/minute/spy/20240103_quote.zip", {"20240103_spy_minute_quote.csv": "34200000,1\n"})
    with pytest.raises(SchemaMismatch, match="20240103_spy_minute_quote"):
        run(root, lake)
    assert lake.version(BARS) is None
    assert lake.version(QUOTES) is None


def test_a_trade_date_that_two_files_share_stays_whole_when_one_is_imported_again(
    tmp_path: Path, lake: Lake
) -> None:
    root = tmp_path / "lean"
    evening, day = "82800000,1,1,1,1,1\n", "52200000,2,2,2,2,2\n"
    path = "future/cme/minute/es/{}_trade.zip".format
    write(root, path("20240102"), {"20240102_es_minute_trade_202403.csv": evening})
    write(root, path("20240103"), {"20240103_es_minute_trade_202403.csv": day})
    run(root, lake)
    (root / path("20240102")).unlink()
    run(root, lake)
    assert lake.read(BARS, session=date(2024, 1, 3))["close"].to_list() == [1.0, 2.0]


def test_a_session_has_one_daily_bar_whoever_brought_it_first(root: Path, lake: Lake) -> None:
    known = {
        "session": date(2024, 1, 3),
        "as_of": datetime(2024, 1, 3, 21, tzinfo=UTC),
        "started_at": datetime(2024, 1, 3, 14, 30, tzinfo=UTC),
        "resolution": "daily",
        "what": "trades",
        "security_type": "STK",
        "symbol": "SPY",
        "close": 1.0,
        "source": "ib",
    }
    from_broker = pl.DataFrame([dict.fromkeys(BARS.schema.names()) | known], schema=BARS.schema)
    lake.replace(BARS, from_broker, resolution="daily", symbol="SPY", session=date(2024, 1, 3))
    run(root, lake)
    assert lake.read(BARS, resolution="daily", symbol="SPY")["session"].to_list() == [
        date(2024, 1, 2),
        date(2024, 1, 3),
    ]


def test_an_empty_root_is_said_to_be_empty(tmp_path: Path, lake: Lake) -> None:
    with pytest.raises(MissingData, match="no recordings"):
        run(tmp_path, lake)
