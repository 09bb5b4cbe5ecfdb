"""Alerts reach Slack over HTTP, and never raise when it is away; a local server answers as Slack does."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qs

import pytest

from trading_pipelines.adapters.slack import SlackAlerts
from trading_pipelines.domain.decisions import Alert, Severity
from trading_pipelines.domain.parameters import AlertParameters
from trading_pipelines_tests.builders import AS_OF

ALERT = Alert(
    key="reconciliation",
    severity=Severity.CRITICAL,
    title="Books and broker differ",
    text="SPY 470 put: we expect -2, the broker reports -1",
    at=AS_OF,
)


class _Slack(HTTPServer):
    """Answers every call with one status and body, and keeps what it was sent."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body = status, body
        self.requests: list[tuple[str, str, dict[str, str]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Slack

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
        is_json = self.headers["Content-Type"].startswith("application/json")
        fields = json.loads(raw) if is_json else {k: v[0] for k, v in parse_qs(raw).items()}
        self.server.requests.append((self.path, self.headers["Authorization"], fields))
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.send_header("Retry-After", "30")
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class names it
        pass


@contextmanager
def _slack(status: int = 200, body: bytes = b'{"ok": true}') -> Iterator[_Slack]:
    server = _Slack(status, body)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _alerts(port: int, token: str | None = "xoxb-test") -> SlackAlerts:
    url = f"http://127.0.0.1:{port}/api/"
    parameters = AlertParameters(slack_channel="#trading", slack_base_url=url, timeout_seconds=1)
    return SlackAlerts(parameters, token)


def test_an_alert_is_posted_to_the_channel_with_the_token() -> None:
    with _slack() as server:
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
    with _slack(status, body) as server:
        assert _alerts(server.server_port).send(ALERT) is False
    assert any("Slack did not take it" in record.getMessage() for record in caplog.records)


def test_an_unreachable_slack_is_logged_and_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with _slack() as server:
        port = server.server_port
    assert _alerts(port).send(ALERT) is False
    assert any("Books and broker differ" in record.getMessage() for record in caplog.records)


def test_the_token_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), _slack(500, b"no") as server:
        _alerts(server.server_port).send(ALERT)
    assert "xoxb-test" not in caplog.text
