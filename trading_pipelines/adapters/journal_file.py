"""The SQLite file under the journal: its schema, its durability, one transaction at a time."""

import os
import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from threading import RLock

from trading_pipelines.domain.errors import ConfigError, DataError

_APPLICATION_ID = 0x7470_6A31  # "tpj1": tells a journal from any other SQLite file
_BUSY_SECONDS = 30.0

_FIRST = (
    """CREATE TABLE orders (
        order_ref TEXT PRIMARY KEY,
        session TEXT NOT NULL,
        as_of TEXT NOT NULL,
        payload_hash TEXT NOT NULL,
        intent TEXT NOT NULL,
        state TEXT NOT NULL,
        order_id INTEGER,
        client_id INTEGER,
        perm_id INTEGER,
        epoch INTEGER,
        filled REAL NOT NULL,
        average_price REAL,
        detail TEXT NOT NULL,
        recorded_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )""",
    "CREATE INDEX orders_by_tick ON orders (session, as_of)",
    """CREATE TABLE transitions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        order_ref TEXT NOT NULL REFERENCES orders,
        state TEXT NOT NULL,
        at TEXT NOT NULL,
        order_id INTEGER,
        client_id INTEGER,
        perm_id INTEGER,
        epoch INTEGER,
        filled REAL,
        average_price REAL,
        detail TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE INDEX transitions_by_order ON transitions (order_ref)",
    # No reference to orders: a fill of an order that is not ours is a fact too.
    """CREATE TABLE fills (
        exec_id TEXT PRIMARY KEY,
        exec_key TEXT NOT NULL,
        correction INTEGER NOT NULL,
        order_ref TEXT NOT NULL,
        session TEXT NOT NULL,
        filled_at TEXT NOT NULL,
        fill TEXT NOT NULL
    )""",
    "CREATE INDEX fills_by_execution ON fills (exec_key, correction)",
    """CREATE TABLE positions (
        position_id TEXT PRIMARY KEY,
        status TEXT NOT NULL,
        position TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )""",
    "CREATE TABLE leases (epoch INTEGER PRIMARY KEY AUTOINCREMENT, holder TEXT NOT NULL, at TEXT NOT NULL)",
    # A row without a reason is a release.
    "CREATE TABLE halts (id INTEGER PRIMARY KEY AUTOINCREMENT, reason TEXT, at TEXT NOT NULL)",
    """CREATE TABLE armings (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        mode TEXT NOT NULL,
        account TEXT NOT NULL,
        until TEXT NOT NULL,
        at TEXT NOT NULL,
        withdrawn_at TEXT
    )""",
    *(
        f"CREATE TRIGGER {table}_{change.lower()} BEFORE {change} ON {table}"
        f" BEGIN SELECT raise(ABORT, '{table} are only ever added'); END"
        for table in ("transitions", "leases", "halts")
        for change in ("UPDATE", "DELETE")
    ),
)
_UNITS = "json_extract({}.position, '$.units')"
_POSITION_MOVES = (
    # What a position was, whenever its units or status moved; a remembered peak is no move.
    """CREATE TABLE position_moves (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        position_id TEXT NOT NULL REFERENCES positions,
        status TEXT NOT NULL,
        units INTEGER NOT NULL,
        at TEXT NOT NULL
    )""",
    *(
        f"CREATE TRIGGER positions_moved_by_{change.lower()} AFTER {change} ON positions {when} BEGIN"
        " INSERT INTO position_moves (position_id, status, units, at)"
        f" VALUES (new.position_id, new.status, {_UNITS.format('new')}, new.updated_at); END"
        for change, when in (
            ("INSERT", ""),
            (
                "UPDATE",
                f"WHEN new.status <> old.status OR {_UNITS.format('new')} <> {_UNITS.format('old')}",
            ),
        )
    ),
    *(
        f"CREATE TRIGGER position_moves_{change.lower()} BEFORE {change} ON position_moves"
        " BEGIN SELECT raise(ABORT, 'position_moves are only ever added'); END"
        for change in ("UPDATE", "DELETE")
    ),
)
_SCHEMAS = (_FIRST, _POSITION_MOVES)
"""What each schema version added, in order: an older journal is brought up when it is opened."""
SCHEMA_VERSION = len(_SCHEMAS)


class JournalFile:
    """One SQLite file: WAL, synchronous=FULL; safe from several threads and processes.

    ConfigError when the file is no journal or was written by a newer build.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = RLock()
        self._open()

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self._close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, committed and on the disk when the block ends; undone when it raises.

        DataError when the file cannot take it: locked for too long, full, read-only.
        """
        with self._lock, self._translated():
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def rows(self, query: str, *parameters: str | int | None) -> list[sqlite3.Row]:
        """What a query answers from committed rows."""
        with self._lock, self._translated():
            return self._connection().execute(query, parameters).fetchall()

    def _connection(self) -> sqlite3.Connection:
        if self._pid != os.getpid():
            # SQLite's locks do not survive a fork: open anew, and never close what the parent still uses.
            self._close.detach()
            self._parents = self._db
            self._open()
        return self._db

    def _open(self) -> None:
        self._pid = os.getpid()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._close = weakref.finalize(self, self._db.close)
        self._db.row_factory = sqlite3.Row
        try:
            self._prepare(self._db)
        except BaseException:
            self._close()
            raise

    def _prepare(self, db: sqlite3.Connection) -> None:
        try:
            self._refuse_foreign(db)
            _use_wal(db)
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            if _pragma(db, "user_version") < SCHEMA_VERSION:
                self._bring_up(db)
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"{self.path} cannot be used as a journal: {error}", "name another file"
            ) from error

    def _refuse_foreign(self, db: sqlite3.Connection) -> None:
        version = _pragma(db, "user_version")
        if version > SCHEMA_VERSION and _pragma(db, "application_id") == _APPLICATION_ID:
            raise ConfigError(
                f"{self.path} has journal schema {version}, this build knows {SCHEMA_VERSION}",
                "run the newer build, or name another journal",
            )
        tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if tables and _pragma(db, "application_id") != _APPLICATION_ID:
            raise ConfigError(f"{self.path} is another program's database", "name another file")

    def _bring_up(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")
        try:
            version = _pragma(db, "user_version")  # a rival may have done it while this one waited
            for statement in chain.from_iterable(_SCHEMAS[version:]):
                db.execute(statement)
            if version < SCHEMA_VERSION:
                db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise DataError(
                f"the journal {self.path} failed: {error}",
                "no order may leave before it can be written again",
            ) from error


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to WAL; the switch does not wait for a rival that is making it, so this does."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
