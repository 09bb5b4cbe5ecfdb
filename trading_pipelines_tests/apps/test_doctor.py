"""The doctor: a line for each thing, and an exit code for all of them."""

from datetime import timedelta
from pathlib import Path

from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.domain.orders import OrderState
from trading_pipelines.simulated_gateway.server import running_gateway
from trading_pipelines_tests.apps.commands import free_pair, run
from trading_pipelines_tests.builders import AS_OF, opening_intent
from trading_pipelines_tests.simulated_gateway.static_market import NOON, StaticMarket

PORT = "TRADING_PIPELINES__BROKER__PORT"


def bad(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if not line.startswith("ok  ")]


def test_all_is_well_with_a_gateway_and_no_data_yet(tmp_path: Path) -> None:
    with running_gateway(StaticMarket(), start=NOON) as gateway:
        checkup = run(tmp_path / "new", "doctor", **{PORT: str(gateway.port)})
    assert (checkup.returncode, bad(checkup.stdout), checkup.stderr) == (0, [], "")
    lines = checkup.stdout.splitlines()
    assert f"ok  gateway: answers at port {gateway.port}, its clock shows 2024-06-12 12:00 New York" in lines
    assert "ok  snapshots/options: none yet" in lines
    assert not (tmp_path / "new").exists()


def test_without_a_gateway_one_line_says_so(tmp_path: Path) -> None:
    port = str(free_pair())
    checkup = run(tmp_path, "doctor", **{PORT: port})
    (line,) = bad(checkup.stdout)
    assert checkup.returncode == 1
    assert line.startswith(f"BAD gateway: no gateway at 127.0.0.1:{port}")


def test_a_broken_configuration_is_told_like_the_rest(tmp_path: Path) -> None:
    checkup = run(tmp_path, "doctor", TRADING_PIPELINES__RISK__MAX_UNITS_PER_ORDER="-1")
    (line,) = checkup.stdout.splitlines()
    assert checkup.returncode == 1
    assert line.startswith("BAD configuration: risk.max_units_per_order")
    assert "environment, TRADING_PIPELINES__RISK__MAX_UNITS_PER_ORDER" in line


def test_an_order_whose_state_nobody_knows_is_not_well(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "journal.sqlite") as journal:
        journal.record_intent(opening_intent(), AS_OF)
        for step, state in enumerate((OrderState.SENDING, OrderState.UNKNOWN)):
            journal.transition("tp1-opening", state, AS_OF + timedelta(seconds=step))
    lines = run(tmp_path, "doctor", **{PORT: str(free_pair())}).stdout.splitlines()
    assert "BAD journal: not halted, open orders: 1, look at tp1-opening yourself" in lines
