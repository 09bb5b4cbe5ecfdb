"""Alerts to people through Slack; without a token, or when Slack is away, they go to the log."""

import logging
from http.client import HTTPException
from typing import Final

from slack_sdk import WebClient
from slack_sdk.errors import SlackClientError

from trading_pipelines.domain.decisions import Alert, Severity
from trading_pipelines.domain.parameters import AlertParameters

LOG_LEVELS: Final = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.CRITICAL: logging.CRITICAL,
}
_MARKS: Final = {
    Severity.INFO: ":information_source:",
    Severity.WARNING: ":warning:",
    Severity.CRITICAL: ":rotating_light:",
}
_log = logging.getLogger(__name__)


class SlackAlerts:
    """ports.Alerts over Slack's chat.postMessage. Never raises for an unreachable person."""

    def __init__(self, parameters: AlertParameters, token: str | None) -> None:
        self._channel = parameters.slack_channel
        self._client = (
            WebClient(
                token=token,
                base_url=parameters.slack_base_url,
                timeout=int(max(1, round(parameters.timeout_seconds))),
                retry_handlers=[],
            )
            if token
            else None
        )

    def send(self, alert: Alert) -> bool:
        """True when Slack took it; otherwise it is logged at the severity's level."""
        if self._client is None:
            self._write_down(alert, "no Slack token is set")
            return False
        try:
            self._client.chat_postMessage(
                channel=self._channel,
                text=f"{_MARKS[alert.severity]} *{alert.title}*\n{alert.text}",
                unfurl_links=False,
            )
        except (SlackClientError, HTTPException, OSError, ValueError) as error:
            # Refused (429, bad token), unreachable or too slow, or an answer that is not Slack's.
            self._write_down(alert, f"Slack did not take it: {type(error).__name__}: {error}")
            return False
        return True

    def _write_down(self, alert: Alert, why: str) -> None:
        _log.log(LOG_LEVELS[alert.severity], "%s: %s (%s; %s)", alert.title, alert.text, alert.key, why)
