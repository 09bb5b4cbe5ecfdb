"""What a person asks and tells the journal: the kill switch, the arming, orders and their story."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trading_pipelines.adapters.delta import Lake
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.domain import tables
from trading_pipelines.domain.orders import OrderState
from trading_pipelines.domain.tables import Table
from trading_pipelines_tests.apps.commands import refused, run
from trading_pipelines_tests.builders import AS_OF, SESSION, closing_intent, opening_intent, option_rows

TICK = {"session": SESSION, "as_of": AS_OF}
NOW = AS_OF + timedelta(seconds=5)


def put(lake: Lake, table: Table, **values: Any) -> None:
    """One row of a table at the tick; columns not given are null."""
    row = {name: (TICK | values).get(name) for name in table.schema}
    lake.replace(table, pl.DataFrame([row], schema=table.schema), **TICK)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A journal with two orders, the second one filled, and what the lake knows of the second."""
    with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        journal.record_intent(opening_intent(), NOW)
        journal.record_intent(closing_intent(), NOW)
        for state in (OrderState.SENDING, OrderState.WORKING):
            journal.transition("tp1-closing", state, NOW, order_id=6, client_id=12, perm_id=77)
        journal.transition("tp1-closing", OrderState.FILLED, NOW, filled=2.0, average_price=2.7)
    lake = Lake(str(tmp_path / "lake"))
    about = {"order_ref": "tp1-closing", "decision_id": "decision-close"}
    put(
        lake, tables.VERDICTS, **about, check="order_size", passed=True, value=2.0, limit=10.0, detail="units"
    )
    put(
        lake,
        tables.DECISIONS,
        decision_id="decision-close",
        subject="condor-1",
        reason="Close 2 × SPY: take_profit fired.",
        run_id="run-1",
        code_version="abc123",
        config_hash="f00d",
        inputs='{"snapshots/options": {"version": 4, "content_hash": "0123456789abcdef99"}}',
    )
    put(
        lake,
        tables.EVALUATIONS,
        subject="condor-1",
        rule="take_profit",
        rule_number=50,
        evaluable=True,
        fired=True,
        detail="captured 51 % [of 50 %]",
    )
    lake.replace(tables.OPTIONS, option_rows(), **TICK)
    return tmp_path


def test_orders_are_listed_by_session_with_references_in_full(data: Path) -> None:
    printed = run(data, "orders").stdout
    assert "session 2024-06-12" in printed
    (opening,) = [line for line in printed.splitlines() if "tp1-opening" in line]
    (closing,) = [line for line in printed.splitlines() if "tp1-closing" in line]
    assert opening.split()[:2] == ["tp1-opening", "15:00"]
    assert opening.split()[-2:] == ["-2.67", "intent"]
    assert closing.split()[-3:] == ["+2.72", "+2.70", "filled"]
    assert max(map(len, printed.splitlines())) <= 80


def test_a_session_without_orders_and_a_journal_that_is_not_there_say_so(data: Path) -> None:
    assert run(data, "orders", "--session", "2024-06-13").stdout == "no orders in session 2024-06-13\n"
    assert run(data / "new", "orders").stdout == "no orders\n"
    assert not (data / "new").exists()


def test_an_order_is_explained_back_to_its_quotes(data: Path) -> None:
    lines = [line.strip() for line in run(data, "explain", "tp1-closing").stdout.splitlines()]
    assert lines[:3] == [
        "tp1-closing: close 2 × iron_condor SPY",
        "filled: limit +2.72, average +2.70",
        "recorded 2024-06-12 15:00:05 UTC, last change 2024-06-12 15:00:05 UTC",
    ]
    assert "passed  order_size: 2 (limit 10) units" in lines
    assert "decision-close: Close 2 × SPY: take_profit fired." in lines
    assert "run run-1, code abc123" in lines
    assert "read snapshots/options, version 4, content 0123456789abcdef" in lines
    assert "50 take_profit: fired. captured 51 % [of 50 %]" in lines
    quotes = lines[lines.index("quotes of its legs") + 1 :]
    assert len(quotes) == 4
    assert all(line.startswith("SPY   240719") for line in quotes)


def test_a_halt_lasts_until_it_is_resumed_and_everybody_tells_it(data: Path) -> None:
    halted = run(data, "halt", "broker looks odd")
    assert (halted.returncode, halted.stdout.splitlines()[0]) == (0, "halted: broker looks odd")
    assert "halted, nothing is sent: broker looks odd" in run(data, "orders").stdout
    checkup = run(data, "doctor")
    assert checkup.returncode == 1
    assert "BAD journal: halted: broker looks odd" in checkup.stdout
    assert run(data, "resume").returncode == 0
    assert "halted" not in run(data, "orders").stdout


def test_a_halt_without_a_reason_is_refused(data: Path) -> None:
    assert "needs a reason" in refused(run(data, "halt", " "))


def test_an_arming_holds_for_its_mode_and_account_until_it_is_withdrawn(data: Path) -> None:
    paper = {"TRADING_PIPELINES_MODE": "paper"}
    armed = run(data, "arm", "--minutes", "5", **paper)
    assert armed.stdout.startswith("armed: paper, account DU1234567, until ")
    until = datetime.fromisoformat(armed.stdout.split("until ")[1].removesuffix(" UTC\n"))
    assert "ok  arming: armed: paper, account DU1234567" in run(data, "doctor", **paper).stdout
    with SqliteJournal(data / "journal.sqlite") as journal:
        before = until.replace(tzinfo=UTC) - timedelta(minutes=1)
        assert journal.armed("paper", "DU1234567", before)
        assert not journal.armed("live", "DU1234567", before)
    assert run(data, "disarm").returncode == 0
    assert "not armed, orders are refused" in run(data, "doctor", **paper).stdout
