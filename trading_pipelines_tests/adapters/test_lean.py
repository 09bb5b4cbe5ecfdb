from datetime import UTC, date, datetime
from pathlib import Path
from zipfile import ZipFile

import polars as pl
import pytest

from trading_pipelines.adapters import lean
from trading_pipelines.adapters.lean_layout import source_files
from trading_pipelines.domain.errors import MissingData, SchemaMismatch
from trading_pipelines.domain.tables import BARS, OPEN_INTEREST, QUOTES
from trading_pipelines_tests.adapters.lean_files import write
from trading_pipelines_tests.market_data import LEAN, needs_market_data

QUOTE_ROW = "34200000,1000100,1000300,1000000,1000200,300,1000400,1000500,1000300,1000400,200\n"
OPTION = "20240102_spy_minute_quote_american_call_4725000_20240119.csv"


def only(root: Path) -> lean.Recording:
    (recording,) = lean.recordings(root)
    return recording


def row(root: Path) -> dict[str, object]:
    return only(root).frame.row(0, named=True)


def test_equity_minutes_are_new_york_times_and_ten_thousandths_of_a_dollar(tmp_path: Path) -> None:
    write(tmp_path, "equity/usa/minute/spy/20240102_quote.zip", {"20240102_spy_minute_quote.csv": QUOTE_ROW})
    recording = only(tmp_path)
    assert recording.table is QUOTES
    assert recording.frame.schema == QUOTES.schema
    assert recording.frame.row(0, named=True) == {
        "session": date(2024, 1, 2),
        "as_of": datetime(2024, 1, 2, 14, 31, tzinfo=UTC),
        "started_at": datetime(2024, 1, 2, 14, 30, tzinfo=UTC),
        "resolution": "minute",
        "security_type": "STK",
        "symbol": "SPY",
        "expiry": None,
        "strike": None,
        "right": None,
        "bid_open": 100.01,
        "bid_high": 100.03,
        "bid_low": 100.0,
        "bid_close": 100.02,
        "bid_size": 300.0,
        "ask_open": 100.04,
        "ask_high": 100.05,
        "ask_low": 100.03,
        "ask_close": 100.04,
        "ask_size": 200.0,
        "source": "lean:equity/usa/minute/spy/20240102_quote.zip",
    }


def test_the_clock_of_new_york_is_an_hour_nearer_to_utc_in_summer(tmp_path: Path) -> None:
    write(tmp_path, "equity/usa/minute/spy/20240702_quote.zip", {"20240702_spy_minute_quote.csv": QUOTE_ROW})
    assert row(tmp_path)["started_at"] == datetime(2024, 7, 2, 13, 30, tzinfo=UTC)


def test_an_option_is_named_by_its_member_and_may_be_quoted_on_one_side(tmp_path: Path) -> None:
    line = "34200000,,,,,0,21500,21500,5000,5000,19\n"
    write(tmp_path, "option/usa/minute/spy/20240102_quote_american.zip", {OPTION: line})
    read = row(tmp_path)
    assert (read["security_type"], read["symbol"]) == ("OPT", "SPY")
    assert (read["expiry"], read["strike"], read["right"]) == (date(2024, 1, 19), 472.5, "C")
    assert (read["bid_close"], read["bid_size"]) == (None, 0.0)
    assert (read["ask_open"], read["ask_close"], read["ask_size"]) == (2.15, 0.5, 19.0)


def test_index_minutes_are_chicago_times_and_points(tmp_path: Path) -> None:
    line = "30600000,3764.61,3769.99,3764.61,3766.63,59\n"
    write(tmp_path, "index/usa/minute/spx/20210104_trade.zip", {"20210104_spx_minute_trade.csv": line})
    read = row(tmp_path)
    assert read["security_type"] == "IND"
    assert read["started_at"] == datetime(2021, 1, 4, 14, 30, tzinfo=UTC)
    assert (read["open"], read["high"], read["low"], read["close"]) == (3764.61, 3769.99, 3764.61, 3766.63)


def test_index_options_are_written_like_options_not_like_their_index(tmp_path: Path) -> None:
    name = "20210105_spxw_minute_quote_european_put_37000000_20210106.csv"
    line = "34200000,302000,303000,301000,302500,10,305000,306000,304000,305500,12\n"
    write(tmp_path, "indexoption/usa/minute/spxw/20210105_quote_european.zip", {name: line})
    read = row(tmp_path)
    assert (read["security_type"], read["symbol"], read["strike"], read["right"]) == (
        "OPT",
        "SPXW",
        3700.0,
        "P",
    )
    assert read["started_at"] == datetime(2021, 1, 5, 14, 30, tzinfo=UTC)
    assert (read["bid_close"], read["ask_close"]) == (30.25, 30.55)


def test_future_minutes_are_utc_and_points_and_roll_to_the_next_trade_date_at_18_new_york(
    tmp_path: Path,
) -> None:
    lines = "75540000,4750.25,4751,4750,4750.5,7\n79200000,4750.5,4752,4750.5,4751.75,9\n"
    name = "20240102_es_minute_trade_202403.csv"
    write(tmp_path, "future/cme/minute/es/20240102_trade.zip", {name: lines})
    frame = only(tmp_path).frame
    assert frame["started_at"].to_list() == [
        datetime(2024, 1, 2, 20, 59, tzinfo=UTC),
        datetime(2024, 1, 2, 22, 0, tzinfo=UTC),
    ]
    # 22:00 UTC is 17:00 New York in winter: the daily break, still the old trade date.
    assert frame["session"].to_list() == [date(2024, 1, 2), date(2024, 1, 2)]
    assert frame["close"].to_list() == [4750.5, 4751.75]
    assert frame["expiry"].unique().to_list() == [date(2024, 3, 15)]


@pytest.mark.parametrize(
    ("day", "milliseconds", "trade_date"),
    [
        ("20240102", 82_800_000, date(2024, 1, 3)),  # 18:00 New York in winter
        ("20240702", 79_200_000, date(2024, 7, 3)),  # 18:00 New York in summer
        ("20240630", 79_200_000, date(2024, 7, 1)),  # Sunday evening is Monday
        ("20240328", 79_200_000, date(2024, 4, 1)),  # Good Friday is no trade date
    ],
)
def test_an_evening_of_futures_belongs_to_the_next_trade_date(
    tmp_path: Path, day: str, milliseconds: int, trade_date: date
) -> None:
    name = f"{day}_es_minute_trade_202409_20240920.csv"
    write(tmp_path, f"future/cme/minute/es/{day}_trade.zip", {name: f"{milliseconds},1,1,1,1,1\n"})
    assert row(tmp_path)["session"] == trade_date
    assert row(tmp_path)["expiry"] == date(2024, 9, 20)


def test_options_on_futures_have_unscaled_prices_and_scaled_strikes(tmp_path: Path) -> None:
    name = "20240102_es_minute_trade_american_put_47000000_20240315.csv"
    path = "futureoption/cme/minute/es/20240315/20240102_trade_american.zip"
    write(tmp_path, path, {name: "52200000,35.25,36,35,35.5,4\n"})
    read = row(tmp_path)
    assert (read["security_type"], read["symbol"]) == ("FOP", "ES")
    assert (read["strike"], read["close"]) == (4700.0, 35.5)
    assert read["started_at"] == datetime(2024, 1, 2, 14, 30, tzinfo=UTC)


def test_a_daily_bar_is_known_at_the_close_of_its_session(tmp_path: Path) -> None:
    prices = "5400000,5450000,5390000,5440000,1000"
    lines = f"20240702 00:00,{prices}\n20240703 00:00,{prices}\n"
    write(tmp_path, "equity/usa/daily/spy.zip", {"spy.csv": lines})
    frame = only(tmp_path).frame
    assert frame.schema == BARS.schema
    assert frame["as_of"].to_list() == [
        datetime(2024, 7, 2, 20, 0, tzinfo=UTC),
        datetime(2024, 7, 3, 17, 0, tzinfo=UTC),  # a half day
    ]
    assert frame["session"].to_list() == [date(2024, 7, 2), date(2024, 7, 3)]
    assert frame["started_at"][0] == datetime(2024, 7, 2, 4, 0, tzinfo=UTC)
    assert frame.select("resolution", "what").row(0) == ("daily", "trades")


def test_a_daily_bar_of_no_session_is_known_when_the_day_is_over(tmp_path: Path) -> None:
    write(tmp_path, "equity/usa/daily/x.zip", {"x.csv": "20240704 00:00,1,1,1,1,1\n"})
    assert row(tmp_path)["as_of"] == datetime(2024, 7, 5, 4, 0, tzinfo=UTC)


def test_a_daily_future_is_known_when_its_trade_date_closes_and_a_sunday_is_mondays(tmp_path: Path) -> None:
    lines = (
        "20131006 00:00,1676.75,1678.25,1673.25,1676.5,21573\n20131007 00:00,1669,1679.5,1667,1668,1374818\n"
    )
    write(tmp_path, "future/cme/daily/es_trade.zip", {"es_trade_201312.csv": lines})
    frame = only(tmp_path).frame
    assert frame["session"].to_list() == [date(2013, 10, 7), date(2013, 10, 7)]
    assert frame["as_of"].unique().to_list() == [datetime(2013, 10, 7, 21, 0, tzinfo=UTC)]
    assert frame["started_at"][0] == datetime(2013, 10, 6, tzinfo=UTC)
    assert frame["expiry"].unique().to_list() == [date(2013, 12, 20)]


def test_an_hour_is_known_when_it_is_over(tmp_path: Path) -> None:
    write(
        tmp_path, "equity/usa/hour/spy.zip", {"spy.csv": "20240102 10:00,4700000,4710000,4690000,4705000,5\n"}
    )
    read = row(tmp_path)
    assert (read["started_at"], read["as_of"]) == (
        datetime(2024, 1, 2, 15, 0, tzinfo=UTC),
        datetime(2024, 1, 2, 16, 0, tzinfo=UTC),
    )
    assert read["close"] == 470.5


def test_open_interest_is_known_at_its_stamp(tmp_path: Path) -> None:
    name = "20240102_spy_minute_openinterest_american_put_4700000_20240119.csv"
    write(tmp_path, "option/usa/minute/spy/20240102_openinterest_american.zip", {name: "23460000,1234\n"})
    recording = only(tmp_path)
    assert recording.table is OPEN_INTEREST
    assert recording.frame.schema == OPEN_INTEREST.schema
    assert row(tmp_path)["as_of"] == datetime(2024, 1, 2, 11, 31, tzinfo=UTC)
    assert row(tmp_path)["open_interest"] == 1234.0


def test_members_without_rows_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    empty = OPTION.replace("4725000", "4800000")
    write(
        tmp_path,
        "option/usa/minute/spy/20240102_quote_american.zip",
        {empty: "", OPTION: QUOTE_ROW.replace("\n", "\r\n") * 2},
    )
    assert only(tmp_path).frame["strike"].to_list() == [472.5, 472.5]


def test_a_file_without_any_rows_is_an_empty_frame(tmp_path: Path) -> None:
    write(tmp_path, "option/usa/minute/spy/20240102_quote_american.zip", {OPTION: ""})
    assert only(tmp_path).frame.schema == QUOTES.schema
    assert only(tmp_path).frame.is_empty()


def test_what_is_no_recording_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "option/usa/universes/spy/20240102.zip", {"x.csv": "anything"})
    write(tmp_path, "crypto/coinbase/minute/btcusd/20240102_trade.zip", {"x.csv": "anything"})
    assert list(lean.recordings(tmp_path)) == []


def test_files_are_narrowed_by_day_symbol_and_resolution(tmp_path: Path) -> None:
    for symbol, day in (("spy", "20240102"), ("spy", "20240103"), ("qqq", "20240102")):
        name = f"{day}_{symbol}_minute_quote.csv"
        write(tmp_path, f"equity/usa/minute/{symbol}/{day}_quote.zip", {name: QUOTE_ROW})
    write(tmp_path, "equity/usa/daily/spy.zip", {"spy.csv": "20240102 00:00,1,1,1,1,1\n"})
    found = source_files(tmp_path, day=date(2024, 1, 2), symbols={"SPY"}, resolutions={"minute"})
    assert [file.source for file in found] == ["lean:equity/usa/minute/spy/20240102_quote.zip"]


def test_a_half_written_zip_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = write(
        tmp_path, "equity/usa/minute/spy/20240102_quote.zip", {"20240102_spy_minute_quote.csv": QUOTE_ROW}
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SchemaMismatch, match=r"20240102_quote\.zip.*fetch it again"):
        only(tmp_path)


def test_a_zip_with_damaged_contents_is_named(tmp_path: Path) -> None:
    name = "20240102_spy_minute_quote.csv"
    path = write(tmp_path, "equity/usa/minute/spy/20240102_quote.zip", {name: QUOTE_ROW * 100})
    damaged = bytearray(path.read_bytes())
    damaged[len(name) + 40] ^= 0xFF
    path.write_bytes(bytes(damaged))
    with pytest.raises(SchemaMismatch, match=r"20240102_quote\.zip"):
        only(tmp_path)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("34260000,1,2,3\n", "line 2 has 4 columns, not 11"),
        ("34260000,1,2,3,4,5,6,7,8,9,10,11\n", "line 2 has 12 columns, not 11"),
        ("\n" + QUOTE_ROW, "line 2 has 1 columns, not 11"),
        ("34260000,1,2,x,4,5,6,7,8,9,10\n", "line 2 has 'x' where a number belongs"),
        ("34260000,1,2,nan,4,5,6,7,8,9,10\n", "line 2 has the value nan"),
        ("86400000,1,2,3,4,5,6,7,8,9,10\n", "line 2 has the time 86400000, outside the day"),
        (",1,2,3,4,5,6,7,8,9,10\n", "line 2 has the time ''"),
        (
            "34260000,1,2,3,4,5\n34320000,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n",
            "line 2 has 6 columns, not 11",
        ),
    ],
)
def test_a_line_that_is_not_leans_is_named_with_file_and_member(
    tmp_path: Path, line: str, problem: str
) -> None:
    other = OPTION.replace("call", "put")
    write(
        tmp_path,
        "option/usa/minute/spy/20240102_quote_american.zip",
        {other: QUOTE_ROW, OPTION: QUOTE_ROW + line},
    )
    with pytest.raises(SchemaMismatch) as raised:
        only(tmp_path)
    assert f"20240102_quote_american.zip: {OPTION} {problem}" in str(raised.value)


def test_a_daily_stamp_that_is_no_date_is_named(tmp_path: Path) -> None:
    write(tmp_path, "equity/usa/daily/spy.zip", {"spy.csv": "2024-01-02,1,1,1,1,1\n"})
    with pytest.raises(SchemaMismatch, match=r"spy\.csv line 1 has the time '2024-01-02'"):
        only(tmp_path)


@pytest.mark.parametrize(
    ("path", "member"),
    [
        ("option/usa/minute/spy/20240102_quote_american.zip", "spy.csv"),
        ("option/usa/minute/spy/20240102_quote_american.zip", OPTION.replace("20240119", "20241399")),
        ("future/cme/minute/es/20240102_quote.zip", "20240102_es_minute_quote_perp.csv"),
    ],
)
def test_a_member_that_does_not_name_its_contract_is_refused(tmp_path: Path, path: str, member: str) -> None:
    write(tmp_path, path, {member: QUOTE_ROW})
    with pytest.raises(SchemaMismatch, match=r"20240102_quote.*\.zip"):
        only(tmp_path)


def test_a_file_that_is_not_named_as_lean_names_it_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "equity/usa/minute/spy/quotes.zip", {"x.csv": QUOTE_ROW})
    with pytest.raises(SchemaMismatch, match="not named as LEAN names"):
        only(tmp_path)


def test_a_root_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="nowhere"):
        list(lean.recordings(tmp_path / "nowhere"))


def test_the_discount_rate_is_the_last_one_set_by_the_day(tmp_path: Path) -> None:
    folder = tmp_path / "alternative/interest-rate/usa"
    folder.mkdir(parents=True)
    (folder / "interest-rate.csv").write_text("DATE,PCREDIT8\n2010-02-19,0.75\n2015-12-17,1.00\n")
    assert lean.discount_rate(tmp_path, date(2015, 12, 16)) == 0.0075
    assert lean.discount_rate(tmp_path, date(2015, 12, 17)) == 0.01
    assert lean.discount_rate(tmp_path, date(2009, 1, 1)) is None
    assert lean.discount_rate(tmp_path / "elsewhere", date(2015, 12, 17)) is None


@pytest.mark.market_data
@needs_market_data
def test_the_whole_goog_chain_of_a_half_day_is_read_with_every_row() -> None:
    (file,) = (
        file
        for file in source_files(LEAN, day=date(2015, 12, 24), symbols={"GOOG"})
        if file.folder == "option" and file.kind == "quote"
    )
    with ZipFile(file.path) as archive:
        lines = sum(archive.read(name).count(b"\n") + 1 for name in archive.namelist())
        blank_ends = sum(archive.read(name).endswith(b"\n") for name in archive.namelist())
    frame = lean.read(file).frame
    assert frame.select("expiry", "strike", "right").n_unique() == 2192
    assert frame.height == lines - blank_ends
    assert frame["session"].unique().to_list() == [date(2015, 12, 24)]


@pytest.mark.market_data
@needs_market_data
def test_every_recording_beside_the_project_has_the_shape_of_its_table() -> None:
    for recording in lean.recordings(LEAN):
        assert recording.frame.schema == recording.table.schema
        assert recording.frame.select(recording.table.key).is_duplicated().sum() == 0
        assert recording.frame.select(pl.col("session", "as_of").null_count().sum()).row(0) == (0, 0)
