"""Sensors: a fill or a change of positions asks for reconciliation; a failed run reaches a person."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from trading_pipelines import settings
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.adapters.slack import SlackAlerts
from trading_pipelines.core.market import calendar
from trading_pipelines.defs import cycle, failures, ticks
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
    with SqliteJournal(loaded.journal) as journal:
        changes = str(journal.changes())
    if context.cursor is None or changes == context.cursor:
        context.update_cursor(changes)
        return dg.SkipReason("no fill and no change of positions")
    context.update_cursor(changes)
    now = datetime.now(UTC) + loaded.clock_offset  # to the microsecond: never a tick of the cycle's own
    return dg.RunRequest(
        run_key=f"reconcile {changes}",
        partition_key=_last_session(now).isoformat(),
        tags=ticks.tags(now),
    )


def _last_session(now: datetime) -> date:
    """Today's session, or the one before a day without."""
    tomorrow = now.astimezone(ticks.NEW_YORK_ZONE).date() + timedelta(days=1)
    return calendar.sessions_before(tomorrow, 1)[0]


@dg.run_failure_sensor(
    monitor_all_code_locations=False,
    default_status=dg.DefaultSensorStatus.RUNNING,  # nobody should have to switch on that failures are told
    description="Tells a person of a failed run; without a Slack token it is logged.",
)
def notify_of_failure(context: dg.RunFailureSensorContext) -> None:
    """Tell a person of a failed run; without a Slack token it is logged."""
    loaded = settings.load()
    run = context.dagster_run
    said = [f"{event.step_key}: {failures.told(event)}" for event in context.get_step_failure_events()]
    said = [context.failure_event.message or "", failures.told(context.failure_event), *said]
    alert = Alert(
        key=f"run {run.run_id}",
        severity=Severity.CRITICAL,
        title=f"{run.job_name} failed for {run.tags.get('dagster/partition', 'no partition')}",
        text="\n".join(filter(None, [*said, *_failed_checks(context)])),
        at=datetime.now(UTC) + loaded.clock_offset,
    )
    token = loaded.slack_token
    SlackAlerts(loaded.parameters.alerts, token.get_secret_value() if token else None).send(alert)


def _failed_checks(context: dg.RunFailureSensorContext) -> list[str]:
    """What the run's failed checks found; the steps that fail with them say no more than their names."""
    made = context.instance.get_records_for_run(
        context.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ).records
    events = [record.event_log_entry.dagster_event for record in made]
    evaluations = [event.asset_check_evaluation_data for event in events if event is not None]
    return [f"{each.check_name}: {each.description}" for each in evaluations if not each.passed]


SENSORS = (reconcile_after_a_change, notify_of_failure)
