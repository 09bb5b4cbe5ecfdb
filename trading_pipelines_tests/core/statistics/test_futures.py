"""Returns built by hand; correlation, beta and p-value answered by scipy.stats and by construction."""

import random
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import linregress

from trading_pipelines.core.market import calendar
from trading_pipelines.core.statistics import futures as subject
from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.parameters import (
    FutureRoot,
    Instrument,
    StatisticsParameters,
    UniverseParameters,
)
from trading_pipelines.domain.tables import BARS, FUTURES, FUTURES_CORRELATIONS, UNDERLYINGS

SESSION = date(2024, 6, 12)
AS_OF = datetime(2024, 6, 12, 15, 0, tzinfo=UTC)
JUNE, SEPTEMBER = date(2024, 6, 21), date(2024, 9, 20)
UNIVERSE = UniverseParameters(
    underlyings=(
        Instrument(
            symbol="SPY",
            security_type=SecurityType.STOCK,
            exchange="SMART",
            currency="USD",
            trade_options=True,
        ),
    ),
    futures=(FutureRoot(symbol="ES", exchange="CME", roll_days_before_expiry=8, cash="SPY"),),
    volatility_index="VIX",
    volatility_index_3m="VIX3M",
)
PARAMETERS = StatisticsParameters(
    rank_sessions=252, min_rank_sessions=60, correlation_sessions=60, min_correlation_observations=20
)
WINDOW = calendar.sessions_before(SESSION, 61)


def series(
    symbol: str, closes: list[float], sessions: list[date] | None = None, expiry: date | None = None
) -> pl.DataFrame:
    days = sessions or WINDOW[-len(closes) :]
    kind = "STK" if expiry is None else "FUT"
    rows = [
        {"session": day, "resolution": "daily", "what": "trades", "security_type": kind, "symbol": symbol}
        | {"expiry": expiry, "close": close}
        for day, close in zip(days, closes, strict=True)
    ]
    return pl.DataFrame(rows, schema=BARS.schema)


def future(price: float | None, expiry: date = SEPTEMBER) -> pl.DataFrame:
    return pl.DataFrame([{"symbol": "ES", "expiry": expiry, "price": price}], schema=FUTURES.schema)


def stock(price: float | None) -> pl.DataFrame:
    return pl.DataFrame([{"symbol": "SPY", "price": price}], schema=UNDERLYINGS.schema)


def walk(seed: int, count: int = 61) -> list[float]:
    source = random.Random(seed)
    returns = np.array([source.gauss(0, 0.01) for _ in range(count)])
    closes: list[float] = (100 * np.exp(np.cumsum(returns))).tolist()
    return closes


def noisy(closes: list[float], seed: int) -> list[float]:
    source = random.Random(seed)
    return [close**0.8 * np.exp(source.gauss(0, 0.004)) for close in closes]


def rows(bars: pl.DataFrame, futures: pl.DataFrame, underlyings: pl.DataFrame) -> dict[str, dict[str, Any]]:
    found = subject.correlations(futures, underlyings, bars, UNIVERSE, PARAMETERS, SESSION, AS_OF)
    assert found.schema == FUTURES_CORRELATIONS.content
    return {row["frequency"]: row for row in found.iter_rows(named=True)}


def log_returns(closes: list[float]) -> np.ndarray:
    return np.diff(np.log(closes))


def test_correlation_beta_and_p_value_are_those_of_a_regression() -> None:
    es = walk(1)
    spy = noisy(es, 2)

    daily = rows(
        pl.concat([series("ES", es, expiry=SEPTEMBER), series("SPY", spy)]), future(None), stock(None)
    )["daily"]

    expected = linregress(log_returns(es), log_returns(spy))
    assert (daily["future"], daily["underlying"], daily["observations"]) == ("ES", "SPY", 60)
    assert daily["correlation"] == pytest.approx(expected.rvalue, rel=1e-9)
    assert daily["beta"] == pytest.approx(expected.slope, rel=1e-9)
    assert daily["p_value"] == pytest.approx(expected.pvalue, rel=1e-6)


def test_unrelated_walks_have_a_high_p_value() -> None:
    es, spy = walk(3), walk(4)

    daily = rows(
        pl.concat([series("ES", es, expiry=SEPTEMBER), series("SPY", spy)]), future(None), stock(None)
    )["daily"]

    assert daily["p_value"] == pytest.approx(linregress(log_returns(es), log_returns(spy)).pvalue, rel=1e-6)


def test_a_future_of_double_leverage_has_correlation_one_and_beta_a_half() -> None:
    spy = walk(5)
    es = [close**2 for close in spy]

    daily = rows(
        pl.concat([series("ES", es, expiry=SEPTEMBER), series("SPY", spy)]), future(None), stock(None)
    )["daily"]

    assert daily["correlation"] == pytest.approx(1.0)
    assert daily["beta"] == pytest.approx(0.5)
    assert daily["p_value"] == pytest.approx(0.0, abs=1e-12)


def test_the_session_window_ends_with_the_return_so_far_today() -> None:
    es = walk(6)
    spy = noisy(es, 7)
    bars = pl.concat([series("ES", es, expiry=SEPTEMBER), series("SPY", spy)])

    session = rows(bars, future(es[-1] * 1.02), stock(spy[-1] * 0.99))["session"]

    expected = linregress(log_returns([*es[1:], es[-1] * 1.02]), log_returns([*spy[1:], spy[-1] * 0.99]))
    assert session["observations"] == 60
    assert session["correlation"] == pytest.approx(expected.rvalue, rel=1e-9)


@pytest.mark.parametrize("price", [None, float("nan"), 0.0])
def test_without_both_prices_of_today_the_session_window_is_unknown(price: float | None) -> None:
    es = walk(8)
    bars = pl.concat([series("ES", es, expiry=SEPTEMBER), series("SPY", noisy(es, 9))])

    found = rows(bars, future(es[-1]), stock(price))

    assert (found["session"]["observations"], found["session"]["correlation"]) == (0, None)
    assert found["daily"]["observations"] == 60


@pytest.mark.parametrize(("closes", "known"), [(20, False), (21, True)])
def test_too_few_observations_are_counted_and_give_nothing(closes: int, known: bool) -> None:
    es = walk(10, closes)
    bars = pl.concat([series("ES", es, expiry=SEPTEMBER), series("SPY", noisy(es, 11))])

    daily = rows(bars, future(None), stock(None))["daily"]

    assert daily["observations"] == closes - 1
    assert {daily[name] is not None for name in ("correlation", "beta", "p_value")} == {known}


def test_a_session_that_one_of_them_lacks_makes_no_return() -> None:
    es, spy = walk(12), walk(13)
    holiday = date(2024, 5, 27)  # CME trades on Memorial Day
    with_holiday = pl.concat(
        [series("ES", es, expiry=SEPTEMBER), series("ES", [50.0], [holiday], SEPTEMBER), series("SPY", spy)]
    )
    with_hole = with_holiday.filter((pl.col("symbol") != "SPY") | (pl.col("session") != WINDOW[30]))

    assert rows(with_holiday, future(None), stock(None))["daily"]["observations"] == 60
    assert rows(with_hole, future(None), stock(None))["daily"]["observations"] == 58


def test_a_roll_makes_no_return() -> None:
    spy = walk(14)
    june = series("ES", spy[:40], WINDOW[:40], JUNE)
    september = series("ES", [close * 1.5 for close in spy[39:]], WINDOW[39:], SEPTEMBER)

    daily = rows(pl.concat([june, september, series("SPY", spy)]), future(None), stock(None))["daily"]

    assert daily["observations"] == 60
    assert daily["beta"] == pytest.approx(1.0)


def test_of_several_contracts_the_quoted_one_counts() -> None:
    spy = walk(15)
    june = series("ES", walk(16), WINDOW, JUNE)
    september = series("ES", spy, WINDOW, SEPTEMBER)

    daily = rows(pl.concat([june, september, series("SPY", spy)]), future(None), stock(None))["daily"]

    assert daily["correlation"] == pytest.approx(1.0)


def test_prices_that_do_not_move_have_no_correlation() -> None:
    bars = pl.concat([series("ES", [100.0] * 61, expiry=SEPTEMBER), series("SPY", walk(17))])

    daily = rows(bars, future(None), stock(None))["daily"]

    assert (daily["observations"], daily["correlation"], daily["beta"], daily["p_value"]) == (
        60,
        None,
        None,
        None,
    )


def test_without_anything_every_pair_is_there_and_unknown() -> None:
    found = rows(BARS.schema.to_frame(), FUTURES.schema.to_frame(), UNDERLYINGS.schema.to_frame())

    assert set(found) == {"daily", "session"}
    assert all(row["correlation"] is None and row["observations"] == 0 for row in found.values())


def test_bad_bars_are_left_out() -> None:
    es, spy = walk(18), walk(19)
    broken = [*es[:30], float("nan"), *es[31:50], -1.0, *es[51:]]

    daily = rows(
        pl.concat([series("ES", broken, expiry=SEPTEMBER), series("SPY", spy)]), future(None), stock(None)
    )["daily"]

    assert daily["observations"] == 56
    assert daily["correlation"] is not None
