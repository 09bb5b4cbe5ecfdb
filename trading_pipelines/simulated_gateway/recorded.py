"""What was recorded for one session, out of a LEAN data root or out of the lake, as the same frames."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from trading_pipelines.adapters import lean
from trading_pipelines.adapters.delta import Lake
from trading_pipelines.adapters.lean_layout import SourceFile, source_files
from trading_pipelines.core.market import calendar
from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.domain.tables import BARS, OPEN_INTEREST, QUOTES, Extent, Table

_FUTURES = (SecurityType.FUTURE, SecurityType.FUTURE_OPTION)
_DATES_NAMED = 8


@dataclass(frozen=True, slots=True)
class Recorded:
    """The minute rows of one session, and the daily bars before it; rows out of hours included."""

    session: date
    quotes: pl.DataFrame
    trades: pl.DataFrame
    open_interest: pl.DataFrame
    daily: pl.DataFrame
    rate: float
    """Annual interest, a fraction; 0 where nothing was recorded of it."""


def load(root: Path, session: date, underlyings: Collection[str] | None = None) -> Recorded:
    """What `root` holds of an NYSE session: of the named underlyings, or of all; futures always.

    DataError when the day is no session. MissingData names root and date and tells which dates there
    are, or which of the underlyings were not recorded.
    """
    calendar.session_bounds(session)
    wanted = None if underlyings is None else {symbol.upper() for symbol in underlyings}
    if (root / BARS.group / BARS.name / "_delta_log").is_dir() or (
        root / QUOTES.group / QUOTES.name
    ).is_dir():
        return _from_lake(root, session, wanted)
    return _from_lean(root, session, wanted)


def _from_lean(root: Path, session: date, wanted: set[str] | None) -> Recorded:
    files = list(source_files(root))
    minutes = [file for file in files if file.resolution == "minute"]
    cash = [file for file in minutes if file.format.security_type not in _FUTURES]
    of_day = [file for file in cash if file.day == session]
    _require(root, session, wanted, {file.symbol for file in of_day}, {file.day for file in cash if file.day})
    # A CME trade date begins on the evening before, and LEAN's files of futures are days of UTC.
    evening = session - timedelta(days=1)
    futures = [
        file for file in minutes if file.format.security_type in _FUTURES and file.day in (evening, session)
    ]
    kept = [file for file in of_day if wanted is None or file.symbol in wanted] + futures
    symbols = {file.symbol for file in kept}
    daily = [
        file
        for file in files
        if file.resolution == "daily" and file.symbol in symbols and file.kind == "trade"
    ]

    def rows(table: Table, kind: str, chosen: Iterable[SourceFile]) -> pl.DataFrame:
        frames = [lean.read(file).frame for file in chosen if file.kind == kind]
        return pl.concat([pl.DataFrame(schema=table.schema), *frames])

    return _recorded(
        session,
        rows(QUOTES, "quote", kept),
        rows(BARS, "trade", kept),
        rows(OPEN_INTEREST, "openinterest", kept),
        rows(BARS, "trade", daily),
        lean.discount_rate(root, session) or 0.0,
    )


def _from_lake(root: Path, session: date, wanted: set[str] | None) -> Recorded:
    lake = Lake(str(root))
    cash = ~pl.col("security_type").is_in([kind.value for kind in _FUTURES])
    recorded = pl.concat(
        lake.scan(table).filter((pl.col("resolution") == "minute") & cash).select("session", "symbol")
        for table in (QUOTES, BARS)
    )
    days = recorded.unique().collect()
    of_day = set(days.filter(pl.col("session") == session)["symbol"])
    _require(root, session, wanted, of_day, set(days["session"]))
    kept = ~cash if wanted is not None else pl.lit(True)
    if wanted is not None:
        kept = kept | pl.col("symbol").is_in(sorted(wanted))
    minute: dict[str, Extent] = {"resolution": "minute", "session": session}
    quotes = lake.read(QUOTES, **minute).filter(kept)
    trades = lake.read(BARS, what="trades", **minute).filter(kept)
    open_interest = lake.read(OPEN_INTEREST, **minute).filter(kept)
    symbols = {*quotes["symbol"], *trades["symbol"]}
    daily = lake.read(BARS, what="trades", resolution="daily").filter(pl.col("symbol").is_in(sorted(symbols)))
    return _recorded(session, quotes, trades, open_interest, daily, 0.0)


def _recorded(
    session: date,
    quotes: pl.DataFrame,
    trades: pl.DataFrame,
    open_interest: pl.DataFrame,
    daily: pl.DataFrame,
    rate: float,
) -> Recorded:
    of_session = pl.col("session") == session
    return Recorded(
        session=session,
        quotes=quotes.filter(of_session),
        trades=trades.filter(of_session),
        open_interest=open_interest.filter(of_session),
        daily=daily.filter(pl.col("session") < session).sort("session", "started_at"),
        rate=rate,
    )


def _require(root: Path, session: date, wanted: set[str] | None, found: set[str], days: set[date]) -> None:
    """MissingData when nothing, or not all that is wanted, was recorded."""
    if not found:
        raise MissingData(f"{root} holds no recorded minutes of {session}", f"it holds {_named(days)}")
    lacking = sorted((wanted or set()) - found)
    if lacking:
        raise MissingData(
            f"{root} holds no recorded minutes of {', '.join(lacking)} on {session}",
            f"of that date it holds {', '.join(sorted(found))}",
        )


def _named(days: set[date]) -> str:
    ordered = sorted(days)
    if not ordered:
        return "no recorded minutes at all"
    shown = ", ".join(str(day) for day in ordered[:_DATES_NAMED])
    return shown if len(ordered) <= _DATES_NAMED else f"{shown} and {len(ordered) - _DATES_NAMED} more"
