"""The synthetic market from outside: what a client could see of it."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from trading_pipelines.core.market import calendar
from trading_pipelines.domain.contracts import Contract, Right, SecurityType
from trading_pipelines.domain.errors import DataError
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines.simulated_gateway.source import MarketQuote

SESSION = date(2024, 6, 12)
OPEN, CLOSE = datetime(2024, 6, 12, 13, 30, tzinfo=UTC), datetime(2024, 6, 12, 20, 0, tzinfo=UTC)
NOON = datetime(2024, 6, 12, 16, 0, tzinfo=UTC)
MARKET = SyntheticMarket(7, SESSION)
SPY, QQQ, IWM, VIX, VIX3M = 101, 102, 103, 111, 112


def options(symbol: str, expiry: date, right: Right | None = None) -> list[Contract]:
    pattern = Contract(
        security_type=SecurityType.OPTION, symbol=symbol, exchange="SMART", expiry=expiry, right=right
    )
    return [listed.contract for listed in MARKET.find(pattern)]


def future(root: str) -> int:
    listed = MARKET.find(Contract(security_type=SecurityType.FUTURE, symbol=root, exchange="CME"))
    return listed[1].contract.con_id


def quote(con_id: int, at: datetime, market: SyntheticMarket = MARKET) -> MarketQuote:
    return market.quotes([con_id], at)[0]


def mid(found: MarketQuote) -> float:
    assert found.bid is not None
    assert found.ask is not None
    return (found.bid + found.ask) / 2


def closes(con_id: int, what: str, count: int, market: SyntheticMarket = MARKET) -> list[float]:
    return [bar.close for bar in market.bars(con_id, what=what, seconds=86_400, end=OPEN, count=count)]


def everything() -> list[int]:
    chains = [options(symbol, date(2024, 7, 19)) for symbol in ("SPY", "QQQ", "IWM")]
    chosen = [contract.con_id for chain in chains for contract in chain]
    return [*chosen, SPY, QQQ, IWM, VIX, VIX3M, future("ES"), future("NQ"), future("RTY")]


def test_the_levels_are_those_of_the_default_date_whatever_the_seed() -> None:
    for seed in range(20):
        market = SyntheticMarket(seed, SESSION)
        spy, qqq, iwm, vix = (found.last or 0.0 for found in market.quotes([SPY, QQQ, IWM, VIX], OPEN))
        assert spy == pytest.approx(540, rel=0.07)
        assert qqq == pytest.approx(475, rel=0.07)
        assert iwm == pytest.approx(203, rel=0.07)
        assert vix == pytest.approx(13, abs=4)


def test_the_same_seed_is_the_same_market_and_another_seed_is_another() -> None:
    con_ids = everything()
    assert SyntheticMarket(7, SESSION).quotes(con_ids, NOON) == MARKET.quotes(con_ids, NOON)
    assert quote(SPY, NOON, SyntheticMarket(8, SESSION)) != quote(SPY, NOON)


def test_a_seed_has_one_history_whatever_session_the_market_stands_on() -> None:
    con_ids = everything()
    for session in (date(2024, 5, 1), date(2025, 3, 3)):
        other = SyntheticMarket(7, session)
        assert other.quotes(con_ids, NOON) == MARKET.quotes(con_ids, NOON)
        assert closes(SPY, "OPTION_IMPLIED_VOLATILITY", 50, other) == closes(
            SPY, "OPTION_IMPLIED_VOLATILITY", 50
        )


def test_what_was_seen_at_a_time_does_not_change_when_it_is_asked_again_later() -> None:
    con_ids = everything()
    market = SyntheticMarket(3, SESSION)
    seen = market.quotes(con_ids, NOON), market.bars(SPY, what="TRADES", seconds=300, end=NOON, count=50)
    market.quotes(con_ids, CLOSE + timedelta(days=2))
    market.bars(SPY, what="TRADES", seconds=60, end=CLOSE + timedelta(days=2), count=1000)
    again = market.quotes(con_ids, NOON), market.bars(SPY, what="TRADES", seconds=300, end=NOON, count=50)
    assert again == seen


def test_the_chain_obeys_put_call_parity_within_the_rounding_of_its_quotes() -> None:
    expiry, at = date(2024, 7, 19), NOON
    years = (datetime(2024, 7, 19, 20, tzinfo=UTC) - at).total_seconds() / (365 * 86_400)
    spot = mid(quote(SPY, at))
    calls, puts = options("SPY", expiry, Right.CALL), options("SPY", expiry, Right.PUT)
    call_quotes = MARKET.quotes([contract.con_id for contract in calls], at)
    put_quotes = MARKET.quotes([contract.con_id for contract in puts], at)
    pairs = 0
    for contract, call, put in zip(calls, call_quotes, put_quotes, strict=True):
        strike = contract.strike or 0.0
        if abs(strike / spot - 1) < 0.015:  # farther in the money early exercise binds
            forward = spot * math.exp(-0.013 * years) - strike * math.exp(-0.045 * years)
            assert mid(call) - mid(put) == pytest.approx(forward, abs=0.02)
            pairs += 1
    assert pairs > 10


def test_quotes_lie_on_ticks_with_the_model_between_them_and_never_below_zero() -> None:
    contracts = options("SPY", date(2024, 7, 19)) + options("IWM", date(2024, 6, 14))
    missing = 0
    for found in MARKET.quotes([contract.con_id for contract in contracts], NOON):
        assert found.greeks is not None
        assert found.ask is not None
        assert round(found.ask, 2) == found.ask
        missing += found.bid is None
        if found.bid is not None:
            assert round(found.bid, 2) == found.bid > 0
            assert found.ask - found.bid >= 0.00999
            assert found.bid - 0.01 <= found.greeks.price <= found.ask + 0.01
            assert found.ask_size > 0 < found.bid_size
        else:
            assert found.bid_size == 0
    assert 0 < missing < len(contracts)


def test_options_of_the_entry_window_are_quoted_tightly_enough_to_trade() -> None:
    for symbol in ("SPY", "QQQ", "IWM"):
        for found in MARKET.quotes([c.con_id for c in options(symbol, date(2024, 7, 26))], NOON):
            if found.greeks and found.bid and found.ask and 0.10 <= abs(found.greeks.delta) <= 0.55:
                assert found.ask - found.bid <= max(0.10 * mid(found), 0.02) + 1e-9


def test_greeks_have_the_signs_and_units_of_the_broker() -> None:
    expiry = date(2024, 7, 19)
    for right in Right:
        contracts = options("SPY", expiry, right)
        greeks = [found.greeks for found in MARKET.quotes([c.con_id for c in contracts], NOON)]
        deltas = np.array([g.delta for g in greeks if g])
        assert np.all(deltas * right.sign >= 0)
        assert np.all(np.abs(deltas) <= 1)
    at_the_money = min(
        (
            found.greeks
            for found in MARKET.quotes([c.con_id for c in options("SPY", expiry, Right.CALL)], NOON)
            if found.greeks
        ),
        key=lambda g: abs(g.delta - 0.5),
    )
    # Rules of thumb at the money: vega 0.4·S·√T/100, theta −0.4·S·σ/(2·√T)/365 and a little carry.
    years = 37.17 / 365
    assert at_the_money.vega == pytest.approx(
        0.4 * at_the_money.underlying * math.sqrt(years) / 100, rel=0.02
    )
    decay = 0.4 * at_the_money.underlying * at_the_money.iv / (2 * math.sqrt(years)) / 365
    assert -1.5 * decay < at_the_money.theta < -decay


def test_vix_is_the_variance_swap_of_spys_own_chain() -> None:
    """Cboe's method (VIX White Paper) on two expiries of SPY around 30 days, in plain Python."""
    at, days = NOON, []
    for expiry in (date(2024, 7, 12), date(2024, 7, 19)):
        years = (datetime(expiry.year, expiry.month, expiry.day, 20, tzinfo=UTC) - at).total_seconds() / (
            365 * 86_400
        )
        days.append((years * 365, years * _cboe_variance(expiry, years, at)))
    (near, near_variance), (next_, next_variance) = days
    weight = (next_ - 30) / (next_ - near)
    variance = (near_variance * weight + next_variance * (1 - weight)) * 365 / 30
    assert quote(VIX, at).last == pytest.approx(100 * math.sqrt(variance), rel=0.04)
    assert (quote(VIX3M, at).last or 0) > (quote(VIX, at).last or 0)


def _cboe_variance(expiry: date, years: float, at: datetime) -> float:
    growth = math.exp(0.045 * years)
    calls, puts = options("SPY", expiry, Right.CALL), options("SPY", expiry, Right.PUT)
    strikes = [contract.strike or 0.0 for contract in calls]
    call_mids = _mids(calls, at)
    put_mids = _mids(puts, at)
    at_the_money = min(range(len(strikes)), key=lambda i: abs(call_mids[i] - put_mids[i]))
    forward = strikes[at_the_money] + growth * (call_mids[at_the_money] - put_mids[at_the_money])
    total = 0.0
    for i in range(1, len(strikes) - 1):
        price = call_mids[i] if strikes[i] > forward else put_mids[i]
        total += (strikes[i + 1] - strikes[i - 1]) / 2 / strikes[i] ** 2 * growth * price
    base = max(strike for strike in strikes if strike <= forward)
    return (2 * total - (forward / base - 1) ** 2) / years


def _mids(contracts: Sequence[Contract], at: datetime) -> list[float]:
    quotes = MARKET.quotes([contract.con_id for contract in contracts], at)
    return [mid(found) if found.bid is not None else 0.0 for found in quotes]


def test_there_are_two_years_of_daily_history_and_nothing_of_today() -> None:
    sessions = calendar.sessions_before(SESSION, 504)
    for con_id, what in (
        (SPY, "TRADES"),
        (IWM, "OPTION_IMPLIED_VOLATILITY"),
        (VIX, "TRADES"),
        (QQQ, "HISTORICAL_VOLATILITY"),
    ):
        bars = MARKET.bars(con_id, what=what, seconds=86_400, end=NOON, count=504)
        assert [bar.start for bar in bars] == [
            datetime(day.year, day.month, day.day, tzinfo=UTC) for day in sessions
        ]
        assert all(
            bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars
        )
    futures = MARKET.bars(future("ES"), what="TRADES", seconds=86_400, end=NOON, count=504)
    assert len(futures) == 504
    assert futures[-1].start.date() == date(2024, 6, 11)


def test_series_that_do_not_exist_are_empty() -> None:
    assert MARKET.bars(VIX, what="OPTION_IMPLIED_VOLATILITY", seconds=86_400, end=OPEN, count=5) == []
    assert MARKET.bars(SPY, what="FEE_RATE", seconds=86_400, end=OPEN, count=5) == []
    assert MARKET.bars(999, what="TRADES", seconds=86_400, end=OPEN, count=5) == []


def test_iv_ranks_spread_over_the_whole_range_from_seed_to_seed() -> None:
    ranks = []
    for seed in range(4):
        market = SyntheticMarket(seed, SESSION)
        for con_id in (SPY, QQQ, IWM):
            history = np.array(closes(con_id, "OPTION_IMPLIED_VOLATILITY", 252, market))
            ranks.append(100 * (history[-1] - history.min()) / (history.max() - history.min()))
    assert min(ranks) < 20
    assert max(ranks) > 60
    assert np.std(ranks) > 12


def test_minute_bars_add_up_to_the_daily_bar_and_agree_with_the_quotes() -> None:
    minutes = MARKET.bars(SPY, what="TRADES", seconds=60, end=CLOSE, count=390)
    (daily,) = MARKET.bars(SPY, what="TRADES", seconds=86_400, end=CLOSE, count=1)
    assert [bar.start for bar in minutes] == [OPEN + timedelta(minutes=number) for number in range(390)]
    assert (minutes[0].open, minutes[-1].close) == (daily.open, daily.close)
    assert (max(bar.high for bar in minutes), min(bar.low for bar in minutes)) == (daily.high, daily.low)
    assert minutes[99].close == quote(SPY, OPEN + timedelta(minutes=100)).last


def test_a_bar_that_has_not_ended_is_not_there() -> None:
    (last,) = MARKET.bars(SPY, what="TRADES", seconds=300, end=NOON + timedelta(minutes=4), count=1)
    assert last.start == NOON - timedelta(minutes=5)


def test_returns_fall_with_rising_volatility_and_indices_move_together() -> None:
    days = [
        {
            bar.start: bar.close
            for bar in MARKET.bars(con_id, what="TRADES", seconds=86_400, end=OPEN, count=504)
        }
        for con_id in (SPY, QQQ, VIX, future("ES"))
    ]
    shared = sorted(set.intersection(*(set(series) for series in days)))  # CME trades on some holidays
    spy, qqq, vix, es = (np.diff(np.log([series[day] for day in shared])) for series in days)
    assert np.corrcoef(spy, vix)[0, 1] < -0.5
    assert 0.8 < np.corrcoef(spy, qqq)[0, 1] < 0.99
    # The future's day ends an hour after the stock's: together, but not the same.
    assert np.corrcoef(spy, es)[0, 1] > 0.8
    implied = np.mean(closes(SPY, "OPTION_IMPLIED_VOLATILITY", 504))
    assert 0.6 * implied < spy.std() * math.sqrt(252) < 1.3 * implied


def test_futures_lead_the_cash_market_a_little() -> None:
    seconds = 20
    times = [NOON + timedelta(seconds=seconds * number) for number in range(300)]
    es, spy = (np.diff([math.log(mid(quote(con_id, at))) for at in times]) for con_id in (future("ES"), SPY))
    assert np.corrcoef(es[:-1], spy[1:])[0, 1] > np.corrcoef(es[1:], spy[:-1])[0, 1] + 0.3


def test_futures_trade_23_hours_and_stocks_in_their_session_only() -> None:
    es = future("ES")
    evening, the_break = datetime(2024, 6, 13, 1, tzinfo=UTC), datetime(2024, 6, 12, 21, 30, tzinfo=UTC)
    weekend = datetime(2024, 6, 15, 16, tzinfo=UTC)
    assert MARKET.is_open(es, evening)
    assert quote(es, evening).bid is not None
    for closed in (the_break, weekend):
        assert not MARKET.is_open(es, closed)
        assert quote(es, closed).bid is None
    assert MARKET.is_open(SPY, OPEN)
    assert not MARKET.is_open(SPY, CLOSE)
    assert quote(SPY, evening).bid is None
    assert (
        quote(SPY, evening).last
        == MARKET.bars(SPY, what="TRADES", seconds=86_400, end=CLOSE, count=1)[0].close
    )


def test_futures_carry_the_index_and_quote_on_their_ticks() -> None:
    found, spot = quote(future("ES"), NOON), mid(quote(SPY, NOON))
    years = 100 / 365
    assert mid(found) == pytest.approx(10 * spot * math.exp((0.045 - 0.013) * years), rel=0.001)
    assert (found.bid or 0) % 0.25 == 0
    assert (found.ask or 0) - (found.bid or 0) == 0.25
    small = quote(future("RTY"), NOON)
    assert (small.ask or 0) - (small.bid or 0) == pytest.approx(0.1)


def test_a_half_day_ends_at_13_new_york() -> None:
    session, close = date(2024, 7, 3), datetime(2024, 7, 3, 17, tzinfo=UTC)
    market = MARKET.on(session)
    assert quote(SPY, close - timedelta(seconds=1), market).bid is not None
    assert quote(SPY, close, market).bid is None
    bars = market.bars(SPY, what="TRADES", seconds=300, end=close + timedelta(hours=3), count=42)
    assert bars[0].start == datetime(2024, 7, 3, 13, 30, tzinfo=UTC)
    assert bars[-1].start == datetime(2024, 7, 3, 16, 55, tzinfo=UTC)


def test_previous_close_is_that_of_the_session_before() -> None:
    for con_id in (SPY, VIX):
        assert quote(con_id, NOON).previous_close == closes(con_id, "TRADES", 1)[0]
    option = options("SPY", date(2024, 7, 19), Right.CALL)[60].con_id
    last_night = datetime(2024, 6, 11, 21, tzinfo=UTC)
    assert quote(option, NOON).previous_close == quote(option, last_night).last


def test_an_expired_option_shows_what_it_paid_and_no_market() -> None:
    strike = 500.0
    (call,) = (c for c in options("SPY", date(2024, 6, 14), Right.CALL) if c.strike == strike)
    after = datetime(2024, 6, 14, 20, 30, tzinfo=UTC)
    found = quote(call.con_id, after)
    assert (found.bid, found.ask, found.greeks) == (None, None, None)
    assert found.last == pytest.approx((quote(SPY, after).last or 0) - strike, abs=0.011)
    assert not MARKET.is_open(call.con_id, after)


def test_the_unknown_has_an_empty_quote_in_its_place() -> None:
    spy, nothing, vix = MARKET.quotes([SPY, 999, VIX], NOON)
    assert (spy.last, vix.last) == (quote(SPY, NOON).last, quote(VIX, NOON).last)
    assert (nothing.bid, nothing.ask, nothing.last, nothing.previous_close) == (None, None, None, None)


def test_a_day_without_a_session_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="2024-07-04 is not an NYSE session"):
        SyntheticMarket(7, date(2024, 7, 4))
    with pytest.raises(DataError, match="outside"):
        MARKET.quotes([SPY], datetime(2024, 12, 2, 15, tzinfo=UTC))
