"""Answers from Hull's textbook, QuantLib 1.44, Jäckel's LetsBeRational 1.1.2 and IB's recorded model."""

import math
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trading_pipelines.core.market import black_scholes
from trading_pipelines_tests.market_data import MARKET_DATA, needs_market_data

INPUTS = ("spot", "strike", "years", "rate", "dividend_yield", "right")

# QuantLib 1.44, BlackCalculator on the forward.
OPTIONS = np.array(
    [  # spot, strike, years, rate, dividend yield, right, volatility
        (100, 100, 0.25, 0.05, 0.0, 1, 0.2),
        (100, 130, 0.5, 0.045, 0.013, 1, 0.35),
        (545.2, 480, 45 / 365, 0.045, 0.013, -1, 0.18),
        (545.2, 545, 1 / 365, 0.045, 0.013, -1, 0.11),
        (18, 30, 30 / 365, 0.0, 0.0, 1, 1.4),
        (100, 60, 2.0, -0.005, 0.02, -1, 0.6),
        (748.4, 450, 7 / 365, 0.003, 0.0, 1, 0.9),
    ]
)
QUANTLIB = np.array(
    [  # value, delta, gamma, vega / 100, theta / 365, rho / 100
        (
            4.614997129602861,
            0.569460183207674,
            0.03928800094473792,
            0.1964400047236896,
            -0.028696304790426914,
            0.1308275529779113,
        ),
        (
            2.325927117034944,
            0.19043915967540653,
            0.010952808477271644,
            0.19167414835225402,
            -0.01976255830965374,
            0.08358994425252854,
        ),
        (
            0.22152375980821135,
            -0.01743368999679764,
            0.0012498414703982137,
            0.08244394776032272,
            -0.015628176679868787,
            -0.011991416974597404,
        ),
        (
            1.1319950477595873,
            -0.46737415416204603,
            0.12665969389789894,
            0.11346187316616207,
            -0.6015610250979229,
            -0.007012174901285363,
        ),
        (
            0.443700861364543,
            0.14185347446018592,
            0.031084195621924396,
            0.011588869425291701,
            -0.02704069532568064,
            0.0017339685032209376,
        ),
        (
            11.420606883608295,
            -0.16014820747112848,
            0.002829254874412336,
            0.3395105849294803,
            -0.015205841991885113,
            -0.548708552614423,
        ),
        (
            298.42624747739603,
            0.9999829476661755,
            7.976511265343041e-07,
            7.71131112093171e-05,
            -0.004194036654910798,
            0.08629388859977499,
        ),
    ]
)

# LetsBeRational 1.1.2: undiscounted price, forward, strike, years, right → volatility.
LETS_BE_RATIONAL = [
    (1e-8, 100, 200, 0.25, 1, 0.23960552147632108),
    (1e-30, 100, 200, 0.25, 1, 0.12120411717612434),
    (0.01, 100, 60, 0.1, -1, 0.5731065364733056),
    (99.0, 100, 100, 1, 1, 5.151658607097799),
    (2.5, 100, 103, 30 / 365, 1, 0.3286639741503093),
    (1e-5, 450, 440, 1 / 8760, -1, 0.5102083095332773),
    (55.0, 100, 222.55409284924679, 2.0, 1, 1.4226812867003213),
]


def quantlib() -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Inputs by name, volatilities, and the rows of answers."""
    *inputs, volatility = OPTIONS.T
    return dict(zip(INPUTS, inputs, strict=True)), volatility, QUANTLIB.T


@pytest.mark.parametrize(
    ("option", "volatility", "value"),
    [
        # Hull, Options, Futures and Other Derivatives: example 15.6, and 17.1 on an index with a yield
        ({"spot": 42, "strike": 40, "years": 0.5, "rate": 0.1, "dividend_yield": 0, "right": 1}, 0.2, 4.76),
        ({"spot": 42, "strike": 40, "years": 0.5, "rate": 0.1, "dividend_yield": 0, "right": -1}, 0.2, 0.81),
        (
            {"spot": 930, "strike": 900, "years": 2 / 12, "rate": 0.08, "dividend_yield": 0.03, "right": 1},
            0.2,
            51.83,
        ),
    ],
)
def test_prices_are_those_of_the_textbook(option: dict[str, float], volatility: float, value: float) -> None:
    assert black_scholes.price(**option, volatility=volatility) == pytest.approx(value, abs=0.005)


def test_greeks_are_those_of_the_textbook_in_our_units() -> None:
    # Hull, ch. 19: delta 0.522, gamma 0.066, vega 12.1 per 1.00, theta −4.31 a year, rho 8.91 per 1.00
    greeks = black_scholes.greeks(
        spot=49, strike=50, years=0.3846, rate=0.05, dividend_yield=0, right=1, volatility=0.2
    )

    assert greeks.delta == pytest.approx(0.522, abs=5e-4)
    assert greeks.gamma == pytest.approx(0.066, abs=5e-4)
    assert greeks.vega == pytest.approx(12.1 / 100, abs=5e-4)
    assert greeks.theta == pytest.approx(-4.31 / 365, abs=2e-5)
    assert greeks.rho == pytest.approx(8.91 / 100, abs=5e-5)


def test_prices_and_greeks_are_those_of_quantlib() -> None:
    option, volatility, (value, *greeks) = quantlib()

    np.testing.assert_allclose(black_scholes.price(**option, volatility=volatility), value, rtol=1e-11)
    for ours, theirs in zip(black_scholes.greeks(**option, volatility=volatility), greeks, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_volatilities_implied_by_quantlib_prices_are_those_that_made_them() -> None:
    option, volatility, (value, *_) = quantlib()

    implied = black_scholes.implied_volatility(price=value, **option)

    assert (implied.status == black_scholes.OK).all()
    np.testing.assert_allclose(implied.volatility[:-1], volatility[:-1], rtol=1e-11)
    # the last is 300 in the money with 4e-6 of time value: the price itself is no more exact
    assert implied.volatility[-1] == pytest.approx(volatility[-1], rel=1e-8)


def test_the_volatility_implied_by_the_textbook_price_is_the_textbooks() -> None:
    implied = black_scholes.implied_volatility(
        price=1.875, spot=21, strike=20, years=0.25, rate=0.1, dividend_yield=0, right=1
    )

    assert implied.volatility == pytest.approx(0.235, abs=5e-4)


def test_extreme_prices_imply_what_lets_be_rational_says() -> None:
    value, forward, strike, years, right, volatility = np.array(LETS_BE_RATIONAL).T

    implied = black_scholes.implied_volatility(
        price=value, spot=forward, strike=strike, years=years, rate=0, dividend_yield=0, right=right
    )

    assert (implied.status == black_scholes.OK).all()
    np.testing.assert_allclose(implied.volatility, volatility, rtol=1e-9)


@needs_market_data
@pytest.mark.market_data
@pytest.mark.parametrize(
    "contract",
    [
        "230811C00430000",
        "230811C00450000",
        "230811C00470000",
        "230811P00430000",
        "230901C00430000",
        "230901C00450000",
        "230901C00470000",
    ],
)
def test_greeks_are_close_to_the_model_of_interactive_brokers(contract: str) -> None:
    """Calls, and a put out of the money: early exercise is worth nothing, no dividend before expiry."""
    recorded = np.genfromtxt(
        MARKET_DATA / "ib-model-greeks" / f"SPY{contract}.csv",
        delimiter=",",
        skip_header=1,
        converters={0: lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()},
    )
    at, value, iv, delta, gamma, vega, theta, spot = recorded.T
    expires = datetime.strptime(contract[:6], "%y%m%d").replace(hour=20, tzinfo=UTC).timestamp()
    option = {
        "spot": spot,
        "strike": float(contract[7:]) / 1000,
        "years": (expires - at) / 86400 / 365,
        "rate": 0.053,  # the Federal Reserve's rate of August 2023
        "dividend_yield": 0.0,
        "right": 1 if contract[6] == "C" else -1,
    }

    ours = black_scholes.greeks(**option, volatility=iv)

    assert len(recorded) == 20
    np.testing.assert_allclose(ours.delta, delta, atol=0.005)
    np.testing.assert_allclose(ours.gamma, gamma, rtol=0.1)
    np.testing.assert_allclose(ours.theta, theta, atol=0.01)
    if "450" in contract:  # IB bends the vega of the wings along its skew
        np.testing.assert_allclose(ours.vega, vega, rtol=0.025)
    implied = black_scholes.implied_volatility(price=value, **option)
    np.testing.assert_allclose(implied.volatility, iv, atol=0.005)


def test_every_unusable_row_says_why_and_only_those_have_no_volatility() -> None:
    option = {"spot": 100.0, "strike": 90.0, "years": 0.5, "rate": 0.0, "dividend_yield": 0.0, "right": 1.0}
    cases: list[tuple[dict[str, float], int]] = [
        ({"price": 12.0}, black_scholes.OK),
        ({"price": 10.0}, black_scholes.BELOW_INTRINSIC),
        ({"price": 9.0}, black_scholes.BELOW_INTRINSIC),
        ({"price": 100.0}, black_scholes.ABOVE_BOUND),
        ({"price": 1.79e308}, black_scholes.ABOVE_BOUND),
        ({"price": 90.0, "right": -1.0}, black_scholes.ABOVE_BOUND),
        ({"price": np.nan}, black_scholes.NO_QUOTE),
        ({"price": np.inf}, black_scholes.NO_QUOTE),
        ({"price": 0.0}, black_scholes.NO_QUOTE),
        ({"price": -1.0}, black_scholes.NO_QUOTE),
        ({"price": 12.0, "spot": np.nan}, black_scholes.NO_QUOTE),
        ({"price": 12.0, "spot": -100.0}, black_scholes.NO_QUOTE),
        ({"price": 12.0, "strike": 0.0}, black_scholes.NO_QUOTE),
        ({"price": 12.0, "years": 0.0}, black_scholes.NO_QUOTE),
        ({"price": 12.0, "rate": np.nan}, black_scholes.NO_QUOTE),
        ({"price": 12.0, "right": 0.0}, black_scholes.NO_QUOTE),
    ]
    columns = {name: np.array([{**option, **case}[name] for case, _ in cases]) for name in ("price", *option)}

    implied = black_scholes.implied_volatility(**columns)

    assert implied.status.dtype == np.int8
    assert implied.status.tolist() == [status for _, status in cases]
    assert (np.isnan(implied.volatility) == (implied.status != black_scholes.OK)).all()
    assert len(black_scholes.STATUS_NAMES) == 5


def test_no_options_have_no_volatilities() -> None:
    nothing = np.array([])

    implied = black_scholes.implied_volatility(
        price=nothing,
        spot=nothing,
        strike=nothing,
        years=nothing,
        rate=0.0,
        dividend_yield=0.0,
        right=nothing,
    )

    assert implied.volatility.shape == implied.status.shape == (0,)


def test_without_time_or_volatility_an_option_is_worth_its_discounted_intrinsic_value() -> None:
    expired = black_scholes.price(
        spot=100, strike=[90, 100, 110], years=0, rate=0.1, dividend_yield=0, right=1, volatility=0.2
    )
    certain = black_scholes.price(
        spot=100, strike=[90, 110], years=1, rate=0.1, dividend_yield=0, right=-1, volatility=0
    )

    assert expired.tolist() == [10, 0, 0]
    assert certain.tolist() == [0, 0]  # 110·e^−0.1 = 99.53 is below the spot
    assert np.isnan(
        black_scholes.greeks(
            spot=100, strike=90, years=0, rate=0, dividend_yield=0, right=1, volatility=0.2
        ).gamma
    )


option_terms = st.fixed_dictionaries(
    {
        "spot": st.floats(1.0, 5000.0),
        "strike": st.floats(0.4, 2.5),  # of the spot, see `option`
        "years": st.floats(1 / 8760, 3.0),
        "rate": st.floats(-0.02, 0.15),
        "dividend_yield": st.floats(0.0, 0.1),
        "right": st.sampled_from([1, -1]),
    }
)
options = option_terms.map(lambda terms: {**terms, "strike": terms["strike"] * terms["spot"]})
volatilities = st.floats(0.02, 4.0)


def discounted(option: dict[str, float]) -> tuple[float, float]:
    """What spot and strike at expiry are worth now."""
    years = option["years"]
    return (
        option["spot"] * math.exp(-option["dividend_yield"] * years),
        option["strike"] * math.exp(-option["rate"] * years),
    )


@given(options, volatilities)
def test_a_call_less_its_put_is_the_discounted_forward_less_the_strike(
    option: dict[str, float], volatility: float
) -> None:
    call, put = black_scholes.price(**{**option, "right": [1, -1]}, volatility=volatility)

    spot, strike = discounted(option)
    assert call - put == pytest.approx(spot - strike, abs=1e-12 * max(spot, strike))


@given(options, volatilities)
def test_a_price_stays_within_its_bounds_and_implies_its_volatility(
    option: dict[str, float], volatility: float
) -> None:
    value = float(black_scholes.price(**option, volatility=volatility))

    spot, strike = discounted(option)
    call, rounding = option["right"] == 1, 1e-13 * max(spot, strike)
    intrinsic, bound = (max(spot - strike, 0.0), spot) if call else (max(strike - spot, 0.0), strike)
    assert intrinsic - rounding <= value <= bound + rounding

    vega = 100 * float(black_scholes.greeks(**option, volatility=volatility).vega)
    assume(vega * volatility > 1e-6 * spot)  # else the price, rounded, does not know its volatility
    implied = black_scholes.implied_volatility(price=value, **option)
    assert implied.status == black_scholes.OK
    assert implied.volatility == pytest.approx(volatility, abs=1e-10 + 1e-14 * max(spot, strike) / vega)


@given(options, st.lists(volatilities, min_size=2, max_size=5, unique=True))
def test_a_price_rises_with_volatility(option: dict[str, float], values: list[float]) -> None:
    prices = black_scholes.price(**option, volatility=sorted(values))

    assert all(lower <= higher + 1e-12 * option["spot"] for lower, higher in pairwise(prices))


@given(st.fixed_dictionaries({name: st.floats() | st.floats(-2, 200) for name in ("price", *INPUTS)}))
def test_no_input_whatever_gives_a_silent_nan(inputs: dict[str, float]) -> None:
    implied = black_scholes.implied_volatility(**inputs)

    assert np.isfinite(implied.volatility) == (implied.status == black_scholes.OK)
    assert 0 <= implied.status < len(black_scholes.STATUS_NAMES)
