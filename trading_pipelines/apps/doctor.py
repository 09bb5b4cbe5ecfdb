"""One line for everything the system stands on; the exit code says whether all of it holds."""

import importlib.metadata
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from rich.console import Console

from trading_pipelines import settings
from trading_pipelines.adapters.delta import Lake
from trading_pipelines.adapters.ib_session import IBClock, IBSession
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.core.market import calendar
from trading_pipelines.domain.errors import TradingError
from trading_pipelines.domain.orders import OrderState
from trading_pipelines.domain.tables import TABLES, Table
from trading_pipelines.settings import Mode, Settings

NEW_YORK = ZoneInfo("America/New_York")
MAX_SKEW = timedelta(seconds=2)
MIN_FREE_BYTES = 5 * 1024**3

UNSURE = frozenset({OrderState.UNKNOWN, OrderState.NEEDS_HUMAN})

Finding = tuple[bool, str]


def run() -> int:
    """Print a line for each thing; 0 when all of them are well. A bad configuration is told like the rest."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    try:
        loaded = settings.load()
    except TradingError as error:
        _tell(console, "configuration", False, str(error))
        return 1
    well = True
    for name, look in _checks(loaded):
        try:
            good, said = look()
        except (TradingError, OSError, sqlite3.Error) as error:
            good, said = False, str(error)
        well &= good
        _tell(console, name, good, said)
    return 0 if well else 1


def _tell(console: Console, name: str, good: bool, said: str) -> None:
    console.print("ok " if good else "BAD", style="green" if good else "red", end=" ")
    console.print(f"{name}: {said}")


def _checks(loaded: Settings) -> Iterator[tuple[str, Callable[[], Finding]]]:
    yield "configuration", lambda: (True, f"mode {loaded.mode}, hash {loaded.config_hash[:12]}")
    yield "code", lambda: (True, loaded.code_version)
    for package in ("dagster", "deltalake", "polars", "ib_async", "exchange-calendars"):
        yield package, partial(_package, package)
    yield "calendar", _calendar
    yield "disk", partial(_disk, loaded)
    yield "journal", partial(_journal, loaded)
    yield "arming", partial(_arming, loaded)
    yield "alerts", partial(_alerts, loaded)
    lake = Lake(loaded.lake)
    for table in TABLES:
        yield "/".join(table.path), partial(_version, lake, table)
    yield "gateway", partial(_gateway, loaded)


def _package(name: str) -> Finding:
    return True, importlib.metadata.version(name)


def _calendar() -> Finding:
    today = datetime.now(UTC).date()
    upcoming = next(day for ahead in range(10) if calendar.is_session(day := today + timedelta(days=ahead)))
    return True, f"next NYSE session {upcoming}"


def _disk(loaded: Settings) -> Finding:
    folder = next(path for path in (loaded.data, *loaded.data.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    return free >= MIN_FREE_BYTES, f"{free / 1024**3:.1f} GiB free, {MIN_FREE_BYTES / 1024**3:.0f} wanted"


def _journal(loaded: Settings) -> Finding:
    """Not well: a halt, because nothing is sent, and an order that only a person can make sure of."""
    if not loaded.journal.exists():
        return True, "none yet"
    with SqliteJournal(loaded.journal) as journal:
        reason, unresolved = journal.halted(), journal.orders(unresolved=True)
    unsure = [order.intent.order_ref for order in unresolved if order.state in UNSURE]
    said = ["not halted" if reason is None else f"halted: {reason}", f"open orders: {len(unresolved)}"]
    said += [f"look at {', '.join(unsure)} yourself"] if unsure else []
    return reason is None and not unsure, ", ".join(said)


def _arming(loaded: Settings) -> Finding:
    if loaded.mode is Mode.SIMULATED:
        return True, "not needed in simulated mode"
    account = loaded.parameters.account.account
    armed = False
    if loaded.journal.exists():
        with SqliteJournal(loaded.journal) as journal:
            armed = journal.armed(loaded.mode, account, datetime.now(UTC))
    return True, f"{'armed' if armed else 'not armed, orders are refused'}: {loaded.mode}, account {account}"


def _alerts(loaded: Settings) -> Finding:
    if loaded.slack_token is None:
        return True, "logged only: TRADING_PIPELINES_SLACK_TOKEN is not set"
    return True, f"Slack, {loaded.parameters.alerts.slack_channel}"


def _version(lake: Lake, table: Table) -> Finding:
    version = lake.version(table)
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
