"""Chains made of known volatilities (QuantLib's prices, or ours checked against it), and recorded GOOG."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trading_pipelines.adapters import lean
from trading_pipelines.core.market import black_scholes, calendar
from trading_pipelines.core.statistics import options as subject
from trading_pipelines.domain.parameters import PricingParameters, StatisticsParameters
from trading_pipelines.domain.tables import (
    BARS,
    OPTION_GREEKS,
    OPTION_STATISTICS,
    OPTIONS,
    QUOTES,
)
from trading_pipelines_tests.market_data import LEAN, needs_market_data

SESSION = date(2024, 6, 12)
AS_OF = datetime(2024, 6, 12, 15, 0, tzinfo=UTC)
NEAR, MONTHLY, FAR, LAST = date(2024, 6, 21), date(2024, 7, 19), date(2024, 8, 16), date(2024, 9, 20)
SPOT, RATE, DIVIDEND_YIELD = 100.0, 0.045, 0.02
PRICING = PricingParameters(rate=RATE, dividend_yields={"SPY": DIVIDEND_YIELD}, parity_pairs=6)
STATISTICS = StatisticsParameters(
    rank_sessions=252, min_rank_sessions=60, correlation_sessions=60, min_correlation_observations=20
)
Smile = Callable[[float, float], float]
"""Volatility by strike and years."""


def years_to(expiry: date, as_of: datetime = AS_OF) -> float:
    """16:00 in New York is 20:00 UTC in summer; actual days over 365."""
    return (datetime(expiry.year, expiry.month, expiry.day, 20, tzinfo=UTC) - as_of) / timedelta(days=365)


def flat(_strike: float, _years: float) -> float:
    return 0.20


def chain(
    *expiries: date, smile: Smile = flat, true_yield: float = DIVIDEND_YIELD, **fields: Any
) -> pl.DataFrame:
    """OPTIONS of SPY at 100, strikes 70 to 130, two cents around their value."""
    rows = [
        {"expiry": expiry, "strike": float(strike), "right": right}
        for expiry in expiries
        for strike in range(70, 131)
        for right in "CP"
    ]
    values = [
        float(
            black_scholes.price(
                spot=SPOT,
                strike=row["strike"],
                years=years_to(row["expiry"]),
                rate=RATE,
                dividend_yield=true_yield,
                right=1 if row["right"] == "C" else -1,
                volatility=smile(row["strike"], years_to(row["expiry"])),
            )
        )
        for row in rows
    ]
    quote = {"session": SESSION, "as_of": AS_OF, "underlying": "SPY", "symbol": "SPY", "status": "ok"}
    return pl.DataFrame(
        [
            {
                **quote,
                "underlying_price": SPOT,
                **row,
                "con_id": number,
                "bid": value - 0.001,
                "ask": value + 0.001,
            }
            | fields
            for number, (row, value) in enumerate(zip(rows, values, strict=True))
        ],
        schema=OPTIONS.schema,
    )


def changed(options: pl.DataFrame, con_id: int, **fields: Any) -> pl.DataFrame:
    return options.with_columns(
        pl.when(pl.col("con_id") == con_id)
        .then(pl.lit(value, OPTIONS.schema[name]))
        .otherwise(name)
        .alias(name)
        for name, value in fields.items()
    )


def at(frame: pl.DataFrame, strike: float, right: str, expiry: date = MONTHLY) -> dict[str, Any]:
    return frame.row(
        by_predicate=(pl.col("strike") == strike) & (pl.col("right") == right) & (pl.col("expiry") == expiry),
        named=True,
    )


def history(values: list[float], symbol: str = "SPY", session: date = SESSION) -> pl.DataFrame:
    """Daily implied volatility up to the session before."""
    sessions = calendar.sessions_before(session, len(values)) if values else []
    rows = [
        {
            "session": day,
            "what": "implied_volatility",
            "symbol": symbol,
            "close": value,
            "resolution": "daily",
        }
        for day, value in zip(sessions, values, strict=True)
    ]
    return pl.DataFrame(rows, schema=BARS.schema)


def summary(options: pl.DataFrame, iv_history: pl.DataFrame | None = None) -> dict[str, Any]:
    greeks = subject.greeks(options, AS_OF, PRICING)
    past = history([]) if iv_history is None else iv_history
    return subject.statistics(options, greeks, past, STATISTICS).row(0, named=True)


# --- Greeks per option ---------------------------------------------------------------------------


def test_a_known_volatility_and_its_greeks_are_found_again() -> None:
    greeks = subject.greeks(chain(MONTHLY), AS_OF, PRICING)

    row = at(greeks, 105.0, "C")
    assert greeks.schema == OPTION_GREEKS.content
    assert row["iv_status"] == "ok"
    assert row["iv"] == pytest.approx(0.20, abs=1e-6)
    assert row["years"] == pytest.approx(37.208333 / 365, rel=1e-6)  # 37 days and five hours
    assert row["forward"] == pytest.approx(SPOT * math.exp((RATE - DIVIDEND_YIELD) * row["years"]), rel=1e-9)
    assert row["forward_source"] == "parity"
    assert row["dividend_yield"] == pytest.approx(DIVIDEND_YIELD, abs=1e-9)
    # QuantLib 1.44, BlackCalculator: spot 100, strike 105, 37.208333 days, rate 4.5 %, yield 2 %, 20 %
    assert row["delta"] == pytest.approx(0.2439007, abs=1e-5)
    assert row["gamma"] == pytest.approx(0.0490648, abs=1e-5)
    assert row["vega_per_vol_point"] == pytest.approx(0.1000339, abs=1e-5)
    assert row["theta_per_day"] == pytest.approx(-0.0284451, abs=1e-5)
    assert row["rho"] == pytest.approx(0.0239520, abs=1e-5)


def test_parity_finds_the_forward_that_the_configured_yield_would_miss() -> None:
    options = chain(MONTHLY, true_yield=0.08)

    row = at(subject.greeks(options, AS_OF, PRICING), 100.0, "P")

    assert row["forward_source"] == "parity"
    assert row["dividend_yield"] == pytest.approx(0.08, abs=1e-9)
    assert row["iv"] == pytest.approx(0.20, abs=1e-6)


def test_without_pairs_the_forward_is_the_spot_carried_to_expiry() -> None:
    calls = chain(MONTHLY).filter(pl.col("right") == "C")

    row = at(subject.greeks(calls, AS_OF, PRICING), 100.0, "C")

    assert row["forward_source"] == "carry"
    assert row["dividend_yield"] == pytest.approx(DIVIDEND_YIELD)
    assert row["forward"] == pytest.approx(SPOT * math.exp((RATE - DIVIDEND_YIELD) * row["years"]))
    assert row["iv"] == pytest.approx(0.20, abs=1e-6)


def test_an_underlying_without_a_configured_yield_is_carried_without_one() -> None:
    calls = chain(MONTHLY, underlying="XYZ", symbol="XYZ").filter(pl.col("right") == "C")

    assert at(subject.greeks(calls, AS_OF, PRICING), 100.0, "C")["dividend_yield"] == pytest.approx(0.0)


def test_one_absurd_quote_at_the_money_does_not_move_the_forward() -> None:
    options = chain(MONTHLY)
    absurd = changed(options, at(options, 100.0, "C")["con_id"], bid=20.0, ask=24.0)

    forward = at(subject.greeks(absurd, AS_OF, PRICING), 100.0, "P")["forward"]

    assert forward == pytest.approx(
        at(subject.greeks(options, AS_OF, PRICING), 100.0, "P")["forward"], rel=1e-4
    )


def test_a_forward_far_from_the_spot_is_not_believed() -> None:
    stale_spot = chain(MONTHLY).with_columns(underlying_price=80.0)

    assert set(subject.greeks(stale_spot, AS_OF, PRICING)["forward_source"]) == {"carry"}


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"bid": None}, "no_quote"),
        ({"ask": None}, "no_quote"),
        ({"bid": 0.0}, "no_quote"),
        ({"bid": -1.0}, "no_quote"),
        ({"bid": float("nan")}, "no_quote"),
        ({"ask": float("inf")}, "no_quote"),
        ({"ask": 0.001}, "no_quote"),  # crossed
        ({"status": "missing"}, "no_quote"),
        ({"ask": 1.79e308}, "above_bound"),
        ({"bid": 150.0, "ask": 151.0}, "above_bound"),
        ({"underlying_price": None}, "no_underlying_price"),
        ({"underlying_price": float("nan")}, "no_underlying_price"),
    ],
)
def test_an_option_that_cannot_be_priced_says_why(fault: dict[str, Any], status: str) -> None:
    options = chain(MONTHLY)
    con_id = at(options, 105.0, "C")["con_id"]

    row = at(subject.greeks(changed(options, con_id, **fault), AS_OF, PRICING), 105.0, "C")

    assert row["iv_status"] == status
    assert {row[name] for name in ("iv", "delta", "gamma", "vega_per_vol_point", "theta_per_day", "rho")} == {
        None
    }


def test_an_option_without_time_value_takes_the_volatility_of_the_opposite_right() -> None:
    options = chain(MONTHLY)
    con_id = at(options, 110.0, "P")["con_id"]
    below = changed(options, con_id, bid=9.0, ask=9.2)  # intrinsic value is about 9.7

    row = at(subject.greeks(below, AS_OF, PRICING), 110.0, "P")

    assert row["iv_status"] == "opposite_right"
    assert row["iv"] == pytest.approx(0.20, abs=1e-6)
    assert -1.0 < row["delta"] < -0.9
    alone = below.filter((pl.col("right") == "P") | (pl.col("strike") != 110.0))
    assert at(subject.greeks(alone, AS_OF, PRICING), 110.0, "P")["iv_status"] == "below_intrinsic"


@pytest.mark.parametrize(
    ("expiry", "as_of", "minutes"),
    [
        (SESSION, datetime(2024, 6, 12, 15, 0, tzinfo=UTC), 300),
        (SESSION, datetime(2024, 6, 12, 20, 0, tzinfo=UTC), 1),
        (date(2024, 6, 11), AS_OF, 1),
        (date(2024, 7, 3), datetime(2024, 7, 3, 16, 0, tzinfo=UTC), 60),  # a half day ends at 13:00
        (date(2024, 11, 4), datetime(2024, 11, 1, 20, 0, tzinfo=UTC), 3 * 1440 + 60),  # clocks go back
    ],
)
def test_years_run_to_the_close_of_the_expiry_and_never_below_a_minute(
    expiry: date, as_of: datetime, minutes: int
) -> None:
    options = chain(MONTHLY).with_columns(expiry=pl.lit(expiry))

    assert subject.greeks(options, as_of, PRICING)["years"][0] == pytest.approx(minutes / 60 / 24 / 365)


def test_rows_keep_the_order_of_the_options_and_underlyings_do_not_mix() -> None:
    qqq = chain(MONTHLY, true_yield=0.0, underlying="QQQ", symbol="QQQ").with_columns(
        con_id=pl.col("con_id") + 1000
    )
    options = pl.concat([qqq, chain(MONTHLY)])[::-1]

    greeks = subject.greeks(options, AS_OF, PRICING)

    assert greeks["con_id"].to_list() == options["con_id"].to_list()
    yields = greeks.group_by("underlying").agg(pl.col("dividend_yield").first()).sort("underlying")
    assert yields["dividend_yield"].to_list() == [pytest.approx(0.0, abs=1e-9), pytest.approx(DIVIDEND_YIELD)]


def test_no_options_have_no_greeks_and_no_statistics() -> None:
    nothing = OPTIONS.schema.to_frame()

    greeks = subject.greeks(nothing, AS_OF, PRICING)
    statistics = subject.statistics(nothing, greeks, history([]), STATISTICS)

    assert_frame_equal(greeks, OPTION_GREEKS.content.to_frame())
    assert_frame_equal(statistics, OPTION_STATISTICS.content.to_frame())


# --- statistics of a chain -----------------------------------------------------------------------


def test_a_flat_surface_has_its_volatility_at_every_horizon_and_no_slope_or_skew() -> None:
    options = chain(NEAR, MONTHLY, FAR, LAST)

    row = summary(options)

    assert [row["iv30"], row["iv60"], row["iv90"]] == [pytest.approx(0.20, abs=1e-5)] * 3
    assert row["term_slope"] == pytest.approx(0.0, abs=1e-5)
    assert row["skew_25_delta"] == pytest.approx(0.0, abs=1e-5)
    assert row["expected_move_30"] == pytest.approx(SPOT * 0.20 * math.sqrt(30 / 365), rel=1e-4)
    assert (row["spot"], row["contracts"], row["quoted"]) == (
        SPOT,
        4 * 122,
        options.filter(pl.col("bid") > 0).height,
    )


def test_horizons_are_interpolated_in_total_variance() -> None:
    row = summary(chain(NEAR, MONTHLY, smile=lambda _strike, years: 0.15 if years < 0.05 else 0.25))

    near, far = years_to(NEAR), years_to(MONTHLY)
    share = (30 / 365 - near) / (far - near)
    variance = 0.15**2 * near + share * (0.25**2 * far - 0.15**2 * near)
    assert row["iv30"] == pytest.approx(math.sqrt(variance / (30 / 365)), rel=1e-4)
    assert row["iv60"] is None  # nothing is quoted beyond
    assert row["term_slope"] is None


def test_a_skew_is_the_put_wing_over_the_call_wing() -> None:
    # 25 delta at 37 days and about 20 %: strikes near 96 and 105
    row = summary(chain(NEAR, MONTHLY, smile=lambda strike, _years: 0.20 - 0.5 * math.log(strike / 100)))

    assert row["skew_25_delta"] == pytest.approx(0.5 * math.log(104.6 / 95.8), abs=0.003)
    assert row["iv30"] == pytest.approx(0.20, abs=0.002)


def test_a_chain_of_far_strikes_has_no_volatility_at_the_money() -> None:
    wings = chain(NEAR, MONTHLY).filter((pl.col("strike") - 100).abs() > 15)

    row = summary(wings)

    assert (row["iv30"], row["expected_move_30"], row["iv_rank"]) == (None, None, None)
    assert row["quoted"] == wings.filter(pl.col("bid") > 0).height


def test_put_call_volume_is_puts_over_calls() -> None:
    volumes = pl.when(pl.col("right") == "P").then(30.0).otherwise(20.0)

    assert summary(chain(MONTHLY).with_columns(volume=volumes))["put_call_volume"] == pytest.approx(1.5)
    assert summary(chain(MONTHLY))["put_call_volume"] is None


def test_rank_and_percentile_place_iv30_in_the_sessions_before() -> None:
    past = history([0.10] * 25 + [0.15] * 50 + [0.40] * 25)

    row = summary(chain(NEAR, MONTHLY), past)

    assert row["history_sessions"] == 100
    assert row["iv_rank"] == pytest.approx(100 / 3, abs=0.01)
    assert row["iv_percentile"] == 75.0


@pytest.mark.parametrize(("sessions", "known"), [(59, False), (60, True)])
def test_a_short_history_has_no_rank_and_says_how_short(sessions: int, known: bool) -> None:
    row = summary(chain(NEAR, MONTHLY), history([0.1 + 0.01 * number for number in range(sessions)]))

    assert row["history_sessions"] == sessions
    assert (row["iv_rank"] is not None, row["iv_percentile"] is not None) == (known, known)


def test_only_the_window_before_the_session_counts() -> None:
    past = history([9.0] * 100 + [0.1, 0.4] * 126)
    future = past.tail(1).with_columns(session=pl.lit(SESSION), close=99.0)
    realised = past.with_columns(what=pl.lit("trades"), close=50.0)

    row = summary(chain(NEAR, MONTHLY), pl.concat([past, future, realised, history([5.0] * 252, "QQQ")]))

    assert row["history_sessions"] == 252
    assert row["iv_rank"] == pytest.approx(100 / 3, abs=0.01)


# --- recorded ------------------------------------------------------------------------------------


def recorded_goog() -> pl.DataFrame:
    """GOOG's chain at the close of 2015-12-24, as OPTIONS rows with the vendor's close as spot."""
    day = date(2015, 12, 24)
    files = lean.recordings(LEAN, day=day, symbols={"GOOG"}, resolutions={"minute"})
    quotes = pl.concat(file.frame for file in files if file.table is QUOTES)
    close = datetime(2015, 12, 24, 18, 0, tzinfo=UTC)
    last = quotes.filter((pl.col("security_type") == "OPT") & (pl.col("as_of") <= close))
    return (
        last.sort("as_of")
        .group_by("expiry", "strike", "right", maintain_order=True)
        .last()
        .select(
            "expiry",
            "strike",
            "right",
            con_id=pl.int_range(pl.len()),
            session=pl.lit(day),
            as_of=pl.lit(close),
            underlying=pl.lit("GOOG"),
            bid="bid_close",
            ask="ask_close",
            status=pl.lit("ok"),
            underlying_price=pl.lit(748.40),
        )
        .pipe(
            lambda frame: pl.concat(
                [
                    OPTIONS.schema.to_frame(),
                    frame.cast({name: OPTIONS.schema[name] for name in frame.columns}),
                ],
                how="diagonal",
            )
        )
    )


@needs_market_data
@pytest.mark.market_data
def test_recorded_quotes_give_the_volatility_the_vendor_gives() -> None:
    """Where the vendor's own figures are of the close: February 2016, within 5 % of the money.

    At other expiries its volatility is solved from the last trade of a strike, hours old on that half
    day, and jumps from 0 to 3.5 between neighbouring strikes.
    """
    vendor = pl.read_csv(
        LEAN / "option/usa/universes/goog/20151224.csv", schema_overrides={"#expiry": pl.String}
    ).filter(pl.col("#expiry") == "20160205")
    pricing = PricingParameters(rate=0.003, dividend_yields={}, parity_pairs=6)

    greeks = subject.greeks(recorded_goog(), datetime(2015, 12, 24, 18, 0, tzinfo=UTC), pricing)

    assert greeks.height == 2192
    compared = greeks.filter(
        (pl.col("expiry") == date(2016, 2, 5)) & ((pl.col("strike") / 748.40 - 1).abs() <= 0.05)
    ).join(
        vendor.select(
            pl.col("strike").cast(pl.Float64), "right", "implied_volatility", "delta", "vega", "theta"
        ),
        on=["strike", "right"],
        suffix="_vendor",
    )
    assert compared["iv_status"].to_list().count("ok") >= 45
    assert (compared["iv"] - compared["implied_volatility"]).abs().max() < 0.012
    assert (compared["iv"] - compared["implied_volatility"]).abs().median() < 0.006
    assert (compared["delta"] - compared["delta_vendor"]).abs().max() < 0.006
    assert (compared["vega_per_vol_point"] / compared["vega"] - 1).abs().max() < 0.03
    assert (compared["theta_per_day"] / compared["theta"] - 1).abs().max() < 0.05
