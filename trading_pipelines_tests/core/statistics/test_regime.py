"""Regimes told by prices and averages that can be added up by hand."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from trading_pipelines.core.market import calendar
from trading_pipelines.core.statistics import regime as subject
from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.parameters import FutureRoot, Instrument, RegimeParameters, UniverseParameters
from trading_pipelines.domain.tables import (
    BARS,
    FUTURES_CORRELATIONS,
    MARKET_REGIME,
    OPTION_STATISTICS,
    UNDERLYINGS,
)

SESSION = date(2024, 6, 12)
AS_OF = datetime(2024, 6, 12, 15, 0, tzinfo=UTC)
PARAMETERS = RegimeParameters(
    short_average=20, long_average=50, band=0.01, high_iv_rank=30, vix_low=15, vix_normal=20, vix_high=30
)


def instrument(symbol: str, kind: SecurityType = SecurityType.STOCK) -> Instrument:
    traded = kind is SecurityType.STOCK
    return Instrument(symbol=symbol, security_type=kind, exchange="X", currency="USD", trade_options=traded)


UNIVERSE = UniverseParameters(
    underlyings=(instrument("SPY"), instrument("QQQ"), instrument("VIX", SecurityType.INDEX)),
    futures=(
        FutureRoot(symbol="ES", exchange="CME", roll_days_before_expiry=8, cash="SPY"),
        FutureRoot(symbol="NQ", exchange="CME", roll_days_before_expiry=8, cash="QQQ"),
    ),
    volatility_index="VIX",
    volatility_index_3m="VIX3M",
)


def prices(**by_symbol: float | None) -> pl.DataFrame:
    rows = [{"symbol": symbol, "price": price} for symbol, price in by_symbol.items()]
    return pl.DataFrame(rows, schema=UNDERLYINGS.schema)


def bars(closes: list[float], symbol: str = "SPY") -> pl.DataFrame:
    """Daily closes up to the session before, none missing."""
    sessions = calendar.sessions_before(SESSION, len(closes)) if closes else []
    fields = {"resolution": "daily", "what": "trades", "security_type": "STK", "symbol": symbol}
    rows = [{**fields, "session": day, "close": close} for day, close in zip(sessions, closes, strict=True)]
    return pl.DataFrame(rows, schema=BARS.schema)


def regime(
    underlyings: pl.DataFrame,
    history: pl.DataFrame | None = None,
    iv_rank: float | None = None,
    correlations: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """The row of SPY."""
    statistics = pl.DataFrame([{"underlying": "SPY", "iv_rank": iv_rank}], schema=OPTION_STATISTICS.schema)
    found = subject.market_regime(
        underlyings,
        statistics,
        FUTURES_CORRELATIONS.schema.to_frame() if correlations is None else correlations,
        bars([]) if history is None else history,
        UNIVERSE,
        PARAMETERS,
        SESSION,
        AS_OF,
    )
    assert found.schema == MARKET_REGIME.content
    assert found["underlying"].to_list() == ["SPY", "QQQ"]
    return found.row(0, named=True)


def test_averages_hold_the_last_closes_and_the_price_of_the_tick() -> None:
    row = regime(prices(SPY=150.0), bars([40.0] * 60 + [100.0] * 30 + [120.0] * 19))

    assert row["average_20"] == pytest.approx((19 * 120 + 150) / 20)
    assert row["average_50"] == pytest.approx((30 * 100 + 19 * 120 + 150) / 50)
    assert row["price"] == 150.0


@pytest.mark.parametrize(
    ("price", "outlook"),
    [(102.0, "bullish"), (101.0, "neutral"), (100.0, "neutral"), (99.0, "neutral"), (98.0, "bearish")],
)
def test_the_outlook_is_the_price_beyond_the_band_of_both_averages(price: float, outlook: str) -> None:
    assert regime(prices(SPY=price), bars([100.0] * 49))["outlook"] == outlook


def test_a_price_between_its_averages_is_neutral() -> None:
    assert regime(prices(SPY=110.0), bars([100.0] * 30 + [120.0] * 19))["outlook"] == "neutral"


def test_a_short_history_leaves_the_outlook_unknown_and_shows_what_is_known() -> None:
    row = regime(prices(SPY=110.0), bars([100.0] * 48))

    assert (row["outlook"], row["average_50"]) == (None, None)
    assert row["average_20"] == pytest.approx(100.5)


def test_a_session_without_its_close_leaves_the_averages_over_it_unknown() -> None:
    complete = bars([100.0] * 49)
    without_yesterday = complete.head(48)
    a_bad_close = complete.with_columns(
        close=pl.when(pl.col("session") == complete["session"][25]).then(float("nan")).otherwise("close")
    )

    assert regime(prices(SPY=110.0), without_yesterday)["average_20"] is None
    assert regime(prices(SPY=110.0), a_bad_close)["average_50"] is None
    assert regime(prices(SPY=110.0), a_bad_close)["average_20"] is not None


def test_only_daily_trades_of_the_underlying_before_the_session_count() -> None:
    wanted = bars([100.0] * 49)
    others = [
        wanted.with_columns(close=pl.lit(1.0), what=pl.lit("implied_volatility")),
        wanted.with_columns(close=pl.lit(2.0), resolution=pl.lit("minute")),
        wanted.with_columns(close=pl.lit(3.0), symbol=pl.lit("QQQ")),
        wanted.tail(1).with_columns(close=pl.lit(4.0), session=pl.lit(SESSION)),
    ]

    assert regime(prices(SPY=100.0), pl.concat([wanted, *others]))["average_50"] == pytest.approx(100.0)


@pytest.mark.parametrize("price", [None, float("nan"), 0.0])
def test_without_a_price_there_is_no_outlook(price: float | None) -> None:
    row = regime(prices(SPY=price), bars([100.0] * 49))

    assert (row["price"], row["average_20"], row["outlook"]) == (None, None, None)


@pytest.mark.parametrize(("iv_rank", "volatility"), [(30.0, "high"), (29.9, "low"), (None, None)])
def test_volatility_is_high_from_the_threshold_of_the_iv_rank(
    iv_rank: float | None, volatility: str | None
) -> None:
    row = regime(prices(), iv_rank=iv_rank)

    assert (row["volatility"], row["iv_rank"]) == (volatility, iv_rank)


@pytest.mark.parametrize(
    ("vix", "name"),
    [
        (14.9, "low"),
        (15.0, "normal"),
        (19.9, "normal"),
        (20.0, "high"),
        (30.0, "high"),
        (30.1, "extreme"),
        (None, None),
    ],
)
def test_vix_regimes_are_low_normal_high_and_extreme(vix: float | None, name: str | None) -> None:
    row = regime(prices(VIX=vix))

    assert (row["vix"], row["vix_regime"]) == (vix, name)


@pytest.mark.parametrize(
    ("vix", "vix3m", "structure"),
    [(15.0, 17.0, "contango"), (15.0, 15.0, "contango"), (20.0, 19.0, "inverted"), (15.0, None, None)],
)
def test_the_term_structure_is_inverted_below_the_thirty_day_index(
    vix: float, vix3m: float | None, structure: str | None
) -> None:
    assert regime(prices(VIX=vix, VIX3M=vix3m))["term_structure"] == structure


def test_the_average_correlation_is_that_with_the_futures_on_other_indices() -> None:
    rows = [
        ("ES", "SPY", "daily", 0.99),  # its own index
        ("NQ", "SPY", "daily", 0.90),
        ("ES", "QQQ", "daily", 0.80),
        ("NQ", "QQQ", "daily", 0.99),
        ("ES", "VIX", "daily", -0.70),
        ("NQ", "SPY", "session", 0.10),
    ]
    correlations = pl.DataFrame(
        [dict(zip(("future", "underlying", "frequency", "correlation"), row, strict=True)) for row in rows],
        schema=FUTURES_CORRELATIONS.schema,
    )

    assert regime(prices(), correlations=correlations)["average_correlation"] == pytest.approx(0.85)
    assert regime(prices())["average_correlation"] is None


def test_without_any_input_every_underlying_has_a_row_of_nulls() -> None:
    row = regime(UNDERLYINGS.schema.to_frame())

    known = {name for name, value in row.items() if value is not None}
    assert known == {"session", "as_of", "underlying"}
