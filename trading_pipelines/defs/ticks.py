"""Which tick a run works on: tags of the run, set by the schedule that asked for it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import dagster as dg

from trading_pipelines.adapters.delta_io import AS_OF_TAG, named_tick
from trading_pipelines.domain.errors import MissingData

NEW_YORK_ZONE = ZoneInfo("America/New_York")
PARTITION_TAG = "dagster/partition"


@dataclass(frozen=True)
class Tick:
    """A session and the scheduled time (UTC) that every row of the run carries."""

    session: date
    as_of: datetime


def tags(as_of: datetime) -> dict[str, str]:
    """The run tag that pins a run to a tick."""
    return {AS_OF_TAG: as_of.astimezone(UTC).isoformat()}


Context = dg.AssetExecutionContext | dg.OpExecutionContext | dg.AssetCheckExecutionContext


def tick_of(context: Context) -> Tick:
    """The tick that the run's tags name; MissingData when it names none, ConfigError when that is no time."""
    tags_of_run = context.run.tags
    missing = [tag for tag in (PARTITION_TAG, AS_OF_TAG) if tag not in tags_of_run]
    if missing:
        raise MissingData(
            f"the run carries no tag {' and no tag '.join(missing)}",
            f"launch it for a session, with the tag {AS_OF_TAG}=<UTC time of the tick>",
        )
    return Tick(date.fromisoformat(tags_of_run[PARTITION_TAG]), named_tick(tags_of_run[AS_OF_TAG]))
