"""A child is a group of processes: none of them outlives the parent's block."""

import os
import time
from pathlib import Path

import pytest

from trading_pipelines.apps import children


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def lines(log: Path, count: int) -> list[str]:
    """The first lines of a log, once they are there."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if len(found := log.read_text().split()) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{log} has fewer than {count} lines")


def test_grandchildren_end_with_the_child(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    with children.child(["sh", "-c", "sleep 60 & echo $!; sleep 60 & echo $!; wait"], log) as process:
        grandchildren = [int(pid) for pid in lines(log, 2)]
        assert all(alive(pid) for pid in grandchildren)
    assert process.returncode is not None
    assert not any(alive(pid) for pid in grandchildren)


def test_grandchildren_end_when_the_child_died_before(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    with children.child(["sh", "-c", "sleep 60 & echo $!; exit 3"], log) as process:
        (grandchild,) = [int(pid) for pid in lines(log, 1)]
        assert process.wait(timeout=10) == 3
        assert alive(grandchild)
    assert not alive(grandchild)
    assert children.how_it_ended(process) == "exit code 3"


def test_who_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "PATIENCE_SECONDS", 0.3)
    log = tmp_path / "child.log"
    with children.child(["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"], log) as process:
        assert lines(log, 1) == ["deaf"]
    assert children.how_it_ended(process) == "killed by SIGKILL"
    assert children.last_words(log) == "deaf"


def test_a_child_ends_when_the_parents_block_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), children.child(["sleep", "60"], tmp_path / "child.log") as process:
        raise RuntimeError
    assert children.how_it_ended(process) == "killed by SIGTERM"
    assert children.last_words(tmp_path / "child.log") == "it said nothing"
