"""The replay against the recorded files, read a second time in plain Python."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from trading_pipelines.adapters import lean
from trading_pipelines.adapters.delta import Lake
from trading_pipelines.domain.contracts import Contract, Right, SecurityType
from trading_pipelines.domain.errors import DataError, MissingData, SchemaMismatch
from trading_pipelines.simulated_gateway.replay import RecordedMarket, recorded_market
from trading_pipelines.workflows.import_recordings import import_recordings
from trading_pipelines_tests.adapters.lean_files import write
from trading_pipelines_tests.market_data import LEAN, needs_market_data
from trading_pipelines_tests.simulated_gateway.plain_lean import (
    HALF_DAY_CLOSE,
    MILLISECONDS,
    last_before,
    option_key,
    price,
    rows,
)

HALF_DAY = date(2015, 12, 24)
MIDNIGHT = datetime(2015, 12, 24, 5, tzinfo=UTC)
"""Midnight of New York."""
OPTIONS = LEAN / "option/usa/minute/goog"
EQUITY = LEAN / "equity/usa/minute/goog"


@cache
def goog() -> RecordedMarket:
    return recorded_market(LEAN, HALF_DAY, ["GOOG"])


@cache
def option_quotes() -> dict[tuple[str, float, str], list[list[str]]]:
    path = OPTIONS / "20151224_quote_american.zip"
    return {option_key(member): found for member, found in rows(path)}


def minutes(hour: int, minute: int) -> int:
    return (hour * 60 + minute) * MILLISECONDS


def listed_options(market: RecordedMarket, symbol: str) -> list[Contract]:
    pattern = Contract(security_type=SecurityType.OPTION, symbol=symbol, exchange="SMART")
    return [listed.contract for listed in market.find(pattern)]


def stock(market: RecordedMarket, symbol: str) -> int:
    (listed,) = market.find(Contract(security_type=SecurityType.STOCK, symbol=symbol, exchange="SMART"))
    return listed.contract.con_id


@pytest.mark.market_data
@needs_market_data
@pytest.mark.parametrize(
    "clock", [(9, 30), (9, 31), (9, 35), (10, 0), (11, 25), (12, 55), (13, 0), (16, 0)], ids=str
)
def test_all_2192_contracts_show_the_last_minute_that_had_ended(clock: tuple[int, int]) -> None:
    at = minutes(*clock)
    market, recorded = goog(), option_quotes()
    contracts = listed_options(market, "GOOG")
    quotes = market.quotes([one.con_id for one in contracts], MIDNIGHT + timedelta(milliseconds=at))
    assert len(contracts) == len(recorded) == 2192
    known = 0
    for contract, quote in zip(contracts, quotes, strict=True):
        assert contract.right is not None
        assert contract.strike is not None
        assert contract.expiry is not None
        key = (contract.right.value, contract.strike, f"{contract.expiry:%Y%m%d}")
        row = last_before(recorded[key], at, HALF_DAY_CLOSE)
        if row is None:
            assert (quote.bid, quote.ask, quote.bid_size, quote.ask_size) == (None, None, 0.0, 0.0)
            continue
        known += 1
        assert (quote.bid, quote.ask) == (price(row[4]), price(row[9]))
        assert (quote.bid_size, quote.ask_size) == (float(row[5] or 0), float(row[10] or 0))
    assert (known > 2000) == (clock != (9, 30))
    assert (known == 0) == (clock == (9, 30))


@pytest.mark.market_data
@needs_market_data
def test_trades_of_the_session_so_far_make_volume_last_and_range() -> None:
    at = minutes(11, 0)
    market = goog()
    quotes = dict(
        zip(
            [
                (c.right.value, c.strike, f"{c.expiry:%Y%m%d}")
                for c in listed_options(market, "GOOG")
                if c.right
            ],
            market.quotes(
                [c.con_id for c in listed_options(market, "GOOG")], MIDNIGHT + timedelta(milliseconds=at)
            ),
            strict=True,
        )
    )
    traded = 0
    for member, found in rows(OPTIONS / "20151224_trade_american.zip"):
        quote = quotes[option_key(member)]
        known = [row for row in found if int(row[0]) + MILLISECONDS <= at]
        assert quote.volume == sum(int(row[5]) for row in known)
        if known:
            traded += 1
            assert quote.last == price(known[-1][4])
            assert quote.high == max(int(row[2]) for row in known) / 10_000
            assert quote.low == min(int(row[3]) for row in known) / 10_000
            assert quote.open == price(known[0][1])
    assert traded > 50


@pytest.mark.market_data
@needs_market_data
def test_open_interest_is_that_of_the_morning() -> None:
    market = goog()
    contracts = listed_options(market, "GOOG")
    found = market.quotes([one.con_id for one in contracts], MIDNIGHT + timedelta(hours=9, minutes=30))
    by_key = {
        (c.right.value, c.strike, f"{c.expiry:%Y%m%d}"): quote.open_interest
        for c, quote in zip(contracts, found, strict=True)
        if c.right
    }
    recorded = {
        option_key(member): float(read[-1][1])
        for member, read in rows(OPTIONS / "20151224_openinterest_american.zip")
    }
    assert {key: by_key[key] for key in recorded} == recorded
    assert len(recorded) == 2058


@pytest.mark.market_data
@needs_market_data
def test_the_underlying_follows_the_same_rule_and_knows_yesterdays_close() -> None:
    market = goog()
    con_id = stock(market, "GOOG")
    (_, recorded), *_ = rows(EQUITY / "20151224_quote.zip")
    (_, daily), *_ = rows(LEAN / "equity/usa/daily/goog.zip")
    yesterday = next(row for row in daily if row[0] == "20151223 00:00")
    for clock in ((9, 30), (9, 31), (10, 0), (12, 59), (13, 0), (17, 30)):
        at = minutes(*clock)
        (quote,) = market.quotes([con_id], MIDNIGHT + timedelta(milliseconds=at))
        row = last_before(recorded, at, HALF_DAY_CLOSE)
        expected = (price(row[4]), price(row[9])) if row else (None, None)
        assert (quote.bid, quote.ask) == expected
        assert quote.previous_close == price(yesterday[4])


@pytest.mark.market_data
@needs_market_data
def test_daily_history_ends_before_the_session() -> None:
    market = goog()
    bars = market.bars(
        stock(market, "GOOG"), what="TRADES", seconds=86_400, end=MIDNIGHT + timedelta(days=3), count=504
    )
    (_, daily), *_ = rows(LEAN / "equity/usa/daily/goog.zip")
    before = [row for row in daily if row[0] < "20151224"][-504:]
    assert [(f"{bar.start:%Y%m%d}", bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars] == [
        (row[0][:8], *(int(value) / 10_000 for value in row[1:5]), float(row[5])) for row in before
    ]


@pytest.mark.market_data
@needs_market_data
def test_model_greeks_come_from_two_sided_quotes_and_return_their_mid() -> None:
    market, at = goog(), MIDNIGHT + timedelta(hours=11)
    contracts = listed_options(market, "GOOG")
    spot = market.quotes([stock(market, "GOOG")], at)[0]
    assert spot.bid is not None
    assert spot.ask is not None
    priced = 0
    for contract, quote in zip(contracts, market.quotes([c.con_id for c in contracts], at), strict=True):
        if quote.bid is None or quote.ask is None:
            assert quote.greeks is None
        elif quote.greeks is not None:
            priced += 1
            assert quote.greeks.price == pytest.approx((quote.bid + quote.ask) / 2)
            assert quote.greeks.underlying == pytest.approx((spot.bid + spot.ask) / 2)
            assert contract.right is not None
            assert 0 <= quote.greeks.delta * contract.right.sign <= 1
    assert priced > 800


@pytest.mark.market_data
@needs_market_data
def test_model_volatilities_agree_with_the_vendors_at_the_money() -> None:
    """LEAN's universe of the day holds the vendor's end-of-day volatilities; intraday mids come near."""
    market, at = goog(), MIDNIGHT + timedelta(hours=12, minutes=55)
    vendor = {}
    for line in (LEAN / "option/usa/universes/goog/20151224.csv").read_text().splitlines()[2:]:
        expiry, strike, right, *_, iv, _delta, _gamma, _vega, _theta, _rho = line.split(",")
        vendor[right, float(strike), expiry] = float(iv or "nan")
    differences = [
        quote.greeks.iv - vendor[contract.right.value, contract.strike, f"{contract.expiry:%Y%m%d}"]
        for contract, quote in ((c, market.quotes([c.con_id], at)[0]) for c in listed_options(market, "GOOG"))
        if quote.greeks
        and contract.right
        and contract.strike
        and contract.expiry
        and contract.expiry >= date(2016, 1, 15)
        and abs(contract.strike / quote.greeks.underlying - 1) < 0.05
        and (contract.right.value, contract.strike, f"{contract.expiry:%Y%m%d}") in vendor
    ]
    assert len(differences) > 100
    assert abs(float(np.nanmedian(differences))) < 0.01


@pytest.mark.market_data
@needs_market_data
def test_futures_of_the_date_are_served_in_their_own_hours_with_the_stock() -> None:
    market = recorded_market(LEAN, date(2013, 10, 8))
    (front, *_) = market.find(Contract(security_type=SecurityType.FUTURE, symbol="ES", exchange="CME"))
    assert (front.contract.local_symbol, front.contract.multiplier) == ("ESZ3", 50.0)
    at = datetime(2013, 10, 8, 13, 30, tzinfo=UTC)
    es, spy = market.quotes([front.contract.con_id, stock(market, "SPY")], at)
    assert (spy.bid, spy.ask) == (None, None)
    recorded = dict(rows(LEAN / "future/cme/minute/es/20131008_quote.zip"))[
        "20131008_es_minute_quote_201312.csv"
    ]
    known = [row for row in recorded if int(row[0]) + MILLISECONDS <= 13.5 * 60 * MILLISECONDS]
    assert (es.bid, es.ask) == (float(known[-1][4]), float(known[-1][9]))
    assert market.is_open(front.contract.con_id, datetime(2013, 10, 8, 7, tzinfo=UTC))
    (daily,) = market.bars(front.contract.con_id, what="TRADES", seconds=86_400, end=at, count=5)
    assert (daily.open, daily.close, daily.volume) == (1676.75, 1668.0, 21573 + 1374818)


@pytest.mark.market_data
@needs_market_data
def test_a_lake_serves_the_same_market_as_the_files_it_was_filled_from(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    import_recordings(lambda: lean.recordings(LEAN, symbols=["GOOG"]), lake, lambda _: None)
    stored = recorded_market(tmp_path / "lake", HALF_DAY)
    contracts = listed_options(stored, "GOOG")
    assert contracts == listed_options(goog(), "GOOG")
    con_ids, at = [c.con_id for c in contracts] + [stock(stored, "GOOG")], MIDNIGHT + timedelta(hours=11)

    def seen(market: RecordedMarket) -> list[tuple[float | None, ...]]:
        return [
            (q.bid, q.ask, q.last, q.volume, q.previous_close, q.open_interest)
            for q in market.quotes(con_ids, at)
        ]

    assert seen(stored) == seen(goog())
    with pytest.raises(MissingData, match=r"2015-12-22.*2015-12-23, 2015-12-24, 2015-12-28"):
        recorded_market(tmp_path / "lake", date(2015, 12, 22))


@pytest.mark.market_data
@needs_market_data
def test_con_ids_are_the_same_each_time_and_all_different() -> None:
    contracts = listed_options(goog(), "GOOG")
    again = listed_options(recorded_market(LEAN, HALF_DAY), "GOOG")
    assert contracts == again
    assert len({contract.con_id for contract in contracts}) == 2192


@pytest.mark.market_data
@needs_market_data
def test_a_date_or_an_underlying_that_was_not_recorded_is_named_with_what_there_is() -> None:
    with pytest.raises(
        MissingData, match=r"lean holds no recorded minutes of 2015-12-22.*2015-12-23, 2015-12-24"
    ):
        recorded_market(LEAN, date(2015, 12, 22))
    with pytest.raises(MissingData, match=r"SPY on 2015-12-24 — of that date it holds GOOG"):
        recorded_market(LEAN, HALF_DAY, ["SPY"])


def test_a_holiday_is_no_session() -> None:
    with pytest.raises(DataError, match="2015-12-25 is not an NYSE session"):
        recorded_market(Path("anywhere"), date(2015, 12, 25))


def test_a_half_written_recording_is_named(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "equity/usa/minute/spy/20240102_quote.zip",
        {"20240102_spy_minute_quote.csv": "34200000" + ",1" * 10},
    )
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(SchemaMismatch, match=r"20240102_quote\.zip"):
        recorded_market(tmp_path, date(2024, 1, 2))


def test_an_index_option_is_european_and_priced_from_its_index(tmp_path: Path) -> None:
    member = "20240102_spx_minute_quote_european_put_47000000_20240119.csv"
    quote = "34200000,500000,500000,500000,500000,5,504000,504000,504000,504000,7\n"
    write(tmp_path, "indexoption/usa/minute/spx/20240102_quote_european.zip", {member: quote})
    write(
        tmp_path,
        "index/usa/minute/spx/20240102_trade.zip",
        {"20240102_spx_minute_trade.csv": "30600000,4745,4745,4745,4745,0\n"},
    )
    market = recorded_market(tmp_path, date(2024, 1, 2))
    (option,) = market.find(
        Contract(security_type=SecurityType.OPTION, symbol="SPX", exchange="", right=Right.PUT)
    )
    assert option.exercise_style == "EUROPEAN"
    (parameters,) = market.option_parameters(option.underlying_con_id)
    assert (parameters.expiries, parameters.strikes) == ((date(2024, 1, 19),), (4700.0,))
    (found,) = market.quotes([option.contract.con_id], datetime(2024, 1, 2, 14, 31, tzinfo=UTC))
    assert (found.bid, found.ask) == (50.0, 50.4)
    assert found.greeks is not None
    assert found.greeks.underlying == 4745.0


def test_minutes_are_put_together_to_longer_bars_from_the_open_on(tmp_path: Path) -> None:
    first, later = 34_200_000, 34_200_000 + 6 * MILLISECONDS
    lines = f"{first - MILLISECONDS},1,1,1,1,9\n{first},10000,30000,10000,20000,5\n"
    lines += f"{first + MILLISECONDS},20000,25000,15000,25000,7\n{later},40000,40000,40000,40000,1\n"
    write(tmp_path, "equity/usa/minute/spy/20240102_trade.zip", {"20240102_spy_minute_trade.csv": lines})
    market = recorded_market(tmp_path, date(2024, 1, 2))
    opened = datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
    con_id = stock(market, "SPY")
    early = market.bars(con_id, what="TRADES", seconds=300, end=opened + timedelta(minutes=4), count=9)
    (bar,) = market.bars(con_id, what="TRADES", seconds=300, end=opened + timedelta(minutes=7), count=9)
    assert early == []
    assert (bar.start, bar.open, bar.high, bar.low, bar.close, bar.volume) == (
        opened,
        1.0,
        3.0,
        1.0,
        2.5,
        12.0,
    )
    assert (
        len(market.bars(con_id, what="TRADES", seconds=60, end=opened + timedelta(minutes=7), count=9)) == 3
    )
    assert market.bars(con_id, what="MIDPOINT", seconds=60, end=opened + timedelta(minutes=7), count=9) == []
