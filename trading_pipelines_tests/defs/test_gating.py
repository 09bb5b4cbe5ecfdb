"""Ways around a risk check, and what the gateway received: at most one order per intent, none unchecked.

Every assertion is on the gateway's own log. The desk intends one order at every tick: the time exit of
its condor.
"""

import multiprocessing
import os
from collections.abc import Mapping
from datetime import timedelta
from multiprocessing.synchronize import Barrier

import dagster as dg
import polars as pl
import pytest

from trading_pipelines.adapters.journal import single_flight
from trading_pipelines.core.content import content_hash
from trading_pipelines.defs import execution, ticks
from trading_pipelines.defs.lake_assets import key
from trading_pipelines.domain import tables
from trading_pipelines.domain.orders import OrderState
from trading_pipelines.domain.tables import Table
from trading_pipelines_tests.defs.floor import NEXT_TICK, OPEN, SESSION, TICK, Floor, execute, said

EXECUTION = (tables.ORDERS, tables.FILLS)
OP = "execution.place_ib_orders"
VERDICT_CHECKS = frozenset(
    check
    for each in execution.REQUIRED_CHECKS
    for check in each.check_keys
    if check.asset_key == key(tables.VERDICTS)
)
BEFORE_EXECUTION = tuple(table for table in tables.TABLES if table.sealed)
"""All that an order is decided on, verdicts last."""


def decided(floor: Floor) -> None:
    """A tick up to its passed risk checks; the next step would be the order."""
    assert said(floor.run(only=BEFORE_EXECUTION)) == {}
    assert len(floor.intended()) == 1


def judged_again(floor: Floor) -> Mapping[str, bool]:
    """Only the checks of the verdicts, in a run of their own: how each of them went."""
    result = floor.run(checks=VERDICT_CHECKS)
    return {each.check_name: each.passed for each in result.get_asset_check_evaluations()}


def send(floor: Floor) -> str:
    """Only the execution op, in a run of its own: why it failed, or nothing."""
    return said(floor.launch(only=EXECUTION)).get(OP, "")


def state(floor: Floor) -> tuple[OrderState, str]:
    (record,) = floor.journal.orders()
    return record.state, record.detail


def test_passed_checks_in_the_same_run_send_each_intent_once(floor: Floor) -> None:
    assert said(floor.run()) == {}
    assert floor.received() == floor.intended()
    assert len(floor.received()) == 1
    assert state(floor)[0] is OrderState.FILLED


def test_a_failed_check_holds_its_own_run_back(floor: Floor) -> None:
    floor.journal.halt("thrown by a person", TICK)
    failed = said(floor.run())
    assert list(failed) == ["risk__verdicts_trading_is_allowed"]
    assert floor.received() == []
    assert floor.journal.orders() == ()


def test_a_run_of_the_orders_alone_is_held_back_by_the_check_that_failed_before(floor: Floor) -> None:
    decided(floor)
    floor.journal.halt("thrown by a person", TICK)
    assert judged_again(floor) == {
        "every_intent_is_judged": True,
        "no_breach_is_approved": True,
        "trading_is_allowed": False,
    }
    floor.journal.resume(TICK)
    # Verdicts are approved, valid, and of this tick: only the failed check stands in the way.
    assert send(floor) == (
        "check trading_is_allowed failed: trading is halted: thrown by a person"
        " — run the whole trading_cycle job, with its checks"
    )
    assert floor.received() == []
    assert all(judged_again(floor).values())
    assert send(floor) == ""
    assert floor.received() == floor.intended()


def test_verdicts_and_orders_without_their_checks_send_nothing(floor: Floor) -> None:
    floor.journal.halt("thrown by a person", TICK)
    floor.run()
    floor.journal.resume(TICK)
    unchecked = said(floor.run(only=(tables.VERDICTS, *EXECUTION), checks=()))
    assert "was not made on the newest risk/verdicts" in unchecked[OP]
    assert floor.received() == []


def test_verdicts_newer_than_their_passed_checks_send_nothing_until_they_are_checked(floor: Floor) -> None:
    decided(floor)
    assert said(floor.run(only=(tables.VERDICTS,), checks=())) == {}
    assert "was not made on the newest risk/verdicts" in send(floor)
    assert floor.received() == []
    assert all(judged_again(floor).values())
    assert send(floor) == ""
    assert floor.received() == floor.intended()


def test_verdicts_that_were_never_checked_send_nothing(floor: Floor) -> None:
    assert said(floor.run(only=BEFORE_EXECUTION, checks=())) == {}
    assert "was not made on the newest" in send(floor)
    assert floor.received() == []


def test_a_failed_check_of_a_snapshot_holds_orders_back_in_later_runs_too(floor: Floor) -> None:
    """A run of everything but the snapshots has no check that could fail."""
    floor.environment["TRADING_PIPELINES__QUALITY__MAX_UNDERLYING_JUMP"] = "0"
    assert list(said(floor.run())) == ["snapshots__underlyings_underlyings_are_fit"]
    after_snapshots = tuple(table for table in BEFORE_EXECUTION if table.group != "snapshots")
    later = said(floor.run(only=(tables.OPTIONS, *after_snapshots, *EXECUTION)))
    assert list(later) == [OP]
    assert later[OP].startswith("check underlyings_are_fit failed")
    assert floor.received() == []


def test_a_snapshot_taken_again_after_the_decision_holds_its_orders_back(floor: Floor) -> None:
    decided(floor)
    floor.gateway.control.step(TICK + timedelta(seconds=20))
    assert said(floor.launch(only=(tables.OPTIONS,))) == {}
    assert "the newest materialization of snapshots/options wrote other rows" in send(floor)
    assert floor.received() == []


def test_a_reconciliation_on_request_does_not_hold_orders_back(floor: Floor) -> None:
    decided(floor)
    assert said(floor.launch(TICK + timedelta(seconds=1), job="reconcile")) == {}
    assert send(floor) == ""
    assert floor.received() == floor.intended()


def test_a_chain_without_a_quote_is_no_fault_at_the_open_and_one_later(floor: Floor) -> None:
    assert said(floor.run(only=(tables.UNDERLYINGS, tables.OPTIONS))) == {}
    silent = floor.lake.read(tables.OPTIONS, session=SESSION).with_columns(
        bid=pl.lit(None, pl.Float64), ask=pl.lit(None, pl.Float64)
    )
    fit = dg.AssetCheckKey(key(tables.OPTIONS), "options_are_fit")
    outcome = {}
    for at in (OPEN, TICK):
        rows = silent.with_columns(as_of=pl.lit(at).cast(tables.UTC_TIME))
        floor.lake.replace(tables.OPTIONS, rows, session=SESSION, as_of=at)
        (judged,) = floor.launch(at, checks={fit}).get_asset_check_evaluations()
        outcome[at] = judged.passed
    assert outcome == {OPEN: True, TICK: False}


def test_a_verdict_older_than_its_validity_sends_nothing(floor: Floor) -> None:
    decided(floor)
    valid_until = floor.lake.read(tables.VERDICTS, session=SESSION)["valid_until"].min()
    floor.gateway.control.step(valid_until + timedelta(seconds=1))
    assert send(floor) == ""
    assert floor.received() == []
    assert state(floor)[0] is OrderState.ABANDONED
    assert state(floor)[1].startswith("the risk verdict ended at")


def test_verdicts_rewritten_in_the_lake_send_nothing(floor: Floor) -> None:
    floor.journal.halt("thrown by a person", TICK)
    floor.run()
    floor.journal.resume(TICK)
    scope = {"session": SESSION, "as_of": TICK}
    refused = floor.lake.read(tables.VERDICTS, **scope)
    assert not refused["approved"].any()
    approved = refused.with_columns(approved=pl.lit(value=True), passed=pl.lit(value=True))
    floor.lake.replace(tables.VERDICTS, approved, **scope)
    assert all(judged_again(floor).values())
    assert "the newest materialization of risk/verdicts wrote other rows" in send(floor)
    assert floor.received() == []


def test_another_ticks_verdicts_send_nothing(floor: Floor) -> None:
    decided(floor)
    before_verdicts = BEFORE_EXECUTION[: BEFORE_EXECUTION.index(tables.VERDICTS)]
    assert said(floor.run(NEXT_TICK, only=before_verdicts)) == {}
    assert len(floor.intended(NEXT_TICK)) == 1
    later = said(floor.run(NEXT_TICK, only=EXECUTION))
    assert f"risk/verdicts was not materialized for tick {NEXT_TICK}" in later[OP]
    assert floor.received() == []


@pytest.mark.parametrize("only", [(), EXECUTION], ids=["whole", "orders alone"])
def test_a_run_that_names_no_tick_is_refused_naming_the_tag(floor: Floor, only: tuple[Table, ...]) -> None:
    decided(floor)
    failed = said(floor.run(only=only, tags={}))
    assert failed
    assert all(ticks.AS_OF_TAG in text for text in failed.values())
    assert floor.received() == []


def test_a_launch_repeated_within_the_validity_sends_nothing_more(floor: Floor) -> None:
    decided(floor)
    assert [send(floor) for _ in range(3)] == ["", "", ""]
    assert said(floor.run()) == {}
    assert floor.received() == floor.intended()
    assert len(floor.received()) == 1


def test_launches_at_once_in_two_processes_send_one_order(floor: Floor) -> None:
    decided(floor)
    spawning = multiprocessing.get_context("spawn")
    barrier, answers = spawning.Barrier(2), spawning.Queue()
    rival = spawning.Process(target=launch, args=(floor.environment, barrier, answers))
    rival.start()
    barrier.wait(60)
    failures = [send(floor), answers.get(timeout=60)]
    rival.join()
    assert "" in failures
    assert floor.received() == floor.intended()
    assert len(floor.received()) == 1


def launch(environment: dict[str, str], barrier: Barrier, answers: "multiprocessing.Queue[str]") -> None:
    """The rival: the execution op alone, as soon as the other is ready too."""
    os.environ.update(environment)
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        barrier.wait(60)
        answers.put(said(execute(instance, TICK, only=EXECUTION)).get(OP, ""))


def test_orders_are_not_sent_beside_another_sender(floor: Floor) -> None:
    decided(floor)
    with single_flight(floor.journal.path):
        assert "is sending orders" in send(floor)
    assert floor.received() == []
    assert send(floor) == ""
    assert floor.received() == floor.intended()


def test_a_decided_tick_is_sealed_and_repeats_itself(floor: Floor) -> None:
    assert said(floor.run()) == {}
    before = slices(floor)
    sent = floor.received()
    floor.gateway.control.step(TICK + timedelta(seconds=20))  # other quotes would be there now
    assert said(floor.run()) == {}
    assert slices(floor) == before
    assert floor.received() == sent


def test_a_tick_tried_again_before_any_order_replaces_its_own_rows(floor: Floor) -> None:
    floor.journal.halt("thrown by a person", TICK)
    floor.run()
    floor.journal.resume(TICK)
    first = slices(floor)
    floor.gateway.control.step(TICK + timedelta(seconds=20))
    assert said(floor.run()) == {}
    second = slices(floor)
    assert {name: second[name][0] for name in first} == {name: rows for name, (rows, _) in first.items()}
    assert second["options"] != first["options"]
    assert floor.received() == floor.intended()
    assert len(floor.received()) == 1


def slices(floor: Floor) -> dict[str, tuple[int, str]]:
    """Rows and content of the session in every sealed table."""
    found: dict[str, tuple[int, str]] = {}
    for table in BEFORE_EXECUTION:
        if table.sealed:
            rows = floor.lake.read(table, session=SESSION)
            found[table.name] = (rows.height, content_hash(rows, table.key))
    assert found["verdicts"][0]
    return found
