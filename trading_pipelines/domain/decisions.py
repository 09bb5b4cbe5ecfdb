"""Decisions and alerts as the workflows pass them on; rule evaluations are frames (`tables.py`)."""

from datetime import datetime
from enum import StrEnum

from trading_pipelines.domain.model import Model


class Severity(StrEnum):
    """How loud an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Alert(Model):
    """Something a person should know; `key` makes a repetition recognisable."""

    key: str
    severity: Severity
    title: str
    text: str
    at: datetime
