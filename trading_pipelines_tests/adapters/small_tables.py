"""Small tables for tests of storage, and frames that fit them."""

from datetime import UTC, date, datetime

import polars as pl

from trading_pipelines.domain.tables import UTC_TIME, Table

SESSION = date(2024, 6, 12)
NEXT = date(2024, 6, 13)

QUOTES = Table(
    "snapshots",
    "small_quotes",
    "Quotes of a few contracts at one tick.",
    pl.Schema(
        {
            "session": pl.Date(),
            "as_of": UTC_TIME,
            "underlying": pl.String(),
            "con_id": pl.Int64(),
            "bid": pl.Float64(),
        }
    ),
    key=("as_of", "underlying", "con_id"),
    slice_by=("underlying", "as_of"),
)
LISTING = Table(
    "snapshots",
    "small_listing",
    "Contracts of one session, read once.",
    QUOTES.schema,
    key=("session", "con_id"),
    slice_by=("underlying",),
)
HISTORY = Table(
    "history",
    "small_history",
    "Daily closes, without a partition in Dagster.",
    pl.Schema({"session": pl.Date(), "symbol": pl.String(), "close": pl.Float64()}),
    key=("symbol", "session"),
    partition_by=("symbol",),
    slice_by=("session",),
    sealed=False,
)


def tick(number: int = 0, session: date = SESSION) -> datetime:
    """The tick `number` × 5 minutes after a summer open."""
    return datetime(
        session.year,
        session.month,
        session.day,
        13 + (30 + 5 * number) // 60,
        (30 + 5 * number) % 60,
        tzinfo=UTC,
    )


def quotes(
    session: date = SESSION, number: int = 0, underlying: str = "SPY", *, rows: int = 3, bid: float = 1.0
) -> pl.DataFrame:
    """`rows` quotes of one underlying at one tick."""
    return pl.DataFrame(
        {
            "session": [session] * rows,
            "as_of": [tick(number, session)] * rows,
            "underlying": [underlying] * rows,
            "con_id": list(range(rows)),
            "bid": [bid] * rows,
        },
        schema=QUOTES.schema,
    )


def closes(symbol: str, *sessions: date, close: float = 1.0) -> pl.DataFrame:
    """A close per session."""
    return pl.DataFrame(
        {"session": sessions, "symbol": [symbol] * len(sessions), "close": [close] * len(sessions)},
        schema=HISTORY.schema,
    )
