"""Black–Scholes–Merton for European options, vectorised: price, Greeks, implied volatility.

Every argument broadcasts: scalars or float64 arrays. `right` is +1 for a call, −1 for a put; `years`
is the time to expiry, `rate` and `dividend_yield` are annual and continuously compounded,
`volatility` is annual, a fraction. American exercise is not priced here.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfcx, ndtr

Array = NDArray[np.float64]

OK: Final = 0
BELOW_INTRINSIC: Final = 1
ABOVE_BOUND: Final = 2
NO_QUOTE: Final = 3
NOT_CONVERGED: Final = 4
STATUS_NAMES: Final = ("ok", "below_intrinsic", "above_bound", "no_quote", "not_converged")
"""What the status codes are called in tables, by code."""

_STEPS = 6
_BISECTIONS = 80
_CONVERGED = 1e-9
_MAX_TOTAL_VOLATILITY = 40.0
_ROUNDING = 8 * np.finfo(np.float64).eps


class Greeks(NamedTuple):
    """Sensitivities of one share's option, in the units of IB's model and of LEAN's universes.

    `vega` per volatility point (0.01), `theta` per calendar day (1/365 year), `rho` per percentage
    point of the rate (0.01).
    """

    delta: Array
    gamma: Array
    vega: Array
    theta: Array
    rho: Array


class ImpliedVolatility(NamedTuple):
    """`volatility` is NaN exactly where `status` is not OK; `status` says why."""

    volatility: Array
    status: NDArray[np.int8]


def price(
    *,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    right: ArrayLike,
    volatility: ArrayLike,
) -> Array:
    """Value of a European option per share; Hull, Options, Futures and Other Derivatives, ch. 17.

    The discounted intrinsic value of the forward when `volatility` or `years` is 0; NaN where an
    input is NaN.
    """
    spot, strike, years, rate, dividend_yield, right, volatility = _broadcast(
        spot, strike, years, rate, dividend_yield, right, volatility
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        spot_now = spot * np.exp(-dividend_yield * years)
        strike_now = strike * np.exp(-rate * years)
        total_volatility = volatility * np.sqrt(years)
        d1, d2 = _d1_d2(spot_now, strike_now, total_volatility)
        value = right * (spot_now * ndtr(right * d1) - strike_now * ndtr(right * d2))
        at_once = np.maximum(right * (spot_now - strike_now), 0.0)
    return np.where(total_volatility == 0.0, at_once, value)


def greeks(
    *,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    right: ArrayLike,
    volatility: ArrayLike,
) -> Greeks:
    """Delta, gamma, vega, theta and rho per share; Hull, ch. 19. NaN where volatility or years is not > 0."""
    spot, strike, years, rate, dividend_yield, right, volatility = _broadcast(
        spot, strike, years, rate, dividend_yield, right, volatility
    )
    usable = (volatility > 0.0) & (years > 0.0)
    years = np.where(usable, years, np.nan)
    root = np.sqrt(years)
    decay = np.exp(-dividend_yield * years)
    strike_now = strike * np.exp(-rate * years)
    with np.errstate(divide="ignore", invalid="ignore"):
        d1, d2 = _d1_d2(spot * decay, strike_now, volatility * root)
        density = decay * np.exp(-0.5 * d1 * d1) / np.sqrt(2.0 * np.pi)
        exercised = right * strike_now * ndtr(right * d2)
        delta = right * decay * ndtr(right * d1)
        return Greeks(
            delta=delta,
            gamma=density / (spot * volatility * root),
            vega=0.01 * spot * density * root,
            theta=(
                dividend_yield * spot * delta - rate * exercised - 0.5 * spot * density * volatility / root
            )
            / 365.0,
            rho=0.01 * years * exercised,
        )


def implied_volatility(
    *,
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    right: ArrayLike,
) -> ImpliedVolatility:
    """The volatility at which `price` is the option's value, with a status for each row.

    NO_QUOTE: an input is missing, infinite or not positive. BELOW_INTRINSIC: no time value is left,
    at the precision of the price. ABOVE_BOUND: a call at or above its spot, a put at or above its
    strike (both discounted). NOT_CONVERGED: nothing below 4,000 % over a year fits.

    Solves ln b(s) = ln c for the total volatility s of the normalised out-of-the-money price: Halley
    steps from the guess of Stefanica and Radoičić (An explicit implied volatility formula, 2017, off
    by at most 6 %), and bisection for the rows whose last step was not small.
    """
    price, spot, strike, years, rate, dividend_yield, right = _broadcast(
        price, spot, strike, years, rate, dividend_yield, right
    )
    with np.errstate(all="ignore"):  # rows that are not usable are masked, not computed around
        spot_now = spot * np.exp(-dividend_yield * years)
        strike_now = strike * np.exp(-rate * years)
        time_value = price - np.maximum(right * (spot_now - strike_now), 0.0)
        bound = np.where(right > 0.0, spot_now, strike_now)
        usable = (
            (price > 0.0) & (spot_now > 0.0) & (strike_now > 0.0) & (years > 0.0) & (np.abs(right) == 1.0)
        )
        usable &= np.isfinite(price + spot_now + strike_now + years)
        itm = right * (spot_now - strike_now) > 0.0
        rounding = np.where(itm, _ROUNDING * np.maximum(spot_now, strike_now), 0.0)
    status = np.select(
        [~usable, time_value <= rounding, price >= bound * (1.0 - _ROUNDING)],
        [NO_QUOTE, BELOW_INTRINSIC, ABOVE_BOUND],
        default=OK,
    ).astype(np.int8)
    solvable = status == OK
    distance = np.abs(np.log(spot_now[solvable] / strike_now[solvable]))
    normalised = time_value[solvable] / np.sqrt(spot_now[solvable] * strike_now[solvable])
    total, converged = _total_volatility(distance, normalised)
    volatility = np.full(price.shape, np.nan)
    volatility[solvable] = np.where(converged, total / np.sqrt(years[solvable]), np.nan)
    status[solvable] = np.where(converged, OK, NOT_CONVERGED)
    return ImpliedVolatility(volatility, status)


def _broadcast(*values: ArrayLike) -> tuple[Array, ...]:
    return np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values))


def _d1_d2(spot_now: Array, strike_now: Array, total_volatility: Array) -> tuple[Array, Array]:
    d1 = np.log(spot_now / strike_now) / total_volatility + 0.5 * total_volatility
    return d1, d1 - total_volatility


def _total_volatility(distance: Array, normalised: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Solves b(s) = c for c in (0, e^(−h/2)); flat arrays of h = |ln(F/K)| and c."""
    target = np.log(normalised)
    total = _first_guess(distance, normalised)
    converged = np.zeros(total.shape, dtype=np.bool_)
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            log_price, ratio = _log_price(distance, total)
            newton = (target - log_price) * ratio
            curvature = distance * distance / total**3 - 0.25 * total - 1.0 / ratio
            step = newton / (1.0 + 0.5 * newton * curvature)
            moved = np.clip(total + step, 0.5 * total, 2.0 * total)
            converged = np.abs(step) <= _CONVERGED * total
            total = np.where(np.isfinite(moved), moved, total)
    rest = np.flatnonzero(~converged)
    if rest.size:
        total[rest], converged[rest] = _bisect(distance[rest], target[rest])
    return total, converged


def _log_price(distance: Array, total: Array) -> tuple[Array, Array]:
    """ln b and b/b′ for an option `distance` out of the money.

    b′ = exp(−(h²/s² + s²/4)/2)/√2π, and b/b′ = M(h/s − s/2) − M(h/s + s/2) with Mills' ratio
    M(z) = √(π/2)·erfcx(z/√2): no cancellation of nearly equal probabilities.
    """
    z = distance / total
    ratio = np.sqrt(np.pi / 2.0) * (
        erfcx((z - 0.5 * total) / np.sqrt(2.0)) - erfcx((z + 0.5 * total) / np.sqrt(2.0))
    )
    log_density = -0.5 * (z * z + 0.25 * total * total) - 0.5 * np.log(2.0 * np.pi)
    return np.log(ratio) + log_density, ratio


def _first_guess(distance: Array, normalised: Array) -> Array:
    """Stefanica–Radoičić: Pólya's approximation of the normal distribution, solved for s."""
    with np.errstate(all="ignore"):
        y = -distance
        call = normalised * np.exp(0.5 * y)  # per unit of strike, as the paper writes it
        r = 2.0 * call - np.expm1(y)
        a = (2.0 * np.sinh((1.0 - 2.0 / np.pi) * y)) ** 2
        b = 8.0 * np.cosh(2.0 * y / np.pi) - 4.0 * np.exp(-y) * np.cosh((1.0 - 2.0 / np.pi) * y) * (
            np.exp(2.0 * y) + 1.0 - r * r
        )
        c = np.exp(-2.0 * y) * (r * r - np.expm1(y) ** 2) * ((np.exp(y) + 1.0) ** 2 - r * r)
        gamma = -0.5 * np.pi * np.log(2.0 * c / (b + np.sqrt(b * b + 4.0 * a * c)))
        low, high = np.sqrt(np.maximum(gamma + y, 0.0)), np.sqrt(np.maximum(gamma - y, 0.0))
        inflection = np.sqrt(2.0 * distance)
        below = normalised < np.exp(_log_price(distance, inflection)[0])
        guess = np.where(below & (distance > 0.0), high - low, high + low)
    fallback = np.maximum(inflection, 1e-3)
    return np.where(np.isfinite(guess) & (guess > 0.0), guess, fallback)


def _bisect(distance: Array, target: Array) -> tuple[Array, NDArray[np.bool_]]:
    low = np.full(distance.shape, 1e-12)
    high = np.full(distance.shape, _MAX_TOTAL_VOLATILITY)
    with np.errstate(all="ignore"):
        reachable = _log_price(distance, high)[0] >= target
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            above = _log_price(distance, middle)[0] > target
            low, high = np.where(above, low, middle), np.where(above, middle, high)
    return 0.5 * (low + high), reachable
