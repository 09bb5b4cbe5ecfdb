"""What a snapshot is taken of: watched instruments, front futures, and the chains, listed once a session."""

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from trading_pipelines.core.market.futures import front_contract
from trading_pipelines.domain.contracts import Contract
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.domain.parameters import Instrument, UniverseParameters
from trading_pipelines.domain.tables import CONTRACT_COLUMNS, CONTRACTS, UTC_TIME
from trading_pipelines.ports import Lake, MarketData


def instruments(market_data: MarketData, universe: UniverseParameters) -> pl.DataFrame:
    """The watched stocks and indices as CONTRACT_COLUMNS; those the broker does not know are left out.

    MissingData when it knows none of those whose options are traded: then there is nothing to do.
    """
    known = [contract for each in universe.underlyings for contract in resolved(market_data, each)]
    traded = {each.symbol for each in universe.underlyings if each.trade_options}
    if traded.isdisjoint(contract.symbol for contract in known):
        raise MissingData(
            f"the broker knows none of {', '.join(sorted(traded))}", "check universe.underlyings"
        )
    return contract_frame(known)


def front_futures(market_data: MarketData, universe: UniverseParameters, day: date) -> pl.DataFrame:
    """The front contract of each watched root as CONTRACT_COLUMNS; unlisted roots are left out."""
    listings = [(root, market_data.list_futures(root.symbol, root.exchange)) for root in universe.futures]
    return contract_frame(
        [front_contract(listed, day, root.roll_days_before_expiry) for root, listed in listings if listed]
    )


def list_chains(
    market_data: MarketData, lake: Lake, universe: UniverseParameters, session: date, as_of: datetime
) -> int:
    """Keep the session's option listing of every underlying that lacks one; returns the contracts added."""
    added = 0
    for each in universe.underlyings:
        if not each.trade_options or lake.has_rows(CONTRACTS, session=session, symbol=each.symbol):
            continue
        for underlying in resolved(market_data, each):
            listed = market_data.list_options(underlying).with_columns(
                session=pl.lit(session), as_of=pl.lit(as_of).cast(UTC_TIME)
            )
            if not listed.is_empty():
                lake.replace(
                    CONTRACTS, listed.select(CONTRACTS.schema.names()), session=session, symbol=each.symbol
                )
                added += listed.height
    return added


def contract_frame(contracts: Sequence[Contract]) -> pl.DataFrame:
    """Contracts as CONTRACT_COLUMNS, in their order."""
    return pl.DataFrame(
        [contract.model_dump(mode="python") for contract in contracts], schema=CONTRACT_COLUMNS
    )


def resolved(market_data: MarketData, instrument: Instrument) -> tuple[Contract, ...]:
    """The instrument's contract, or nothing when the broker does not know it."""
    wanted = Contract(
        security_type=instrument.security_type,
        symbol=instrument.symbol,
        exchange=instrument.exchange,
        currency=instrument.currency,
    )
    try:
        return market_data.resolve([wanted])
    except MissingData:
        return ()
