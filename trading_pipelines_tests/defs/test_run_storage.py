"""Pooled run storage: what stock storage would say, after kills and beside rivals."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from dagster import DagsterEventType
from dagster._core.definitions.asset_checks.asset_check_spec import AssetCheckKey
from dagster._core.event_api import RunStatusChangeRecordsFilter
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from trading_pipelines.defs import run_storage
from trading_pipelines.defs.run_storage import PooledSqliteEventLogStorage, PooledSqliteRunStorage

POOLED = """
storage:
  custom:
    module: trading_pipelines.defs.run_storage
    class: PooledSqliteStorage
    config:
      base_dir: {env: DAGSTER_HOME}
"""
CHECK = AssetCheckKey(dg.AssetKey("quotes"), "holds")


def instance(home: Path, configuration: str = POOLED) -> dg.DagsterInstance:
    """Dagster's storage under `home`; without configuration it is stock."""
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{configuration}")
    os.environ["DAGSTER_HOME"] = str(home)
    return dg.DagsterInstance.from_config(str(home))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def pooled(home: Path) -> Iterator[dg.DagsterInstance]:
    made = instance(home / "dagster")
    yield made
    made.dispose()


@pytest.fixture
def stock(pooled: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    """Stock storage on the same files as `pooled`."""
    made = instance(Path(os.environ["DAGSTER_HOME"]), "")
    assert type(made.event_log_storage) is SqliteEventLogStorage
    yield made
    made.dispose()


def job(*, fails: bool = False) -> dg.JobDefinition:
    """Two assets with metadata, a check between them, one partition set."""
    days = dg.StaticPartitionsDefinition(["2024-06-12", "2024-06-13"])

    @dg.asset(partitions_def=days)
    def quotes() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"rows": 3})

    @dg.asset_check(asset=quotes)
    def holds() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True, metadata={"share": 0.5})

    @dg.asset(deps=[quotes], partitions_def=days)
    def decisions(context: dg.AssetExecutionContext) -> None:
        context.log.info("deciding")
        if fails:
            raise dg.Failure("no market")

    loud = dg.define_asset_job("tick", executor_def=dg.in_process_executor)
    definitions = dg.Definitions(assets=[quotes, decisions], asset_checks=[holds], jobs=[loud])
    return definitions.resolve_job_def("tick")


def run(to: dg.DagsterInstance, *, day: str = "2024-06-12", fails: bool = False) -> str:
    """Execute the job; returns its run id."""
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    done = job(fails=fails).execute_in_process(
        instance=to, partition_key=day, run_config=quiet, raise_on_error=False, tags={"who": "test"}
    )
    assert done.success is not fails
    return done.run_id


def told(by: dg.DagsterInstance) -> dict[str, Any]:
    """What the web UI and our own op ask an instance."""
    keys = [dg.AssetKey("quotes"), dg.AssetKey("decisions")]
    runs = [record.dagster_run.run_id for record in by.get_run_records()]
    log = by.event_log_storage
    return {
        "runs": by.get_runs(),
        "run records": by.get_run_records(),
        "failed runs": by.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])),
        "tagged runs": by.get_runs_count(dg.RunsFilter(tags={"who": "test"})),
        "run tags": by.run_storage.get_run_tags(["who", "dagster/partition"]),
        "logs": [by.all_logs(run_id) for run_id in runs],
        "log pages": [log.get_records_for_run(run_id, limit=5).records for run_id in runs],
        "stats": [by.get_run_stats(run_id) for run_id in runs],
        "steps": [by.get_run_step_stats(run_id) for run_id in runs],
        "asset keys": by.all_asset_keys(),
        "asset records": by.get_asset_records(keys),
        "latest": [by.get_latest_materialization_event(key) for key in keys],
        "materializations": [by.fetch_materializations(key, limit=10).records for key in keys],
        "partitions": [by.get_materialized_partitions(key) for key in keys],
        "planned": log.get_event_records(
            dg.EventRecordsFilter(DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
        ),
        "starts": log.get_event_records(dg.EventRecordsFilter(DagsterEventType.STEP_START)),
        "status changes": by.fetch_run_status_changes(
            RunStatusChangeRecordsFilter(DagsterEventType.RUN_SUCCESS), limit=10
        ).records,
        "checks": log.get_asset_check_execution_history(CHECK, limit=10),
        "latest check": log.get_latest_asset_check_execution_by_key([CHECK]),
        "snapshot": by.get_job_snapshot(by.get_runs()[0].job_snapshot_id or ""),
    }


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    """Answer by answer, so that a difference names its question."""
    assert left.keys() == right.keys()
    for question, answer in left.items():
        assert answer == right[question], question
        assert answer, question


def test_the_storage_of_dagster_yaml_is_ours(pooled: dg.DagsterInstance) -> None:
    again = dg.DagsterInstance.from_ref(pooled.get_ref())  # as a worker process gets it
    for made in (pooled, again):
        assert isinstance(made.run_storage, PooledSqliteRunStorage)
        assert isinstance(made.event_log_storage, PooledSqliteEventLogStorage)
    again.dispose()


def test_what_ours_wrote_reads_the_same_through_stock(
    pooled: dg.DagsterInstance, stock: dg.DagsterInstance
) -> None:
    run(pooled)
    run(pooled, day="2024-06-13")
    run(pooled, fails=True)
    assert_same(told(pooled), told(stock))


def test_ours_and_stock_may_take_turns_on_the_same_files(
    pooled: dg.DagsterInstance, stock: dg.DagsterInstance
) -> None:
    written = {run(pooled), run(stock, fails=True), run(pooled, day="2024-06-13"), run(stock)}
    assert {record.run_id for record in stock.get_runs()} == written
    assert_same(told(pooled), told(stock))


def test_a_run_file_has_the_schema_stock_gives_it(
    pooled: dg.DagsterInstance, stock: dg.DagsterInstance
) -> None:
    files = [
        Path(os.environ["DAGSTER_HOME"]) / "history" / "runs" / f"{run(by)}.db" for by in (pooled, stock)
    ]

    def schema(file: Path) -> Any:
        engine = db.create_engine(f"sqlite:///{file}")
        with engine.connect() as connection:
            parts = connection.exec_driver_sql("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
            revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").fetchall()
            mode = connection.exec_driver_sql("PRAGMA journal_mode").fetchall()
        engine.dispose()
        return parts, revision, mode

    ours, theirs = (schema(file) for file in files)
    assert ours == theirs


def test_more_runs_than_files_kept_open(pooled: dg.DagsterInstance) -> None:
    runs = [entry(str(n)) for n in range(run_storage._KEPT * 2)]
    for event in runs * 2:
        pooled.event_log_storage.store_event(event)
    for event in runs:
        assert pooled.all_logs(event.run_id) == [event, event]


def test_runs_can_be_deleted_one_by_one_and_all(pooled: dg.DagsterInstance) -> None:
    first, second = run(pooled), run(pooled, day="2024-06-13")
    pooled.delete_run(first)
    assert [kept.run_id for kept in pooled.get_runs()] == [second]
    assert pooled.all_logs(first) == []
    pooled.wipe()
    assert pooled.get_runs() == []
    assert pooled.all_asset_keys() == []
    assert run(pooled)


def test_a_live_view_is_told_of_events_while_the_writer_keeps_its_connection(
    pooled: dg.DagsterInstance, home: Path
) -> None:
    viewer = dg.DagsterInstance.from_ref(pooled.get_ref())
    pooled.event_log_storage.store_event(entry("r", "0"))
    seen: list[str] = []
    viewer.watch_event_logs("r", None, lambda event, _: seen.append(event.user_message))
    written = 0
    while len(seen) < 3 and written < 60:  # far less than SQLite gathers before it touches the file itself
        written += 1
        pooled.event_log_storage.store_event(entry("r", str(written)))
        time.sleep(0.05)
    viewer.event_log_storage.end_watch("r", next(iter(viewer.event_log_storage._watchers["r"])))
    viewer.dispose()
    assert seen[:3] == ["0", "1", "2"]


def test_threads_share_the_storage(pooled: dg.DagsterInstance) -> None:
    def write(name: str) -> None:
        for n in range(20):
            pooled.event_log_storage.store_event(entry(name, str(n)))
            pooled.get_runs()

    threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pooled.all_logs("a")) == 40
    assert [event.user_message for event in pooled.all_logs("b")] == [str(n) for n in range(20)]


def entry(run_id: str, message: str = "") -> EventLogEntry:
    """A log line of a run."""
    return EventLogEntry(
        error_info=None,
        level="debug",
        user_message=message,
        run_id=run_id,
        timestamp=1718199000.0,
        step_key=None,
        job_name="tick",
        dagster_event=None,
    )


# Kills and rivals

_STORE_FOREVER = """
import sys
from pathlib import Path
from trading_pipelines_tests.defs.test_run_storage import entry, instance
log = instance(Path(sys.argv[1])).event_log_storage
for n in range(100_000):
    log.store_event(entry("killed", str(n)))
    print(n, flush=True)
"""

_RUN_THREE_TIMES = """
import os, sys
from pathlib import Path
from trading_pipelines_tests.defs.test_run_storage import entry, instance, run
print("ready", flush=True)
sys.stdin.readline()
made = instance(Path(sys.argv[1]))
print(run(made), run(made, fails=True), flush=True)
child = os.fork()
for n in range(20):
    made.event_log_storage.store_event(entry("shared", f"{os.getpid()}-{n}"))
if child:
    sys.exit(os.waitpid(child, 0)[1])
os._exit(0)
"""


def started(script: str, home: Path) -> subprocess.Popen[str]:
    """A process that writes to the storage under `home`."""
    return subprocess.Popen(
        [sys.executable, "-c", script, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_events_stored_before_a_kill_are_read_after_it(pooled: dg.DagsterInstance) -> None:
    with started(_STORE_FOREVER, Path(os.environ["DAGSTER_HOME"])) as writer:
        assert writer.stdout is not None
        for _ in range(200):
            writer.stdout.readline()
        writer.kill()
        acknowledged = 200 + sum(
            line.endswith("\n") for line in writer.stdout.read().splitlines(keepends=True)
        )
    messages = [event.user_message for event in pooled.all_logs("killed")]
    assert messages == [str(n) for n in range(len(messages))]
    assert len(messages) >= acknowledged
    pooled.event_log_storage.store_event(entry("killed", "after"))
    assert pooled.all_logs("killed")[-1].user_message == "after"


def test_two_processes_begin_an_empty_folder_and_lose_nothing(home: Path) -> None:
    writers = [started(_RUN_THREE_TIMES, home / "fresh") for _ in range(2)]
    (home / "fresh").mkdir()
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    runs: list[str] = []
    outputs = []
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        outputs.append(writer.communicate(timeout=120)[0])
        assert writer.returncode == 0
        runs.extend(outputs[-1].split())
    made = instance(home / "fresh", "")
    assert {kept.run_id for kept in made.get_runs()} == set(runs)
    assert len(runs) == 4
    for run_id in runs:
        kinds = [event.dagster_event.event_type for event in made.all_logs(run_id) if event.dagster_event]
        assert kinds[-1] in {DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE}
    assert len(made.fetch_materializations(dg.AssetKey("quotes"), limit=10).records) == 4
    assert len(made.fetch_materializations(dg.AssetKey("decisions"), limit=10).records) == 2
    assert len(made.event_log_storage.get_asset_check_execution_history(CHECK, limit=10)) == 4
    lines = [event.user_message for event in made.all_logs("shared")]
    writers_of = {line.partition("-")[0] for line in lines}
    assert len(writers_of) == 4
    for writer_id in writers_of:
        assert [line for line in lines if line.startswith(f"{writer_id}-")] == [
            f"{writer_id}-{n}" for n in range(20)
        ]
    made.dispose()
