"""Which options of a chain may become legs, and which of them a strategy takes.

A chain is a frame with CHAIN_COLUMNS (others do no harm), one underlying, one row per contract.
Every choice is one of a listed contract with a two-sided quote, or None with the reason why not.
"""

from datetime import date, timedelta

import polars as pl

from trading_pipelines.core.market.calendar import is_session
from trading_pipelines.domain.contracts import Contract, Right, SecurityType, Side
from trading_pipelines.domain.orders import OrderLeg
from trading_pipelines.domain.parameters import ExpiryParameters, StrikeParameters
from trading_pipelines.domain.tables import CONTRACT_COLUMNS, OPTION_GREEKS

_FROM_GREEKS = (
    "underlying",
    "con_id",
    "expiry",
    "strike",
    "right",
    "bid",
    "ask",
    "mid",
    "spot",
    "delta",
    "gamma",
    "vega_per_vol_point",
    "theta_per_day",
)
_FROM_OPTIONS = (
    "security_type",
    "symbol",
    "local_symbol",
    "trading_class",
    "exchange",
    "currency",
    "multiplier",
)

CHAIN_COLUMNS = pl.Schema(
    {name: OPTION_GREEKS.schema[name] for name in _FROM_GREEKS}
    | {name: CONTRACT_COLUMNS[name] for name in _FROM_OPTIONS}
)
"""What strategies choose from: quotes and Greeks of one tick with the contract's own columns."""


def chain(options: pl.DataFrame, option_greeks: pl.DataFrame) -> pl.DataFrame:
    """CHAIN_COLUMNS of one tick: OPTION_GREEKS rows with the contract columns of their OPTIONS rows."""
    contracts = options.select("con_id", *_FROM_OPTIONS)
    return option_greeks.join(contracts, on="con_id", how="inner").select(CHAIN_COLUMNS.names())


def usable(rows: pl.DataFrame, parameters: StrikeParameters) -> pl.DataFrame:
    """Rows that may become legs: a two-sided quote, not crossed, a tight enough spread, and Greeks."""
    spread = pl.col("ask") - pl.col("bid")
    limit = pl.max_horizontal(pl.col("mid") * parameters.max_spread_share, pl.lit(parameters.max_spread_usd))
    greeks = pl.all_horizontal(
        pl.col(name).is_finite() for name in ("delta", "gamma", "vega_per_vol_point", "theta_per_day")
    )
    two_sided = (pl.col("bid") > 0) & pl.col("ask").is_finite() & (spread >= 0)
    return rows.filter((two_sided & greeks & (spread <= limit + 1e-9)).fill_null(False))


def is_standard_monthly(expiry: date) -> bool:
    """True for the third Friday of a month, or the Thursday before when that Friday is no session."""
    if expiry.weekday() == 3:
        friday = expiry + timedelta(days=1)
        return 15 <= friday.day <= 21 and not is_session(friday)
    return expiry.weekday() == 4 and 15 <= expiry.day <= 21


def entry_expiry(rows: pl.DataFrame, session: date, parameters: ExpiryParameters) -> date | None:
    """The standard monthly of the window nearest to the target, else the nearest expiry of the window."""
    listed = [
        expiry
        for expiry in _expiries(rows)
        if parameters.min_dte <= (expiry - session).days <= parameters.max_dte
    ]
    monthly = [expiry for expiry in listed if is_standard_monthly(expiry)]
    return _nearest(monthly or listed, session, parameters.target_dte)


def width(underlying: str, spot: float, parameters: StrikeParameters) -> float:
    """Distance in points between the short and the long strike that the config asks for."""
    return parameters.width.get(underlying, spot * parameters.default_width_percent / 100)


def by_delta(rows: pl.DataFrame, right: Right, target: float, tolerance: float) -> pl.DataFrame | None:
    """The usable row of a right whose |delta| is nearest to the target, the farther strike on a tie.

    One row, or None when none lies within the tolerance.
    """
    distance = (pl.col("delta").abs() - target).abs().round(9)
    found = (
        rows.filter((pl.col("right") == right.value) & (distance <= tolerance))
        .sort(distance, pl.col("delta").abs(), "strike")
        .head(1)
    )
    return None if found.is_empty() else found


def wing(
    rows: pl.DataFrame, anchor: pl.DataFrame, *, direction: int, width: float, max_factor: float
) -> pl.DataFrame | None:
    """The usable row of the anchor's right about `width` points above (+1) or below (−1) its strike.

    The nearest strike to the wanted one, the nearer to the anchor on a tie; None when the strike grid
    has a hole there: nothing within a factor `max_factor` of the width.
    """
    distance = direction * (pl.col("strike") - anchor.item(0, "strike"))
    found = (
        rows.filter(
            (pl.col("right") == anchor.item(0, "right"))
            & distance.is_between(width / max_factor - 1e-9, width * max_factor + 1e-9)
        )
        .sort((distance - width).abs().round(9), distance)
        .head(1)
    )
    return None if found.is_empty() else found


def leg(row: pl.DataFrame, side: Side) -> OrderLeg:
    """One contract per unit of a one-row frame, bought or sold."""
    values = row.row(0, named=True)
    contract = Contract(
        con_id=values["con_id"],
        security_type=SecurityType(values["security_type"]),
        symbol=values["symbol"],
        exchange=values["exchange"],
        currency=values["currency"],
        local_symbol=values["local_symbol"] or "",
        trading_class=values["trading_class"] or "",
        multiplier=values["multiplier"],
        expiry=values["expiry"],
        strike=values["strike"],
        right=Right(values["right"]),
    )
    return OrderLeg(contract=contract, ratio=1, side=side)


def _expiries(rows: pl.DataFrame) -> list[date]:
    return rows.get_column("expiry").drop_nulls().unique().sort().to_list()


def _nearest(expiries: list[date], session: date, target_dte: int) -> date | None:
    return min(expiries, key=lambda expiry: (abs((expiry - session).days - target_dte), expiry), default=None)
