"""Sensors: a change of what is held asks for reconciliation once; a failed run reaches a person."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.defs import sensors, ticks
from trading_pipelines.domain.positions import PositionStatus
from trading_pipelines_tests.builders import AS_OF, condor
from trading_pipelines_tests.defs.floor import SESSION, TICK, Floor, said
from trading_pipelines_tests.slack_server import slack_server

OFFSET = "TRADING_PIPELINES_CLOCK_OFFSET_SECONDS"


def at(moment: datetime) -> str:
    """The clock offset under which it is that moment now."""
    return str(round((moment - datetime.now(UTC)).total_seconds()))


def look(cursor: str | None) -> tuple[dg.RunRequest | None, str | None]:
    """What the sensor asks for, and its cursor for the next look."""
    with dg.build_sensor_context(cursor=cursor) as context:
        answer = sensors.reconcile_after_a_change(context)
        return answer if isinstance(answer, dg.RunRequest) else None, context.cursor


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteJournal]:
    """The journal of the environment, with one position."""
    monkeypatch.setenv("TRADING_PIPELINES_DATA", str(tmp_path))
    with SqliteJournal(tmp_path / "journal.sqlite") as made:
        made.save_position(condor(), AS_OF)
        yield made


def test_without_a_journal_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_PIPELINES_DATA", str(tmp_path))
    assert look(None) == (None, None)
    assert list(tmp_path.iterdir()) == []


def test_the_first_look_remembers_what_is_there_and_asks_nothing(journal: SqliteJournal) -> None:
    asked, cursor = look(None)
    assert asked is None
    assert look(cursor) == (None, cursor)


def test_a_moved_position_is_asked_about_once(journal: SqliteJournal) -> None:
    _, cursor = look(None)
    journal.save_position(condor(status=PositionStatus.CLOSING), AS_OF)
    first, after_first = look(cursor)
    assert first is not None
    assert look(after_first) == (None, after_first)
    journal.save_position(condor(), AS_OF)
    again, _ = look(after_first)
    assert again is not None
    assert again.run_key != first.run_key


def test_a_remembered_peak_asks_nothing(journal: SqliteJournal) -> None:
    _, cursor = look(None)
    journal.save_position(condor(peak_captured=42.0), AS_OF)
    assert look(cursor) == (None, cursor)


@pytest.mark.parametrize(
    ("now", "session"),
    [
        ("2024-06-12T12:00", "2024-06-12"),  # before the open
        ("2024-06-12T15:00", "2024-06-12"),
        ("2024-06-12T22:00", "2024-06-12"),  # after the close
        ("2024-06-13T02:00", "2024-06-12"),  # still the evening of the 12th in New York
        ("2024-06-15T15:00", "2024-06-14"),  # Saturday
        ("2024-06-19T15:00", "2024-06-18"),  # Juneteenth
    ],
)
def test_the_request_is_for_the_last_session(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch, now: str, session: str
) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    monkeypatch.setenv(OFFSET, at(moment))
    asked, _ = look("0")
    assert asked is not None
    assert asked.partition_key == session
    as_of = datetime.fromisoformat(asked.tags[ticks.AS_OF_TAG])
    assert abs((as_of - moment).total_seconds()) < 30


def test_a_fill_is_followed_by_one_reconciliation_that_settles_it(floor: Floor) -> None:
    floor.environment[OFFSET] = at(TICK)
    with floor.entered():
        _, cursor = look(None)
    assert said(floor.run()) == {}
    with floor.entered():
        asked, cursor = look(cursor)
    assert asked is not None
    assert asked.partition_key == SESSION.isoformat()
    reconciled = floor.launch(job="reconcile", tags=asked.tags)
    assert [(each.check_name, each.passed) for each in reconciled.get_asset_check_evaluations()] == [
        ("books_agree", True)
    ]
    with floor.entered():
        assert look(cursor) == (None, cursor)


@pytest.fixture
def failed(floor: Floor) -> Iterator[tuple[Floor, dg.RunFailureSensorContext]]:
    """A run that a blocking check held back, as the sensor gets to see it."""
    floor.journal.halt("thrown by a person", TICK)
    result = floor.run()
    run = floor.instance.get_run_by_id(result.run_id)
    (event,) = [each for each in result.all_events if each.event_type is dg.DagsterEventType.RUN_FAILURE]
    assert run is not None
    with dg.build_run_status_sensor_context("notify_of_failure", event, floor.instance, run) as context:
        yield floor, context.for_run_failure()


def test_a_failed_run_is_told_on_slack_with_job_session_and_the_reason(
    failed: tuple[Floor, dg.RunFailureSensorContext],
) -> None:
    floor, context = failed
    with slack_server() as slack:
        floor.environment["TRADING_PIPELINES__ALERTS__SLACK_BASE_URL"] = (
            f"http://127.0.0.1:{slack.server_port}/api/"
        )
        floor.environment["TRADING_PIPELINES_SLACK_TOKEN"] = "xoxb-test"
        with floor.entered():
            sensors.notify_of_failure(context)
    ((path, authorization, fields),) = slack.requests
    assert (path, authorization) == ("/api/chat.postMessage", "Bearer xoxb-test")
    assert "trading_cycle failed for 2024-06-12" in fields["text"]
    assert "risk__verdicts_trading_is_allowed" in fields["text"]
    assert "trading is halted: thrown by a person" in fields["text"]


def test_without_a_token_a_failed_run_is_logged(
    failed: tuple[Floor, dg.RunFailureSensorContext], caplog: pytest.LogCaptureFixture
) -> None:
    floor, context = failed
    with floor.entered(), caplog.at_level(logging.INFO, "trading_pipelines"):
        sensors.notify_of_failure(context)
    (record,) = [each for each in caplog.records if each.name.startswith("trading_pipelines.adapters.slack")]
    assert record.levelno == logging.CRITICAL
    assert "trading is halted: thrown by a person" in record.getMessage()
