"""Where LEAN keeps its recordings, and what its file and member names say; contents are read in `lean.py`.

`<security type>/<market>/<resolution>/<ticker>/<date>_<kind>[_<style>].zip` for seconds and minutes,
`<security type>/<market>/<resolution>/<ticker>[_<year>][_<kind>[_<style>]].zip` for hours and days;
the options on a future have the future's expiry as one more folder. Inside, a CSV per contract.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from trading_pipelines.domain.contracts import Right, SecurityType
from trading_pipelines.domain.errors import MissingData, SchemaMismatch


@dataclass(frozen=True, slots=True)
class Format:
    """How files of one of LEAN's security types are written: zone of the stamps, units per price."""

    security_type: SecurityType
    zone: str
    price_scale: float


NEW_YORK, CHICAGO = "America/New_York", "America/Chicago"
FORMATS = {
    "equity": Format(SecurityType.STOCK, NEW_YORK, 10_000.0),
    "option": Format(SecurityType.OPTION, NEW_YORK, 10_000.0),
    "indexoption": Format(SecurityType.OPTION, NEW_YORK, 10_000.0),
    "index": Format(SecurityType.INDEX, CHICAGO, 1.0),
    "future": Format(SecurityType.FUTURE, "UTC", 1.0),
    "futureoption": Format(SecurityType.FUTURE_OPTION, "UTC", 1.0),
}
STRIKE_SCALE = 10_000.0
"""Strikes in member names, whatever the security type."""
INTRADAY = {"second": timedelta(seconds=1), "minute": timedelta(minutes=1), "hour": timedelta(hours=1)}
RESOLUTIONS = (*INTRADAY, "daily")
KINDS = ("trade", "quote", "openinterest")
EQUITY_INDEX_FUTURES = frozenset({"ES", "NQ", "RTY", "YM", "EMD", "MES", "MNQ", "M2K", "MYM"})
_STYLES = ("american", "european")
_DAY = re.compile(r"\d{8}")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One zip of recordings, as its path describes it; `day` is None for files that hold many days."""

    path: Path
    source: str
    folder: str
    market: str
    resolution: str
    symbol: str
    kind: str
    day: date | None

    @property
    def format(self) -> Format:
        """Zone and price scale of its rows."""
        return FORMATS[self.folder]


@dataclass(frozen=True, slots=True)
class Member:
    """The contract that one CSV inside a zip is about."""

    expiry: date | None
    strike: float | None
    right: str | None


def source_files(
    root: Path,
    *,
    day: date | None = None,
    symbols: Collection[str] | None = None,
    resolutions: Collection[str] = RESOLUTIONS,
) -> Iterator[SourceFile]:
    """Every recording under a LEAN data root, in a stable order; `day` keeps the files of that date only.

    What lies elsewhere (maps, factors, universes, alternative data, ticks) is no recording and is left
    alone. MissingData when `root` is no folder.
    """
    if not root.is_dir():
        raise MissingData(f"{root} is no folder", "name the folder that holds equity, option, future, …")
    for folder in FORMATS:
        for path in sorted(root.glob(f"{folder}/*/*/**/*.zip")):
            file = _source_file(root, path)
            if (
                file is not None
                and file.resolution in resolutions
                and (day is None or file.day == day)
                and (symbols is None or file.symbol in symbols)
            ):
                yield file


def _source_file(root: Path, path: Path) -> SourceFile | None:
    relative = path.relative_to(root)
    folder, market, resolution, *between = relative.parts[:-1]
    words = path.stem.split("_")
    if resolution not in RESOLUTIONS:
        return None
    dated = resolution in ("second", "minute")
    ticker = between[0] if dated and between else words[0]
    if dated and not (between and _DAY.fullmatch(words[0])):
        raise SchemaMismatch(
            f"{path} is not named as LEAN names a recording",
            f"expected {folder}/{market}/{resolution}/<ticker>/<yyyyMMdd>_<trade|quote|openinterest>….zip",
        )
    return SourceFile(
        path=path,
        source=f"lean:{relative.as_posix()}",
        folder=folder,
        market=market,
        resolution=resolution,
        symbol=ticker.upper(),
        kind=next((word for word in words[1:] if word in KINDS), "trade"),
        day=_date(words[0], path) if dated else None,
    )


def member(file: SourceFile, name: str) -> Member:
    """The contract a member is about; SchemaMismatch when its name does not say it.

    A future's name that tells only the contract month expires on its third Friday where the root is an
    equity index, else on the month's last day, which is never too early.
    """
    words = Path(name).stem.split("_")
    match file.format.security_type:
        case SecurityType.STOCK | SecurityType.INDEX:
            return Member(None, None, None)
        case SecurityType.FUTURE:
            tag = words[words.index(file.kind) + 1 :] if file.kind in words else []
            if len(tag) == 2:
                return Member(_date(tag[1], f"{file.path}:{name}"), None, None)
            if len(tag) == 1 and re.fullmatch(r"\d{6}", tag[0]):
                return Member(_future_expiry(file.symbol, int(tag[0][:4]), int(tag[0][4:])), None, None)
        case _:
            rights = {"call": Right.CALL.value, "put": Right.PUT.value}
            if len(words) >= 4 and words[-4] in _STYLES and words[-3] in rights and words[-2].isdigit():
                expiry = _date(words[-1], f"{file.path}:{name}")
                return Member(expiry, int(words[-2]) / STRIKE_SCALE, rights[words[-3]])
    raise SchemaMismatch(
        f"{file.path}: member {name} does not name its contract",
        "expected …_<kind>_<style>_<call|put>_<strike × 10000>_<expiry>.csv, or …_<kind>_<yyyyMM>.csv",
    )


def third_friday(year: int, month: int) -> date:
    """The third Friday of a month, when equity-index futures and monthly options expire."""
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


def _future_expiry(root: str, year: int, month: int) -> date:
    if root in EQUITY_INDEX_FUTURES:
        return third_friday(year, month)
    return date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)


def _date(text: str, where: object) -> date:
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 — a date has no zone
    except ValueError as error:
        raise SchemaMismatch(f"{where}: {text!r} is no date", "LEAN writes dates as yyyyMMdd") from error
