"""What the execution op wants to see before it believes a verdict, or what the verdict is about.

A blocking check only holds back the run it is part of. A run that selects the orders alone, or drops
the checks, would pass it by; so the op looks for itself (docs/decisions/0002).
"""

import json
from collections.abc import Iterable, Mapping

import dagster as dg
from dagster import AssetCheckKey, AssetKey, DagsterInstance

from trading_pipelines.adapters.delta import Lake
from trading_pipelines.adapters.delta_io import named_tick
from trading_pipelines.core.content import content_hash
from trading_pipelines.defs.ticks import AS_OF_TAG, Tick
from trading_pipelines.domain import tables
from trading_pipelines.domain.errors import DataError, MissingData

CONTENT_HASH = "content_hash"
"""Materialization metadata that the lake's IO manager writes."""
_RECENT = 10
"""How many events back the tick's own may lie: a reconciliation on request writes beside the cycle."""
_REMEDY = "run the whole trading_cycle job, with its checks"


def decided_on(lake: Lake, tick: Tick) -> dict[AssetKey, str]:
    """Content of every slice that the tick's decisions name as read, by asset, and of its reconciliation."""
    scope = {"session": tick.session, "as_of": tick.as_of}
    named = lake.read(tables.DECISIONS, **scope)["inputs"].unique().to_list()
    if len(named) != 1:
        raise MissingData(f"the decisions of tick {tick.as_of} do not name what they were made from", _REMEDY)
    read = {
        AssetKey(name.split("/")): slice_["content_hash"] for name, slice_ in json.loads(named[0]).items()
    }
    books = content_hash(lake.read(tables.RECONCILIATION, **scope), tables.RECONCILIATION.key)
    return read | {AssetKey(list(tables.RECONCILIATION.path)): books}


def require_passed(
    instance: DagsterInstance,
    checks: Iterable[dg.AssetChecksDefinition],
    tick: Tick,
    contents: Mapping[AssetKey, str],
) -> None:
    """Passes when every check passed on its asset's newest materialization of this tick, and that holds
    exactly what `contents` says of the asset; DataError says what is not so."""
    materialized: dict[AssetKey, dg.EventLogRecord] = {}
    for check in [key for definition in checks for key in definition.check_keys]:
        asset = check.asset_key
        if asset not in materialized:
            materialized[asset] = _materialization(instance, asset, tick, contents[asset])
        _require_passed(instance, check, materialized[asset])


def _materialization(
    instance: DagsterInstance, asset: AssetKey, tick: Tick, content: str
) -> dg.EventLogRecord:
    """The newest materialization of the tick, when it wrote this content."""
    of_session = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[tick.session.isoformat()])
    for record in instance.fetch_materializations(of_session, limit=_RECENT).records:
        run = instance.get_run_by_id(record.run_id)
        tag = run.tags.get(AS_OF_TAG) if run is not None else None
        if tag is None or named_tick(tag) != tick.as_of:
            continue
        written = record.asset_materialization.metadata.get(CONTENT_HASH)
        if written is None or written.value != content:
            raise DataError(
                f"the newest materialization of {asset.to_user_string()} wrote other rows than those in use",
                _REMEDY,
            )
        return record
    raise DataError(f"{asset.to_user_string()} was not materialized for tick {tick.as_of}", _REMEDY)


def _require_passed(instance: DagsterInstance, check: AssetCheckKey, newest: dg.EventLogRecord) -> None:
    """The newest evaluation on that very materialization passed."""
    for execution in instance.event_log_storage.get_asset_check_execution_history(check, limit=_RECENT):
        event = execution.event.dagster_event if execution.event is not None else None
        if event is None or event.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            continue  # planned, and not made
        evaluation = event.asset_check_evaluation_data
        target = evaluation.target_materialization_data
        if target is None or (target.run_id, target.storage_id) != (newest.run_id, newest.storage_id):
            continue
        if evaluation.passed:
            return
        raise DataError(f"check {check.name} failed: {evaluation.description or 'see its metadata'}", _REMEDY)
    raise DataError(
        f"check {check.name} was not made on the newest {check.asset_key.to_user_string()}", _REMEDY
    )
