"""Alerts reach Slack over HTTP, and never raise when it is away; a local server answers as Slack does."""

import logging

import pytest

from trading_pipelines.adapters.slack import SlackAlerts
from trading_pipelines.domain.decisions import Alert, Severity
from trading_pipelines.domain.parameters import AlertParameters
from trading_pipelines_tests.builders import AS_OF
from trading_pipelines_tests.slack_server import slack_server

ALERT = Alert(
    key="reconciliation",
    severity=Severity.CRITICAL,
    title="Books and broker differ",
    text="SPY 470 put: we expect -2, the broker reports -1",
    at=AS_OF,
)


def _alerts(port: int, token: str | None = "xoxb-test") -> SlackAlerts:
    url = f"http://127.0.0.1:{port}/api/"
    parameters = AlertParameters(slack_channel="#trading", slack_base_url=url, timeout_seconds=1)
    return SlackAlerts(parameters, token)


def test_an_alert_is_posted_to_the_channel_with_the_token() -> None:
    with slack_server() as server:
        assert _alerts(server.server_port).send(ALERT) is True
    ((path, authorization, fields),) = server.requests
    assert (path, authorization, fields["channel"]) == (
        "/api/chat.postMessage",
        "Bearer xoxb-test",
        "#trading",
    )
    assert "Books and broker differ" in fields["text"]
    assert "we expect -2" in fields["text"]


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        (Severity.INFO, logging.INFO),
        (Severity.WARNING, logging.WARNING),
        (Severity.CRITICAL, logging.CRITICAL),
    ],
)
def test_without_a_token_it_is_logged_at_its_severity(
    caplog: pytest.LogCaptureFixture, severity: Severity, level: int
) -> None:
    with caplog.at_level(logging.INFO):
        assert _alerts(1, token=None).send(ALERT.model_copy(update={"severity": severity})) is False
    (record,) = caplog.records
    assert record.levelno == level
    assert "Books and broker differ" in record.getMessage()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, b'{"ok": false, "error": "ratelimited"}'),
        (200, b'{"ok": false, "error": "invalid_auth"}'),
        (500, b"Internal Server Error"),
        (200, b"<html>a proxy's page</html>"),
    ],
    ids=["rate limited", "bad token", "server error", "not Slack"],
)
def test_a_refusal_is_logged_and_raises_nothing(
    caplog: pytest.LogCaptureFixture, status: int, body: bytes
) -> None:
    with slack_server(status, body) as server:
        assert _alerts(server.server_port).send(ALERT) is False
    assert any("Slack did not take it" in record.getMessage() for record in caplog.records)


def test_an_unreachable_slack_is_logged_and_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with slack_server() as server:
        port = server.server_port
    assert _alerts(port).send(ALERT) is False
    assert any("Books and broker differ" in record.getMessage() for record in caplog.records)


def test_the_token_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), slack_server(500, b"no") as server:
        _alerts(server.server_port).send(ALERT)
    assert "xoxb-test" not in caplog.text
