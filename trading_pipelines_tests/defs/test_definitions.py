"""The asset graph, jobs, schedules and sensors as they are meant to be: `definitions.json` is the answer.

A wanted change of the graph is written down by `python -m trading_pipelines_tests.defs.test_definitions`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from trading_pipelines import settings
from trading_pipelines.definitions import defs
from trading_pipelines.defs import cycle, execution, partitions
from trading_pipelines.domain import tables
from trading_pipelines_tests.defs.floor import Floor

GOLDEN = Path(__file__).with_name("definitions.json")
IMPORTED = {tables.QUOTES.path, tables.OPEN_INTEREST.path}
"""Recordings of others: `trading-pipelines import` brings them, no asset computes them."""

SPECS = {tuple(spec.key.path): spec for spec in defs.resolve_all_asset_specs()}


def graph() -> dict[str, Any]:
    """What a reader of the web UI would call the same project, without dates."""
    return {
        "assets": {name(spec.key): asset(spec) for spec in sorted(SPECS.values(), key=lambda each: each.key)},
        "jobs": {
            job.name: sorted(name(key) for key in job.asset_layer.selected_asset_keys)
            for job in sorted(defs.resolve_all_job_defs(), key=lambda job: job.name)
            if not job.name.startswith("__")
        },
        "schedules": {
            schedule.name: {
                "job": schedule.job_name,
                "cron": schedule.cron_schedule,
                "timezone": schedule.execution_timezone,
                "running": schedule.default_status is dg.DefaultScheduleStatus.RUNNING,
            }
            for schedule in sorted(defs.schedules or (), key=lambda each: each.name)
        },
        "sensors": {
            sensor.name: {
                "type": sensor.sensor_type.value,
                "jobs": [job.name for job in sensor.jobs] if sensor.has_jobs else [],
                "seconds": sensor.minimum_interval_seconds,
                "running": sensor.default_status is dg.DefaultSensorStatus.RUNNING,
            }
            for sensor in sorted(defs.sensors or (), key=lambda each: each.name)
        },
    }


def asset(spec: dg.AssetSpec) -> dict[str, Any]:
    asset_graph = defs.resolve_asset_graph()
    sets = {
        partitions.NYSE_SESSIONS: "NYSE sessions",
        partitions.CME_TRADE_DATES: "CME trade dates",
        None: None,
    }
    checks = {key.name: asset_graph.get(key).blocking for key in asset_graph.get(spec.key).check_keys}
    return {
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "deps": sorted(name(dependency.asset_key) for dependency in spec.deps),
        "partitions": sets[spec.partitions_def],
        "checks, blocking or not": dict(sorted(checks.items())),
    }


def name(key: dg.AssetKey) -> str:
    return key.to_user_string()


def test_the_graph_is_the_one_that_was_written_down() -> None:
    assert graph() == json.loads(GOLDEN.read_text()), f"if the change is wanted: {__doc__}"


def test_definitions_load() -> None:
    dg.Definitions.validate_loadable(defs)


def test_every_table_is_made_by_one_asset_or_imported() -> None:
    paths = [table.path for table in tables.TABLES]
    assert len(set(paths)) == len(paths)
    assert set(SPECS) | IMPORTED == set(paths)
    assert set(SPECS).isdisjoint(IMPORTED)


@pytest.mark.parametrize("path", sorted(SPECS), ids="/".join)
def test_an_asset_shows_what_its_table_declares(path: tuple[str, str]) -> None:
    spec, table = SPECS[path], tables.table(*path)
    assert spec.group_name == table.group
    assert spec.owners == ["team:trading"]
    assert spec.kinds == {"polars", "deltalake"}
    assert spec.description
    assert f"Rows are told apart by {', '.join(table.key)}." in spec.description
    shown = spec.metadata["dagster/column_schema"]
    assert [(column.name, column.type) for column in shown.columns] == [
        (column, str(dtype)) for column, dtype in table.schema.items()
    ]


def test_a_partitioned_table_has_a_partitioned_asset() -> None:
    by_date = {table.path for table in tables.TABLES if table.partition_by[0] in {"session", "trade_date"}}
    assert {path for path, spec in SPECS.items() if spec.partitions_def is not None} == by_date - IMPORTED


def test_every_check_blocks_and_the_op_asks_for_all_of_them() -> None:
    asset_graph = defs.resolve_asset_graph()
    checks = asset_graph.asset_check_keys
    assert all(asset_graph.get(check).blocking for check in checks)
    assert {key for check in execution.REQUIRED_CHECKS for key in check.check_keys} == set(checks)


def upstream(path: tuple[str, str]) -> set[tuple[str, str]]:
    """An asset with everything it is made from."""
    found = {path}
    for dependency in SPECS[path].deps:
        found |= upstream(tuple(dependency.asset_key.path))
    return found


def test_nothing_on_an_orders_way_is_tried_again_by_policy() -> None:
    asset_graph = defs.resolve_asset_graph()
    for path in upstream(tables.ORDERS.path):
        definition = asset_graph.get(dg.AssetKey(list(path))).assets_def
        ops = list(definition.node_def.iterate_op_defs())
        assert [op.retry_policy for op in ops] == [None] * len(ops), path
    assert execution.place_ib_orders.retry_policy is None
    job = defs.resolve_job_def("trading_cycle")
    assert not any("retries" in tag for tag in job.tags)
    configured = yaml.safe_load((settings.PROJECT / "dagster.yaml").read_text())
    assert "run_retries" not in configured


def test_one_order_op_at_a_time(floor: Floor) -> None:
    assert execution.place_ib_orders.pool == "ib_orders"
    assert floor.instance.global_op_concurrency_default_limit == 1


def test_the_order_path_is_one_run_in_one_process() -> None:
    path: set[Any] = upstream(tables.ORDERS.path)
    members = {
        tuple(key.path) for key in defs.resolve_job_def("trading_cycle").asset_layer.selected_asset_keys
    }
    assert path <= members
    assert all(defs.resolve_job_def(job.name).executor_def is dg.in_process_executor for job in cycle.JOBS)


def test_a_wrong_first_session_refuses_to_load_naming_key_and_origin() -> None:
    environment = os.environ | {"TRADING_PIPELINES__PARTITIONS__FIRST_SESSION": "someday"}
    loaded = subprocess.run(
        [sys.executable, "-c", "import trading_pipelines.definitions"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    last = loaded.stderr.strip().splitlines()[-1]
    assert loaded.returncode == 1
    assert last.startswith("trading_pipelines.domain.errors.ConfigError: partitions.first_session")
    assert "'someday' (environment, TRADING_PIPELINES__PARTITIONS__FIRST_SESSION)" in last


def write_down() -> None:
    """Make the graph as it is the answer, a line for each thing."""
    sections = [
        f'"{section}": {{\n'
        + ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in members.items())
        + "\n}"
        for section, members in graph().items()
    ]
    GOLDEN.write_text("{\n" + ",\n".join(sections) + "\n}\n")


if __name__ == "__main__":
    write_down()
