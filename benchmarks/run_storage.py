"""What Dagster's own bookkeeping costs a tick: 18 trivial assets and 8 checks, stock against pooled storage.

`python benchmarks/run_storage.py [RUNS]` prints a table and writes benchmarks/results/run_storage.json.
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

ASSETS, CHECKS = 18, 8
SESSIONS = dg.DailyPartitionsDefinition("2024-06-10", end_date="2024-06-20")
RESULTS = Path(__file__).parent / "results" / "run_storage.json"
QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
POOLED = """
storage:
  custom:
    module: trading_pipelines.defs.run_storage
    class: PooledSqliteStorage
    config: {base_dir: "%s"}
"""


def asset(number: int) -> dg.AssetsDefinition:
    @dg.asset(name=f"asset_{number}", deps=[f"asset_{number - 1}"] if number else [], partitions_def=SESSIONS)
    def trivial() -> None:
        return None

    return trivial


def check(number: int) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=f"asset_{number}", name="holds", blocking=True)
    def holds() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    return holds


def job() -> dg.JobDefinition:
    return dg.Definitions(
        assets=[asset(number) for number in range(ASSETS)],
        asset_checks=[check(number) for number in range(CHECKS)],
        jobs=[dg.define_asset_job("tick", executor_def=dg.in_process_executor)],
        loggers={"console": dg.colored_console_logger},
    ).resolve_job_def("tick")


def measure(instances: dict[str, dg.DagsterInstance], runs: int) -> dict[str, list[float]]:
    """Milliseconds of each run, the storages taking turns so that a busy machine hurts all alike."""
    tick = job()
    times: dict[str, list[float]] = {name: [] for name in instances}
    for _ in range(runs):
        for name, instance in instances.items():
            started = time.perf_counter()
            result = tick.execute_in_process(instance=instance, partition_key="2024-06-12", run_config=QUIET)
            times[name].append((time.perf_counter() - started) * 1000)
            assert result.success
    return times


def instances(folder: Path) -> dict[str, dg.DagsterInstance]:
    made: dict[str, Callable[[], dg.DagsterInstance]] = {
        "ephemeral (memory)": dg.DagsterInstance.ephemeral,
        "stock SQLite": lambda: persistent(folder / "stock", ""),
        "pooled SQLite": lambda: persistent(folder / "pooled", POOLED % (folder / "pooled")),
    }
    return {name: make() for name, make in made.items()}


def persistent(home: Path, configuration: str) -> dg.DagsterInstance:
    home.mkdir()
    (home / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{configuration}")
    return dg.DagsterInstance.from_config(str(home))


def main(runs: int) -> None:
    with TemporaryDirectory() as folder:
        kept = instances(Path(folder))
        times = measure(kept, runs + 1)
        for instance in kept.values():
            instance.dispose()
    rows = {
        name: {
            "median_ms": round(statistics.median(values[1:]), 1),
            "min_ms": round(min(values[1:]), 1),
            "max_ms": round(max(values[1:]), 1),
        }
        for name, values in times.items()
    }
    stock = rows["stock SQLite"]["median_ms"]
    print(f"{ASSETS} assets, {CHECKS} checks, one in-process run; {runs} runs each after one to warm up\n")
    print(f"{'storage':<20}{'median ms':>11}{'min':>9}{'max':>9}{'of stock':>10}")
    for name, row in rows.items():
        share = f"{row['median_ms'] / stock:.2f}"
        print(f"{name:<20}{row['median_ms']:>11}{row['min_ms']:>9}{row['max_ms']:>9}{share:>10}")
    about = {"python": platform.python_version(), "dagster": version("dagster"), "cores": os.cpu_count()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"runs": runs, "storages": rows, "environment": about}, indent=2) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
