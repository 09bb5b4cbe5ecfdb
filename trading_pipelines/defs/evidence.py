"""What the execution op wants to see before it believes a verdict.

A blocking check only holds back the run it is part of. A run that selects the orders alone, or drops
the checks, would pass it by; so the op looks for itself (docs/decisions/0002).
"""

from collections.abc import Sequence

import dagster as dg
from dagster import AssetCheckKey, AssetKey, DagsterInstance

from trading_pipelines.defs.ticks import AS_OF_TAG, Tick
from trading_pipelines.domain.errors import DataError

CONTENT_HASH = "content_hash"
"""Materialization metadata that the lake's IO manager writes."""


def require_checked(
    instance: DagsterInstance, asset: AssetKey, checks: Sequence[str], tick: Tick, content: str
) -> None:
    """Passes when the newest materialization of `asset` is this tick's, holds exactly `content`, and
    every one of `checks` passed on that very materialization; DataError says what is not so."""
    record = instance.fetch_materializations(asset, limit=1).records
    if not record:
        raise DataError(f"{asset.to_user_string()} was never materialized", "run the whole trading_cycle job")
    newest = record[0]
    materialization = newest.asset_materialization
    run = instance.get_run_by_id(newest.run_id)
    if materialization is None or run is None or newest.partition_key != tick.session.isoformat():
        raise DataError(
            f"the newest {asset.to_user_string()} is of {newest.partition_key}, not of {tick.session}",
            "run the whole trading_cycle job for this session",
        )
    if run.tags.get(AS_OF_TAG, tick.as_of.isoformat()) != tick.as_of.isoformat():
        raise DataError(
            f"the newest {asset.to_user_string()} is of tick {run.tags[AS_OF_TAG]}, not of {tick.as_of}",
            "a tick's orders can only be sent by its own run",
        )
    stored = materialization.metadata.get(CONTENT_HASH)
    if stored is None or stored.value != content:
        raise DataError(
            f"{asset.to_user_string()} in the lake is not what its newest materialization wrote",
            "run the whole trading_cycle job",
        )
    for name in checks:
        _require_passed(instance, AssetCheckKey(asset, name), newest)


def _require_passed(instance: DagsterInstance, check: AssetCheckKey, newest: dg.EventLogRecord) -> None:
    execution = instance.event_log_storage.get_latest_asset_check_execution_by_key([check]).get(check)
    remedy = "run the whole trading_cycle job, with its checks"
    event = execution.event.dagster_event if execution is not None and execution.event is not None else None
    if event is None:
        raise DataError(f"check {check.name} never finished", remedy)
    evaluation = event.asset_check_evaluation_data
    target = evaluation.target_materialization_data
    if target is None or (target.run_id, target.storage_id) != (newest.run_id, newest.storage_id):
        raise DataError(
            f"check {check.name} was not made on the newest {check.asset_key.to_user_string()}", remedy
        )
    if not evaluation.passed:
        raise DataError(f"check {check.name} failed: {evaluation.description or 'see its metadata'}", remedy)
