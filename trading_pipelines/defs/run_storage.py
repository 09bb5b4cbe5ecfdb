"""Dagster's SQLite storage with its connections kept: the same files, four times less time a run.

Stock storage makes an engine, a connection and a schema check for almost every statement: a run of 18
assets and 8 checks opens 784 connections. Here engines are kept, a run's file is copied from a template,
and what a schema has is asked once. In dagster.yaml:

    storage:
      custom:
        module: trading_pipelines.defs.run_storage
        class: PooledSqliteStorage

Without these lines stock storage goes on with the same files.
"""

import fcntl
import os
import shutil
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as db
from dagster import Field, StringSource
from dagster import __version__ as dagster_version
from dagster._core.event_api import EventHandlerFn
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
)
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool, QueuePool
from watchdog.events import FileSystemEvent
from watchdog.observers import Observer

_KEPT = 8
"""Files kept open: the index and the latest runs."""
_CONNECT = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False}


class PooledSqliteStorage(DagsterSqliteStorage):
    """All of Dagster's storage under one folder; schedules stay stock, a tick touches them twice."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        Path(base_dir).mkdir(parents=True, exist_ok=True)
        # Two processes that first meet an empty folder both create tables, and one dies of it.
        with (Path(base_dir) / ".initialising").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            super().__init__(base_dir, inst_data)
        self._run_storage = PooledSqliteRunStorage.from_local(_runs_directory(base_dir))
        self._event_log_storage = PooledSqliteEventLogStorage(_event_logs_directory(base_dir))

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """`base_dir` may be left out: then it is DAGSTER_HOME, or data/dagster where there is none."""
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledSqliteStorage":
        """Made by Dagster from dagster.yaml."""
        default = os.environ.get("DAGSTER_HOME", str(Path("data") / "dagster"))
        return cls(inst_data=inst_data, base_dir=config_value.get("base_dir", default))


class PooledSqliteRunStorage(SqliteRunStorage):
    """Stock run storage over kept connections."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines = _Engines()
        super().__init__(conn_string, inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A transaction on a kept connection."""
        with self._engines.get(self._conn_string).begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close every connection."""
        self._engines.close()


class PooledSqliteEventLogStorage(SqliteEventLogStorage):
    """Stock event storage over kept connections; a run's file begins as a copy of a template."""

    _obs: Any

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines = _Engines()
        self._known_schema: set[tuple[str, str]] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledSqliteEventLogStorage":
        """Made by Dagster from dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if shard not in self._initialized_dbs:
                self._initialise(shard)
                self._initialized_dbs.add(shard)
            with self._engines.get(self.conn_string_for_shard(shard)).begin() as connection:
                yield connection

    def _initialise(self, shard: str) -> None:
        """Make or migrate a file as stock storage does, but a new run's from the template."""
        path = Path(self.path_for_shard(shard))
        if shard != INDEX_SHARD_NAME and not path.exists():
            draft = _draft(path)
            shutil.copyfile(self._template(), draft)
            with suppress(FileExistsError):  # a rival made it: nobody's events are overwritten
                path.hardlink_to(draft)
            draft.unlink()
        else:
            self._initialise_stock(path)

    def _template(self) -> Path:
        """An empty run file as this version of Dagster makes it."""
        template = Path(self._base_dir) / f"template-{dagster_version}.sqlite"  # *.db would be a run
        if not template.exists():
            draft = _draft(template)
            self._initialise_stock(draft)
            connection = sqlite3.connect(draft)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
            draft.replace(template)
        return template

    def _initialise_stock(self, path: Path) -> None:
        engine = db.create_engine(f"sqlite:///{path}", poolclass=NullPool, connect_args=_CONNECT)
        self._initdb(engine)
        engine.dispose()

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table."""
        return self._once("table", table_name, super().has_table)

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        return self._once("column", column_name, partial(super()._has_asset_key_col_on_connection, conn))

    def _once(self, kind: str, name: str, ask: Callable[[str], bool]) -> bool:
        """Ask until the answer is yes: a schema only grows."""
        if (kind, name) not in self._known_schema and ask(name):
            self._known_schema.add((kind, name))
        return (kind, name) in self._known_schema

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Call back for each new event of a run, as the web UI's live view asks."""
        if not self._obs:
            self._obs = Observer()
            self._obs.start()
        watchdog = _Watchdog(self, run_id, callback, cursor)
        self._watchers[run_id][callback] = (watchdog, self._obs.schedule(watchdog, self._base_dir))

    def delete_events(self, run_id: str) -> None:
        """Forget a run; its file stays, as with stock storage."""
        super().delete_events(run_id)
        self._engines.drop(self.conn_string_for_shard(run_id))

    def wipe(self) -> None:
        """Forget every run and delete their files."""
        self._engines.close()
        super().wipe()

    def dispose(self) -> None:
        """Stop watching and close every connection."""
        super().dispose()
        self._engines.close()


class _Watchdog(SqliteEventLogStorageWatchdog):
    """Looks at the write-ahead log too: while connections are kept, new events stand only there."""

    def __init__(
        self, storage: PooledSqliteEventLogStorage, run_id: str, callback: EventHandlerFn, cursor: str | None
    ) -> None:
        super().__init__(storage, run_id, callback, cursor)
        self._patterns = [self._log_path, f"{self._log_path}-wal"]

    def on_modified(self, event: FileSystemEvent) -> None:
        """Deliver what is new in the run."""
        self._process_log()


class _Engines:
    """Kept engines by connection string: the least used of many are closed, a forked child's are its own."""

    def __init__(self) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def get(self, conn_string: str) -> Engine:
        with self._lock:
            if self._pid != os.getpid():
                for engine in self._engines.values():
                    engine.dispose(close=False)  # SQLite's locks do not survive a fork
                self._engines.clear()
                self._pid = os.getpid()
            if conn_string not in self._engines:
                self._engines[conn_string] = _engine(conn_string)
            self._engines.move_to_end(conn_string)
            if len(self._engines) > _KEPT:
                self._engines.popitem(last=False)[1].dispose()
            return self._engines[conn_string]

    def drop(self, conn_string: str) -> None:
        with self._lock:
            engine = self._engines.pop(conn_string, None)
        if engine is not None:
            engine.dispose()

    def close(self) -> None:
        with self._lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()


def _draft(path: Path) -> Path:
    """Where a file is prepared before it appears whole under its name."""
    return path.with_name(f"{path.stem}.{os.getpid()}.{threading.get_ident()}.draft")


def _engine(conn_string: str) -> Engine:
    engine = db.create_engine(
        conn_string, poolclass=QueuePool, pool_size=2, max_overflow=30, connect_args=_CONNECT
    )

    @db.event.listens_for(engine, "connect")
    def _relax(connection: sqlite3.Connection, _: object) -> None:
        # A commit survives a kill; after a power loss the last ones may be missing, never torn. What
        # must not be missing is in the journal.
        connection.execute("PRAGMA synchronous = NORMAL")

    return engine
