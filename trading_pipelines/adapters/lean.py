"""Recorded markets in LEAN's layout as frames of the tables history/bars, quotes and open_interest.

`started_at` is the row's stamp, `as_of` when the bar was complete and could be known: start plus
resolution within a day. A daily row is known at the close of its NYSE session, a future's at 17:00 New
York of its CME trade date; on days without a session, at the next midnight of New York. `session` is
the New York date, for futures the CME trade date. Rows outside trading hours are kept as they are:
who replays a session decides what belongs to it.

LEAN builds a future's daily bar from the regular hours of one calendar day, so the first evening of a
file that begins on a Sunday (ES, 2013-10-06) has a bar of its own, 18:00 New York to midnight UTC. It
belongs to Monday's trade date, beside Monday's own bar, and `started_at` keeps its stamp.
"""

import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zipfile import BadZipFile, ZipFile
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from trading_pipelines.adapters.lean_layout import (
    INTRADAY,
    NEW_YORK,
    RESOLUTIONS,
    Member,
    SourceFile,
    member,
    source_files,
)
from trading_pipelines.core.market import calendar
from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.errors import DataError, SchemaMismatch
from trading_pipelines.domain.tables import BARS, OPEN_INTEREST, QUOTES, UTC_TIME, Table

_TABLES = {"trade": BARS, "quote": QUOTES, "openinterest": OPEN_INTEREST}
_PRICES = {
    "trade": ("open", "high", "low", "close"),
    "quote": tuple(f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close")),
    "openinterest": (),
}
_VALUES = {
    "trade": (*_PRICES["trade"], "volume"),
    "quote": (*_PRICES["quote"][:4], "bid_size", *_PRICES["quote"][4:], "ask_size"),
    "openinterest": ("open_interest",),
}
_DAY_MILLISECONDS = 24 * 60 * 60 * 1000
_ROLL = timedelta(hours=6)
"""18:00 New York begins the next CME trade date."""
_GLOBEX_CLOSE = time(17)
_STAMP = "%Y%m%d %H:%M"
_NO_HOLES = "LEAN writes one bar a line; fetch the file again or take it out of the folder"


@dataclass(frozen=True, slots=True)
class Recording:
    """The rows of one source file, as rows of `table`; `file` says what they are about."""

    file: SourceFile
    table: Table
    frame: pl.DataFrame

    @property
    def source(self) -> str:
        """The file under its root, as the column `source` has it."""
        return self.file.source


def recordings(
    root: Path,
    *,
    day: date | None = None,
    symbols: Collection[str] | None = None,
    resolutions: Collection[str] = RESOLUTIONS,
) -> Iterator[Recording]:
    """Every recording under a LEAN data root, one file at a time; narrowed as `source_files` does.

    SchemaMismatch names the file, and the member and line where there is one, that is not what LEAN
    writes.
    """
    for file in source_files(root, day=day, symbols=symbols, resolutions=resolutions):
        yield read(file)


def read(file: SourceFile) -> Recording:
    """The rows of one file in the order of its members; SchemaMismatch as in `recordings`."""
    table = _TABLES[file.kind]
    names, contents = _unzip(file)
    contracts = [member(file, name) for name in names]
    rows = _parse(file, names, contents)
    stamped = _stamp(file, rows)
    scaled = stamped.with_columns(_prices(stamped[name], file) for name in _PRICES[file.kind])
    described = scaled.with_columns(
        *_contract_columns(contracts, rows["member"]),
        resolution=pl.lit(file.resolution),
        what=pl.lit("trades"),
        security_type=pl.lit(file.format.security_type.value),
        symbol=pl.lit(file.symbol),
        source=pl.lit(file.source),
    )
    typed = described.select(pl.col(name).cast(dtype) for name, dtype in table.schema.items())
    return Recording(file, table, typed)


def discount_rate(root: Path, day: date) -> float | None:
    """LEAN's US interest rate on a day, as a fraction; None where the root has none.

    It is the Federal Reserve's primary credit rate, one row a change.
    """
    path = root / "alternative" / "interest-rate" / "usa" / "interest-rate.csv"
    if not path.is_file():
        return None
    try:
        rates = pl.read_csv(
            path, has_header=True, new_columns=["day", "percent"], schema_overrides=[pl.Date, pl.Float64]
        )
    except pl.exceptions.PolarsError as error:
        raise SchemaMismatch(f"{path} is not LEAN's table of interest rates: {error}", _NO_HOLES) from error
    known = rates.filter(pl.col("day") <= day).sort("day")
    return float(known["percent"][-1]) / 100.0 if known.height else None


def _unzip(file: SourceFile) -> tuple[list[str], list[bytes]]:
    """Names and contents of the members, line ends made uniform."""
    try:
        with ZipFile(file.path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            contents = [archive.read(name).replace(b"\r\n", b"\n").strip(b"\n") for name in names]
    except (BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise SchemaMismatch(
            f"{file.path} is no complete zip file ({error})", "it may be half written: fetch it again"
        ) from error
    return names, contents


def _parse(file: SourceFile, names: Sequence[str], contents: Sequence[bytes]) -> pl.DataFrame:
    """All members as one frame: member (its number), stamp, and the values as they are written."""
    dated = file.day is not None
    values = _VALUES[file.kind]
    counts = [content.count(b"\n") + 1 if content else 0 for content in contents]
    text = b"\n".join(content for content in contents if content)
    schema = {"stamp": pl.Int64() if dated else pl.String(), **dict.fromkeys(values, pl.Float64())}
    if not text:
        return pl.DataFrame(schema={"member": pl.Int64(), **schema})
    try:
        rows = pl.read_csv(text, has_header=False, schema=schema, null_values=[""])
    except pl.exceptions.PolarsError as error:
        raise _fault(file, names, contents) from error
    whole = rows.height == sum(counts) and text.count(b",") == rows.height * len(values)
    sane = rows.select(
        pl.all_horizontal(pl.col(name).is_finite().fill_null(True).all() for name in values)
        & (pl.col("stamp").is_between(0, _DAY_MILLISECONDS - 1).all() if dated else pl.lit(True))
        & pl.col("stamp").is_not_null().all()
    ).item()
    if not (whole and sane):
        raise _fault(file, names, contents)
    if not dated:
        rows = rows.with_columns(pl.col("stamp").str.to_datetime(_STAMP, strict=False))
        if rows["stamp"].null_count():
            raise _fault(file, names, contents)
    return rows.with_columns(member=pl.Series(np.repeat(np.arange(len(counts)), counts)))


def _fault(file: SourceFile, names: Sequence[str], contents: Sequence[bytes]) -> SchemaMismatch:
    """The first line that is not as LEAN writes it; only walked once something is wrong."""
    expected = 1 + len(_VALUES[file.kind])
    for name, content in zip(names, contents, strict=True):
        for number, line in enumerate(content.split(b"\n") if content else [], start=1):
            fields = line.decode("utf-8", "replace").split(",")
            problem = (
                f"has {len(fields)} columns, not {expected}"
                if len(fields) != expected
                else _bad_field(file, fields)
            )
            if problem:
                return SchemaMismatch(f"{file.path}: {name} line {number} {problem}", _NO_HOLES)
    return SchemaMismatch(f"{file.path} cannot be read as LEAN's {file.kind} rows", _NO_HOLES)


def _bad_field(file: SourceFile, fields: Sequence[str]) -> str:
    stamp, *values = fields
    try:
        if file.day is None:
            datetime.strptime(stamp, _STAMP)  # noqa: DTZ007 — only whether it parses
        elif not 0 <= int(stamp) < _DAY_MILLISECONDS:
            return f"has the time {stamp}, outside the day"
    except ValueError:
        return f"has the time {stamp!r}"
    for text in values:
        try:
            if text and not np.isfinite(float(text)):
                return f"has the value {text}"
        except ValueError:
            return f"has {text!r} where a number belongs"
    return ""


def _prices(written: pl.Series, file: SourceFile) -> pl.Series:
    """Prices as they are quoted. Numpy divides; Polars multiplies by the inverse: 748.5600000000001."""
    prices = pl.Series(written.name, written.to_numpy() / file.format.price_scale)
    return prices.fill_nan(None)


def _contract_columns(contracts: Sequence[Member], numbers: pl.Series) -> list[pl.Series]:
    """Expiry, strike and right of each row's member."""
    columns = (
        pl.Series("expiry", [contract.expiry for contract in contracts], pl.Date),
        pl.Series("strike", [contract.strike for contract in contracts], pl.Float64),
        pl.Series("right", [contract.right for contract in contracts], pl.String),
    )
    return [column.gather(numbers) for column in columns]


def _stamp(file: SourceFile, rows: pl.DataFrame) -> pl.DataFrame:
    """Adds started_at, as_of and session to the rows."""
    stamp = pl.col("stamp")
    local = pl.lit(file.day).cast(pl.Datetime("us")) + pl.duration(milliseconds=stamp) if file.day else stamp
    # Clocks change on Sunday nights, when at most futures trade, and those are stamped in UTC.
    started = local.dt.replace_time_zone(file.format.zone, ambiguous="earliest").dt.convert_time_zone("UTC")
    stamped = rows.with_columns(started_at=started.cast(UTC_TIME), day=local.dt.date())
    future = file.format.security_type in (SecurityType.FUTURE, SecurityType.FUTURE_OPTION)
    if file.resolution == "daily":
        days = _daily(stamped["day"].unique().drop_nulls().to_list(), future=future)
        return stamped.join(days, on="day", how="left", maintain_order="left")
    # Open interest is a reading, not a bar: it is known at its stamp.
    length = timedelta(0) if file.kind == "openinterest" else INTRADAY[file.resolution]
    new_york = pl.col("started_at").dt.convert_time_zone(NEW_YORK).dt.replace_time_zone(None)
    stamped = stamped.with_columns(as_of=pl.col("started_at") + length, session=new_york.dt.date())
    return _trade_dates(stamped, new_york) if future else stamped


def _trade_dates(rows: pl.DataFrame, new_york: pl.Expr) -> pl.DataFrame:
    """`session` made the CME trade date: the next one at or after the date that 18:00 New York rolls to."""
    rolled = rows.with_columns(rolled=(new_york + _ROLL).dt.date())
    if rolled.is_empty():
        return rolled
    days = sorted(set(rolled["rolled"].to_list()))
    dates = pl.DataFrame({"rolled": days, "trade_date": [_trade_date(day) for day in days]})
    return rolled.join(dates, on="rolled", how="left", maintain_order="left").with_columns(
        session="trade_date"
    )


def _daily(days: Sequence[date], *, future: bool) -> pl.DataFrame:
    """When the daily row of each day is known, and the session it belongs to."""
    ends = [_future_day(day) if future else _cash_day(day) for day in days]
    return pl.DataFrame(
        {"day": days, "session": [session for session, _ in ends], "as_of": [end for _, end in ends]},
        schema={"day": pl.Date(), "session": pl.Date(), "as_of": UTC_TIME},
    )


def _cash_day(day: date) -> tuple[date, datetime]:
    covered = day >= calendar.FIRST_DAY
    if covered and calendar.is_session(day):
        return day, calendar.session_bounds(day)[1]
    return day, _new_york(day + timedelta(days=1), time(0))


def _future_day(day: date) -> tuple[date, datetime]:
    trade_date = _trade_date(day)
    return trade_date, _new_york(trade_date, _GLOBEX_CLOSE)


def _trade_date(day: date) -> date:
    """The CME trade date at or next after a day; a day before the calendar is its own."""
    if day < calendar.FIRST_DAY:
        return day
    dates = calendar.trade_dates_between(day, day + timedelta(days=7))
    if not dates:
        raise DataError(f"no CME trade date follows {day}", "check the stamps of the recording")
    return dates[0]


def _new_york(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, ZoneInfo(NEW_YORK)).astimezone(UTC)
