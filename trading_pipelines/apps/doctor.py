"""One line for everything the system stands on; the exit code says whether all of it holds."""

import importlib.metadata
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from rich.console import Console

from trading_pipelines import settings
from trading_pipelines.adapters.delta import Lake
from trading_pipelines.adapters.ib_session import IBClock, IBSession
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.core.market import calendar
from trading_pipelines.domain.errors import TradingError
from trading_pipelines.domain.tables import TABLES
from trading_pipelines.settings import Mode, Settings

NEW_YORK = ZoneInfo("America/New_York")
MAX_SKEW = timedelta(seconds=2)
MIN_FREE_BYTES = 5 * 1024**3

Finding = tuple[bool, str]


def run() -> int:
    """Print a line for each thing; 0 when all of them are well. A bad configuration is told like the rest."""
    console = Console()
    try:
        loaded = settings.load()
    except TradingError as error:
        console.print(f"[red]bad[/red] configuration: {error}")
        return 1
    well = True
    for name, look in _checks(loaded):
        try:
            good, said = look()
        except (TradingError, OSError, sqlite3.Error) as error:
            good, said = False, str(error)
        well &= good
        console.print(f"{'[green]ok [/green]' if good else '[red]bad[/red]'} {name}: {said}")
    return 0 if well else 1


def _checks(loaded: Settings) -> Iterator[tuple[str, Callable[[], Finding]]]:
    yield "configuration", lambda: (True, f"mode {loaded.mode}, hash {loaded.config_hash[:12]}")
    yield "code", lambda: (True, loaded.code_version)
    for package in ("dagster", "deltalake", "polars", "ib_async", "exchange-calendars"):
        yield package, lambda package=package: (True, importlib.metadata.version(package))
    yield "calendar", _calendar
    yield "disk", lambda: _disk(loaded)
    yield "journal", lambda: _journal(loaded)
    lake = Lake(loaded.lake)
    for table in TABLES:
        yield "/".join(table.path), lambda table=table: _version(lake.version(table))
    yield "gateway", lambda: _gateway(loaded)


def _calendar() -> Finding:
    today = datetime.now(UTC).date()
    upcoming = next(day for ahead in range(10) if calendar.is_session(day := today + timedelta(days=ahead)))
    return True, f"next NYSE session {upcoming}"


def _disk(loaded: Settings) -> Finding:
    folder = next(path for path in (loaded.data, *loaded.data.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    return free >= MIN_FREE_BYTES, f"{free / 1024**3:.1f} GiB free, {MIN_FREE_BYTES / 1024**3:.0f} wanted"


def _journal(loaded: Settings) -> Finding:
    if not loaded.journal.exists():
        return True, "none yet"
    journal = SqliteJournal(loaded.journal)
    reason, unresolved = journal.halted(), journal.orders(unresolved=True)
    return (
        reason is None,
        f"{'not halted' if reason is None else f'halted: {reason}'}, {len(unresolved)} open orders",
    )


def _version(version: int | None) -> Finding:
    return True, "none yet" if version is None else f"version {version}"


def _gateway(loaded: Settings) -> Finding:
    """The broker's clock must agree with ours; a simulated gateway lives in its own time."""
    with IBSession(loaded.parameters.broker, "tools") as session:
        theirs = IBClock(session).now()
        skew = abs(theirs - datetime.now(UTC))
    answers = f"answers at port {loaded.parameters.broker.port}"
    if loaded.mode is Mode.SIMULATED:
        return True, f"{answers}, its clock shows {theirs.astimezone(NEW_YORK):%Y-%m-%d %H:%M} New York"
    return skew <= MAX_SKEW, f"{answers}, clocks {skew.total_seconds():.1f} s apart"
