"""Completing the daily history of what is watched."""

from collections.abc import Iterator
from datetime import date

import polars as pl

from trading_pipelines.core.market import calendar
from trading_pipelines.core.market.futures import front_contract
from trading_pipelines.domain.contracts import Contract
from trading_pipelines.domain.parameters import Parameters
from trading_pipelines.domain.tables import BARS, Extent
from trading_pipelines.ports import History, Lake, MarketData
from trading_pipelines.workflows.snapshot import resolved

TRADES = "trades"
IMPLIED_VOLATILITY = "implied_volatility"


def complete_daily_bars(
    history: History, market_data: MarketData, lake: Lake, session: date, parameters: Parameters
) -> int:
    """Ask for the daily bars before `session` that the lake lacks, and keep them; returns the rows added.

    A series is one contract and one `what`. What the broker has no history of stays empty: the
    statistics that need it record so.
    """
    expected = calendar.sessions_before(session, parameters.snapshots.history_sessions)
    added = 0
    for contract, what in _series(market_data, session, parameters):
        known = lake.read(BARS, resolution="daily", symbol=contract.symbol, what=what).filter(
            pl.col("expiry").eq_missing(pl.lit(contract.expiry, dtype=pl.Date)),
            security_type=contract.security_type.value,
        )
        last = known["session"].max()
        missing = [day for day in expected if not isinstance(last, date) or day > last]
        if not missing:
            continue
        fresh = history.daily_bars(contract, what=what, sessions=len(missing), before=session).filter(
            pl.col("session") >= missing[0]
        )
        if not fresh.is_empty():
            _keep(lake, contract, what, fresh)
            added += fresh.height
    return added


def daily_bars_before(lake: Lake, session: date, what: str) -> pl.DataFrame:
    """Daily bars of one `what` that were complete before `session`, ascending by series and session."""
    return (
        lake.read(BARS, resolution="daily", what=what)
        .filter(pl.col("session") < session)
        .sort("security_type", "symbol", "expiry", "session")
    )


def _series(market_data: MarketData, session: date, parameters: Parameters) -> Iterator[tuple[Contract, str]]:
    """Every contract whose history is wanted; what the broker does not know is left out."""
    for instrument in parameters.universe.underlyings:
        for contract in resolved(market_data, instrument):
            yield contract, TRADES
            if instrument.trade_options:
                yield contract, IMPLIED_VOLATILITY
    for root in parameters.universe.futures:
        listed = market_data.list_futures(root.symbol, root.exchange)
        if listed:
            yield front_contract(listed, session, root.roll_days_before_expiry), TRADES


def _keep(lake: Lake, contract: Contract, what: str, fresh: pl.DataFrame) -> None:
    """Replace exactly the days that arrived, so that a repetition doubles nothing."""
    scope: dict[str, Extent] = {
        "resolution": "daily",
        "symbol": contract.symbol,
        "security_type": contract.security_type.value,
        "what": what,
        "session": frozenset(fresh["session"]),
    }
    if contract.expiry is not None:
        scope["expiry"] = contract.expiry
    lake.replace(BARS, fresh, **scope)
