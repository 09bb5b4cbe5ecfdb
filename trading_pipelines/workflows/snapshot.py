"""What a snapshot is taken of: instruments, front futures and option chains, listed once a session."""

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl

from trading_pipelines.core.market.futures import front_contract
from trading_pipelines.domain.contracts import Contract, SecurityType
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


def list_contracts(
    market_data: MarketData, lake: Lake, universe: UniverseParameters, session: date, as_of: datetime
) -> int:
    """Keep what the session's snapshots are taken of, once: instruments, front futures, option chains.

    Returns the contracts added, 0 when the session's listing is there.
    """
    if lake.has_rows(CONTRACTS, session=session):
        return 0
    watched = instruments(market_data, universe)
    optionable = {each.symbol for each in universe.underlyings if each.trade_options}
    chains = [
        market_data.list_options(contract)
        for each in universe.underlyings
        if each.symbol in optionable
        for contract in resolved(market_data, each)
    ]
    listed = pl.concat(
        [watched, front_futures(market_data, universe, session), *chains], how="diagonal"
    ).with_columns(session=pl.lit(session), as_of=pl.lit(as_of).cast(UTC_TIME))
    lake.replace(CONTRACTS, listed.select(CONTRACTS.schema.names()), session=session)
    return listed.height


def listing(lake: Lake, session: date, *security_types: SecurityType) -> pl.DataFrame:
    """The session's CONTRACTS rows of some security types; MissingData when nothing was listed."""
    rows = lake.read(CONTRACTS, session=session).filter(
        pl.col("security_type").is_in([kind.value for kind in security_types])
    )
    if rows.is_empty() and not lake.has_rows(CONTRACTS, session=session):
        raise MissingData(f"no contracts are listed for {session}", "materialize snapshots/contracts first")
    return rows


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
