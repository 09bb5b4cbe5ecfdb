"""No test reads the configuration of the person who runs it."""

import os

import pytest


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("TRADING_PIPELINES_"):
            monkeypatch.delenv(name)
