"""The journal: what it was told it says, whoever else writes and however the writer ends."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trading_pipelines.adapters.journal import SqliteJournal, single_flight
from trading_pipelines.domain.contracts import Right, Side
from trading_pipelines.domain.errors import (
    BrokerError,
    ConfigError,
    DataError,
    IllegalTransition,
    MissingData,
    OrderRejected,
    OrderStateUnknown,
)
from trading_pipelines.domain.orders import Fill, OrderIntent, OrderState
from trading_pipelines.domain.positions import PositionStatus
from trading_pipelines_tests.builders import ACCOUNT, AS_OF, SESSION, closing_intent, condor, leg, option

S = OrderState
LATER = AS_OF + timedelta(minutes=5)


@pytest.fixture
def journal(tmp_path: Path) -> SqliteJournal:
    return SqliteJournal(tmp_path / "journal.sqlite")


def intent(order_ref: str = "tp1-a", **changes: Any) -> OrderIntent:
    """A closing order under a ref of its own."""
    return closing_intent(order_ref=order_ref, **changes)


def fill(exec_id: str = "0001f4e8.64a1.01.01", **changes: Any) -> Fill:
    """One leg's execution."""
    values = {
        "exec_id": exec_id,
        "order_ref": "tp1-a",
        "perm_id": 900,
        "account": ACCOUNT,
        "contract": option(Right.PUT, 485),
        "side": Side.BUY,
        "quantity": 2.0,
        "price": 4.90,
        "filled_at": AS_OF,
        "commission": None,
        "realised_pnl": None,
    }
    return Fill(**{**values, **changes})


def state(journal: SqliteJournal, order_ref: str = "tp1-a") -> OrderState:
    record = journal.order(order_ref)
    assert record is not None
    return record.state


# Intents


def test_an_intent_is_new_once(journal: SqliteJournal) -> None:
    assert journal.order("tp1-a") is None
    assert journal.record_intent(intent(), AS_OF)
    assert not journal.record_intent(intent(), LATER)
    record = journal.order("tp1-a")
    assert record is not None
    assert record.intent == intent()
    assert (record.state, record.filled, record.recorded_at) == (S.INTENT, 0.0, AS_OF)


@pytest.mark.parametrize(
    "changes", [{"limit_price": 1.30}, {"units": 3}, {"legs": (leg(Right.PUT, 480, Side.BUY),)}]
)
def test_the_same_ref_with_another_payload_stops(journal: SqliteJournal, changes: dict[str, Any]) -> None:
    journal.record_intent(intent(), AS_OF)
    with pytest.raises(OrderRejected, match="tp1-a is in the journal with other legs"):
        journal.record_intent(intent(**changes), AS_OF)
    record = journal.order("tp1-a")
    assert record is not None
    assert record.intent == intent()


def test_a_tick_is_sealed_by_its_first_intent(journal: SqliteJournal) -> None:
    assert not journal.is_sealed(SESSION, AS_OF)
    journal.record_intent(intent(), LATER)
    assert journal.is_sealed(SESSION, AS_OF)
    assert journal.is_sealed(SESSION, AS_OF.astimezone())
    assert not journal.is_sealed(SESSION, LATER)


def test_what_was_written_is_there_for_the_next_process(journal: SqliteJournal) -> None:
    journal.record_intent(intent(), AS_OF)
    journal.record_fills([fill()])
    journal.save_position(condor(), AS_OF)
    journal.halt("by hand", AS_OF)
    journal.arm("paper", ACCOUNT, LATER, AS_OF)
    journal.close()
    with SqliteJournal(journal.path) as reopened:
        assert state(reopened) is S.INTENT
        assert reopened.fills() == (fill(),)
        assert reopened.positions() == (condor(),)
        assert reopened.halted() == "by hand"
        assert reopened.armed("paper", ACCOUNT, AS_OF)


# Moves


def test_an_order_moves_along_and_every_move_stays(journal: SqliteJournal) -> None:
    journal.record_intent(intent(), AS_OF)
    epoch = journal.lease("test", AS_OF)
    journal.transition("tp1-a", S.SENDING, AS_OF, order_id=7, client_id=12, epoch=epoch)
    journal.transition("tp1-a", S.ACKED, AS_OF, perm_id=900)
    journal.transition("tp1-a", S.PARTIAL, AS_OF, filled=1.0, average_price=1.24, detail="1 of 2")
    journal.transition("tp1-a", S.FILLED, LATER, filled=2.0, average_price=1.245)
    record = journal.order("tp1-a")
    assert record is not None
    assert (record.order_id, record.client_id, record.perm_id, record.epoch) == (7, 12, 900, epoch)
    assert (record.filled, record.average_price, record.detail, record.updated_at) == (2.0, 1.245, "", LATER)
    with sqlite3.connect(journal.path) as db:
        moves = db.execute("SELECT state, epoch, detail FROM transitions ORDER BY id").fetchall()
    db.close()
    assert moves == [
        ("intent", None, ""),
        ("sending", epoch, ""),
        ("acked", None, ""),
        ("partial", None, "1 of 2"),
        ("filled", None, ""),
    ]


def test_a_report_that_was_overtaken_takes_nothing_back(journal: SqliteJournal) -> None:
    journal.record_intent(intent(), AS_OF)
    journal.transition("tp1-a", S.SENDING, AS_OF)
    journal.transition("tp1-a", S.PARTIAL, AS_OF, filled=2.0, average_price=1.30, perm_id=900)
    journal.transition("tp1-a", S.PARTIAL, LATER, filled=1.0, average_price=1.20)
    record = journal.order("tp1-a")
    assert record is not None
    assert (record.filled, record.average_price, record.perm_id) == (2.0, 1.30, 900)


def test_a_move_the_lifecycle_forbids_changes_nothing(journal: SqliteJournal) -> None:
    journal.record_intent(intent(), AS_OF)
    before = journal.order("tp1-a")
    with pytest.raises(IllegalTransition, match="from intent to filled"):
        journal.transition("tp1-a", S.FILLED, LATER, filled=2.0)
    with pytest.raises(MissingData, match="no intent tp1-b"):
        journal.transition("tp1-b", S.SENDING, LATER)
    assert journal.order("tp1-a") == before


def test_moves_halts_and_leases_cannot_be_rewritten(journal: SqliteJournal) -> None:
    journal.record_intent(intent(), AS_OF)
    journal.halt("by hand", AS_OF)
    journal.lease("test", AS_OF)
    db = sqlite3.connect(journal.path)
    for table in ("transitions", "halts", "leases"):
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET at = 'x'"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
                db.execute(statement)
    db.close()


def test_orders_are_found_by_session_and_by_what_may_still_work(journal: SqliteJournal) -> None:
    for order_ref, session in (("tp1-a", SESSION), ("tp1-b", SESSION), ("tp1-c", date(2024, 6, 13))):
        journal.record_intent(intent(order_ref, session=session), AS_OF)
    journal.transition("tp1-b", S.SENDING, AS_OF)
    journal.transition("tp1-c", S.SENDING, AS_OF)
    journal.transition("tp1-c", S.REJECTED, AS_OF)

    def refs(**which: Any) -> list[str]:
        return [record.intent.order_ref for record in journal.orders(**which)]

    assert refs() == ["tp1-a", "tp1-b", "tp1-c"]
    assert refs(session=SESSION) == ["tp1-a", "tp1-b"]
    assert refs(unresolved=True) == ["tp1-b"]
    assert refs(session=date(2024, 6, 13), unresolved=True) == []


# Fills


def test_a_fill_is_new_once(journal: SqliteJournal) -> None:
    second = fill("0001f4e8.64a1.02.01", filled_at=LATER)
    assert journal.record_fills([fill()]) == (fill(),)
    assert journal.record_fills([fill(), second, second]) == (second,)
    assert journal.fills() == (fill(), second)


def test_a_correction_supersedes_what_it_corrects_in_any_order(journal: SqliteJournal) -> None:
    original, ninth, tenth = (
        fill(f"0001f4e8.64a1.01.{n}", quantity=float(quantity))
        for n, quantity in (("01", 2), ("09", 3), ("10", 4))
    )
    assert journal.record_fills([tenth, original]) == (tenth, original)
    assert journal.record_fills([ninth]) == (ninth,)
    assert journal.fills() == (tenth,)


def test_the_commission_reported_later_joins_its_fill(journal: SqliteJournal) -> None:
    journal.record_fills([fill()])
    assert journal.record_fills([fill(commission=1.31)]) == ()
    assert journal.record_fills([fill(commission=9.99, realised_pnl=120.0)]) == ()
    assert journal.fills() == (fill(commission=1.31, realised_pnl=120.0),)


def test_a_fill_of_nobody_we_know_is_kept(journal: SqliteJournal) -> None:
    stranger = fill("manual", order_ref="")
    assert journal.record_fills([stranger]) == (stranger,)
    assert journal.fills(order_ref="") == (stranger,)


def test_fills_are_found_by_order_and_by_new_york_date(journal: SqliteJournal) -> None:
    evening = datetime(2024, 6, 13, 1, 0, tzinfo=UTC)  # 21:00 in New York, on the 12th
    late = fill("a.01", filled_at=evening, order_ref="tp1-b")
    journal.record_fills([late, fill()])
    assert journal.fills(session=SESSION) == (fill(), late)
    assert journal.fills(session=date(2024, 6, 13)) == ()
    assert journal.fills(order_ref="tp1-b", session=SESSION) == (late,)


# Positions, kill switch, arming


def test_a_position_is_replaced_and_hidden_when_closed(journal: SqliteJournal) -> None:
    open_, closed = condor(position_id="p1"), condor(position_id="p2", status=PositionStatus.CLOSED)
    journal.save_position(open_, AS_OF)
    journal.save_position(closed, AS_OF)
    peaked = open_.model_copy(update={"peak_captured": 61.5})
    journal.save_position(peaked, LATER)
    assert journal.positions() == (peaked,)
    assert journal.positions(closed=True) == (peaked, closed)


def test_changes_grow_with_executions_and_with_moves_of_units_or_status(journal: SqliteJournal) -> None:
    seen = [journal.changes()]

    def grows() -> bool:
        seen.append(journal.changes())
        return seen[-1] > seen[-2]

    journal.save_position(condor(), AS_OF)
    assert grows()
    journal.save_position(condor(), LATER)
    assert not grows()
    journal.save_position(condor(peak_captured=40.0), LATER)
    assert not grows()
    journal.save_position(condor(status=PositionStatus.CLOSING), LATER)
    assert grows()
    journal.record_fills([fill()])
    assert grows()
    journal.record_fills([fill(commission=1.3)])
    assert not grows()
    journal.save_position(condor(units=1), LATER)
    assert grows()
    journal.save_position(condor(), LATER)  # back to what it was before is a move too
    assert grows()


def test_a_journal_of_the_first_schema_is_brought_up_and_keeps_its_rows(journal: SqliteJournal) -> None:
    journal.save_position(condor(), AS_OF)
    journal.close()
    db = sqlite3.connect(journal.path, isolation_level=None)
    for name in ("positions_moved_by_insert", "positions_moved_by_update"):
        db.execute(f"DROP TRIGGER {name}")
    db.execute("DROP TABLE position_moves")
    db.execute("PRAGMA user_version = 1")
    db.close()
    with SqliteJournal(journal.path) as reopened:
        assert reopened.positions() == (condor(),)
        before = reopened.changes()
        reopened.save_position(condor(units=1), LATER)
        assert reopened.changes() == before + 1


def test_the_kill_switch_latches_with_its_first_reason(journal: SqliteJournal) -> None:
    assert journal.halted() is None
    journal.halt("daily loss", AS_OF)
    journal.halt("someone else", LATER)
    assert journal.halted() == "daily loss"
    journal.resume(LATER)
    assert journal.halted() is None
    journal.halt("again", LATER)
    assert journal.halted() == "again"


def test_an_arming_holds_for_its_mode_its_account_and_its_time(journal: SqliteJournal) -> None:
    journal.arm("paper", ACCOUNT, LATER, AS_OF)
    assert journal.armed("paper", ACCOUNT, LATER - timedelta(seconds=1))
    assert not journal.armed("paper", ACCOUNT, LATER)
    assert not journal.armed("live", ACCOUNT, AS_OF)
    assert not journal.armed("paper", "DU7654321", AS_OF)
    journal.disarm(AS_OF)
    assert not journal.armed("paper", ACCOUNT, AS_OF)


def test_a_time_without_a_zone_is_refused(journal: SqliteJournal) -> None:
    with pytest.raises(DataError, match="has no time zone"):
        journal.halt("by hand", AS_OF.replace(tzinfo=None))
    assert journal.halted() is None


# Leases


def test_a_new_lease_ends_the_one_before(journal: SqliteJournal) -> None:
    journal.record_intent(intent(), AS_OF)
    with pytest.raises(OrderStateUnknown, match="no lease was taken"):
        journal.assert_epoch(1)
    first = journal.lease("first", AS_OF)
    journal.assert_epoch(first)
    second = SqliteJournal(journal.path).lease("second", LATER)
    assert second > first
    with pytest.raises(OrderStateUnknown, match=f"epoch {first} is over: second took epoch {second}"):
        journal.assert_epoch(first)
    with pytest.raises(OrderStateUnknown, match="send nothing"):
        journal.transition("tp1-a", S.SENDING, LATER, epoch=first)
    assert state(journal) is S.INTENT


def test_what_is_known_of_an_order_is_taken_from_an_old_epoch_too(journal: SqliteJournal) -> None:
    journal.record_intent(intent(), AS_OF)
    first = journal.lease("first", AS_OF)
    journal.transition("tp1-a", S.SENDING, AS_OF, epoch=first)
    journal.lease("second", LATER)
    journal.transition("tp1-a", S.ACKED, LATER, epoch=first, perm_id=900)
    assert state(journal) is S.ACKED


_FLY = """
import sys, time
from trading_pipelines.adapters.journal import single_flight
with single_flight(sys.argv[1]):
    print("flying", flush=True)
    time.sleep(600)
"""


def test_one_process_at_a_time_may_send_and_a_kill_ends_its_turn(journal: SqliteJournal) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _FLY, str(journal.path)], stdout=subprocess.PIPE, text=True
    ) as sender:
        assert sender.stdout is not None
        assert sender.stdout.readline() == "flying\n"
        with (
            pytest.raises(BrokerError, match=f"process {sender.pid} on .* is sending orders"),
            single_flight(journal.path),
        ):
            pytest.fail("two in flight")
        with pytest.raises(BrokerError, match=f"process {sender.pid} on"):
            journal.lease("late", AS_OF)
        sender.kill()
    with single_flight(journal.path):
        assert journal.lease("ours", AS_OF) == 1
        with pytest.raises(BrokerError, match=f"process {os.getpid()} on"), single_flight(journal.path):
            pytest.fail("two in flight")


# The file


def test_a_newer_schema_is_refused_naming_both(journal: SqliteJournal) -> None:
    journal.close()
    db = sqlite3.connect(journal.path)
    db.execute("PRAGMA user_version = 3")
    db.close()
    with pytest.raises(ConfigError, match="has journal schema 3, this build knows 2"):
        SqliteJournal(journal.path)


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no database " * 100)
    with pytest.raises(ConfigError, match="cannot be used as a journal"):
        SqliteJournal(text)
    assert text.read_text() == "no database " * 100
    foreign = tmp_path / "foreign"
    db = sqlite3.connect(foreign)
    db.execute("CREATE TABLE orders (x)")
    db.close()
    with pytest.raises(ConfigError, match="another program's database"):
        SqliteJournal(foreign)


def test_a_journal_that_cannot_be_written_says_so(journal: SqliteJournal) -> None:
    db = sqlite3.connect(journal.path)
    db.execute("DROP TABLE halts")
    db.close()
    with pytest.raises(DataError, match="failed: no such table: halts"):
        journal.halt("by hand", AS_OF)
    assert journal.record_intent(intent(), AS_OF)


# Rivals and crashes


def test_threads_share_one_journal(journal: SqliteJournal) -> None:
    won: list[str] = []

    def record() -> None:
        won.extend(ref for n in range(10) if journal.record_intent(intent(ref := f"tp1-{n}"), AS_OF))

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [f"tp1-{n}" for n in range(10)]


_FORK = """
import os, sys
from trading_pipelines_tests.adapters.test_journal import AS_OF, SqliteJournal, intent
journal = SqliteJournal(sys.argv[1])
journal.record_intent(intent("before"), AS_OF)
child = os.fork()
for n in range(50):
    journal.record_intent(intent(f"{'parent' if child else 'child'}-{n}"), AS_OF)
if child:
    sys.exit(os.waitpid(child, 0)[1])
"""


def test_a_forked_process_writes_over_a_connection_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    subprocess.run([sys.executable, "-c", _FORK, str(path)], check=True)
    with SqliteJournal(path) as journal:
        assert len(journal.orders()) == 101


def _record_repeatedly(path: Path, start: Any, outcomes: Any) -> None:
    start.wait()
    with SqliteJournal(path) as journal:
        outcomes.put([journal.record_intent(intent(f"tp1-{n}"), AS_OF) for n in range(20)])


def test_of_eight_processes_that_record_the_same_intents_each_is_new_to_one(tmp_path: Path) -> None:
    forking = multiprocessing.get_context("forkserver")
    start, outcomes = forking.Barrier(8), forking.Queue()
    path = tmp_path / "journal.sqlite"
    racers = [forking.Process(target=_record_repeatedly, args=(path, start, outcomes)) for _ in range(8)]
    for racer in racers:
        racer.start()
    results = [outcomes.get(timeout=120) for _ in racers]
    for racer in racers:
        racer.join()
    assert [sum(column) for column in zip(*results, strict=True)] == [1] * 20
    assert len(SqliteJournal(path).orders()) == 20


_COMMIT_FOREVER = """
import sys
from trading_pipelines_tests.adapters.test_journal import AS_OF, S, SqliteJournal, fill, intent
journal = SqliteJournal(sys.argv[1])
for n in range(100_000):
    journal.record_intent(intent(f"tp1-{n}"), AS_OF)
    journal.transition(f"tp1-{n}", S.SENDING, AS_OF)
    journal.record_fills([fill(f"{n}.01", order_ref=f"tp1-{n}")])
    print(n, flush=True)
"""


def test_a_kill_in_the_middle_of_commits_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    writer = subprocess.Popen(
        [sys.executable, "-c", _COMMIT_FOREVER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(100):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    # What was said before the kill was committed before; the last line may be torn.
    said = [0, 99] + [
        int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")
    ]
    writer.stdout.close()
    writer.wait()
    with SqliteJournal(path) as journal:
        acknowledged = {f"tp1-{n}" for n in range(max(said) + 1)}
        assert acknowledged <= {record.intent.order_ref for record in journal.orders(unresolved=True)}
        assert acknowledged <= {known.order_ref for known in journal.fills()}
        db = sqlite3.connect(path)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()
        assert not journal.record_intent(intent("tp1-0"), LATER)
