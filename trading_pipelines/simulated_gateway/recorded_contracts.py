"""The contracts of a recorded session, as an exchange would list them; a con_id is a hash of the name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from hashlib import blake2b

import numpy as np
import polars as pl

from trading_pipelines.core.market import calendar
from trading_pipelines.domain.contracts import Contract, Right, SecurityType
from trading_pipelines.simulated_gateway.recorded import Recorded
from trading_pipelines.simulated_gateway.source import ListedContract
from trading_pipelines.simulated_gateway.universe import (
    INDEX_TICK,
    OPTION_MULTIPLIER,
    OPTION_TICK,
    STOCK_TICK,
    UNDERLYINGS,
    Floats,
    Integers,
    future_symbol,
    occ_symbol,
)

IDENTITY = ("security_type", "symbol", "expiry", "strike", "right")
"""What tells one recorded contract from another."""
_FUTURES = {underlying.future: underlying for underlying in UNDERLYINGS}
_YIELDS = {underlying.symbol: underlying.dividend_yield for underlying in UNDERLYINGS}
_CON_ID_BITS = 30
_EXPIRES = time(16)


@dataclass(frozen=True, slots=True)
class Terms:
    """What pricing needs of each contract, by number; no underlying is −1, no value NaN."""

    underlying: Integers
    strike: Floats
    right: Floats
    expires: Floats
    """Seconds of the epoch."""
    dividend_yield: Floats


def number_contracts(recorded: Recorded) -> pl.DataFrame:
    """Every contract recorded, and the underlyings of its options, in a stable order with its number.

    Options on futures are left out: the gateway lists no class for them.
    """
    frames = [frame.select(IDENTITY) for frame in (recorded.quotes, recorded.trades, recorded.open_interest)]
    known = pl.concat(frames).unique().filter(pl.col("security_type") != SecurityType.FUTURE_OPTION.value)
    indices = known.filter(pl.col("security_type") == SecurityType.INDEX.value)["symbol"]
    underlyings = (
        known.filter(pl.col("security_type") == SecurityType.OPTION.value)
        .select("symbol")
        .unique()
        .filter(~pl.col("symbol").is_in(indices.implode()))
        .select(
            pl.lit(SecurityType.STOCK.value).alias("security_type"),
            "symbol",
            *(pl.lit(None, dtype=known.schema[name]).alias(name) for name in IDENTITY[2:]),
        )
    )
    return pl.concat([known, underlyings]).unique().sort(IDENTITY).with_row_index("contract")


def numbered(rows: pl.DataFrame, contracts: pl.DataFrame) -> pl.DataFrame:
    """The rows of numbered contracts, with their number in `contract`."""
    return rows.join(contracts, on=IDENTITY, how="inner", nulls_equal=True)


def listing(contracts: pl.DataFrame) -> tuple[ListedContract, ...]:
    """The contracts by number."""
    rows = contracts.select(IDENTITY).rows()
    cash = {symbol: kind for kind, symbol, *_ in rows if kind in ("STK", "IND")}
    con_ids: dict[tuple[str, str], int] = {}
    taken: set[int] = set()
    listed = []
    for kind, symbol, expiry, strike, right in rows:
        local_symbol = symbol
        if kind == "OPT":
            local_symbol = occ_symbol(symbol, expiry, Right(right), strike)
        elif kind == "FUT":
            local_symbol = future_symbol(symbol, expiry)
        con_id = _con_id(f"{kind} {local_symbol}", taken)
        taken.add(con_id)
        con_ids[kind, symbol] = con_id
        contract = Contract(
            con_id=con_id,
            security_type=SecurityType(kind),
            symbol=symbol,
            exchange={"FUT": "CME", "IND": "CBOE"}.get(kind, "SMART"),
            local_symbol=local_symbol,
            trading_class=symbol,
            multiplier=_multiplier(kind, symbol),
            expiry=expiry,
            strike=strike,
            right=Right(right) if right else None,
        )
        listed.append((contract, (cash.get(symbol, ""), symbol)))
    return tuple(
        _described(contract, cash.get(contract.symbol, ""), con_ids.get(underlying, 0))
        for contract, underlying in listed
    )


def terms(listed: Sequence[ListedContract], session_close: datetime, numbers: Mapping[int, int]) -> Terms:
    """Pricing terms by number; on its last day an option expires at the session's close."""
    options = [one.contract if one.contract.right else None for one in listed]
    return Terms(
        underlying=np.array([numbers.get(one.underlying_con_id, -1) for one in listed], dtype=np.int64),
        strike=np.array([option.strike if option else np.nan for option in options], dtype=np.float64),
        right=np.array([option.right.sign if option and option.right else np.nan for option in options]),
        expires=np.array([_expires(option, session_close) if option else np.nan for option in options]),
        dividend_yield=np.array([_YIELDS.get(one.contract.symbol, 0.0) for one in listed]),
    )


def _expires(option: Contract, session_close: datetime) -> float:
    assert option.expiry is not None  # every recorded option has one
    if option.expiry <= session_close.date():
        return session_close.timestamp()
    return datetime.combine(option.expiry, _EXPIRES, calendar.NEW_YORK).timestamp()


def _con_id(name: str, taken: set[int]) -> int:
    """A number that the name alone decides, but for the few names that meet on one."""
    con_id = int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) % (1 << _CON_ID_BITS) or 1
    while con_id in taken:
        con_id += 1
    return con_id


def _multiplier(kind: str, symbol: str) -> float:
    if kind == "OPT":
        return OPTION_MULTIPLIER
    return _FUTURES[symbol].future_multiplier if kind == "FUT" and symbol in _FUTURES else 1.0


def _described(contract: Contract, cash: str, underlying_con_id: int) -> ListedContract:
    match contract.security_type:
        case SecurityType.OPTION:
            style = "EUROPEAN" if cash == "IND" else "AMERICAN"
            return ListedContract(
                contract,
                contract.symbol,
                OPTION_TICK,
                "",
                "SMART,CBOE",
                underlying_con_id,
                "US/Eastern",
                style,
            )
        case SecurityType.FUTURE:
            tick = _FUTURES[contract.symbol].future_tick if contract.symbol in _FUTURES else 0.01
            return ListedContract(contract, contract.symbol, tick, "", "CME", 0, "US/Central")
        case SecurityType.INDEX:
            return ListedContract(contract, contract.symbol, INDEX_TICK, "", "CBOE", 0, "US/Central")
        case _:
            return ListedContract(
                contract, contract.symbol, STOCK_TICK, "NASDAQ", "SMART,NASDAQ", 0, "US/Eastern"
            )
