"""Sensors: a fill or a change of positions asks for reconciliation; a failed run reaches a person."""

from datetime import UTC, datetime

import dagster as dg

from trading_pipelines import settings
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.adapters.slack import SlackAlerts
from trading_pipelines.core.market import calendar
from trading_pipelines.defs import cycle, ticks
from trading_pipelines.domain.decisions import Alert, Severity


@dg.sensor(
    job=cycle.RECONCILE,
    minimum_interval_seconds=15,
    description="Asks for reconciliation when a fill or a position was recorded since the last look.",
)
def reconcile_after_a_change(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask for reconciliation when a fill or a position was recorded since the last look."""
    loaded = settings.load()
    if not loaded.journal.exists():
        return dg.SkipReason("no journal yet")
    changes = str(SqliteJournal(loaded.journal).changes())
    if context.cursor is None or changes == context.cursor:
        context.update_cursor(changes)
        return dg.SkipReason("no fill and no change of positions")
    context.update_cursor(changes)
    now = (datetime.now(UTC) + loaded.clock_offset).replace(microsecond=0)
    session = calendar.sessions_before(now.astimezone(ticks.NEW_YORK_ZONE).date(), 1)[-1]
    today = calendar.tick_at(now)
    return dg.RunRequest(
        run_key=f"reconcile {changes}",
        partition_key=(today[0] if today else session).isoformat(),
        tags=ticks.tags(now),
    )


@dg.run_failure_sensor(monitor_all_code_locations=False)
def notify_of_failure(context: dg.RunFailureSensorContext) -> None:
    """Tell a person of a failed run; without a Slack token it is logged."""
    loaded = settings.load()
    run = context.dagster_run
    errors = [(event.step_key, event.step_failure_data.error) for event in context.get_step_failure_events()]
    steps = [f"{step}: {error.message.strip()}" for step, error in errors if error is not None]
    alert = Alert(
        key=f"run {run.run_id}",
        severity=Severity.CRITICAL,
        title=f"{run.job_name} failed for {run.tags.get('dagster/partition', 'no partition')}",
        text="\n".join([context.failure_event.message or "", *steps]).strip(),
        at=datetime.now(UTC) + loaded.clock_offset,
    )
    token = loaded.slack_token
    SlackAlerts(loaded.parameters.alerts, token.get_secret_value() if token else None).send(alert)


SENSORS = (reconcile_after_a_change, notify_of_failure)
