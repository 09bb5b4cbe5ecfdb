"""The processes that `up` and `demo` start: each in a group of its own, ended whole on the way out."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE_SECONDS = 30.0
"""How long a group may take to end in order before it is killed."""

Process = subprocess.Popen[bytes]


@contextmanager
def child(command: Sequence[str], log: Path) -> Iterator[Process]:
    """Run a command, its output in `log`. Ctrl-C reaches the parent alone, which then ends the group."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end(process)


def last_words(log: Path) -> str:
    """The last line a child wrote."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def how_it_ended(process: Process) -> str:
    """The exit code, or the signal that killed it."""
    code = process.returncode
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _end(process: Process) -> None:
    """Ask the whole group to end, and make sure of it: a child's children outlive it otherwise."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if not _signal(process, how) or _gone(process):
            break
    process.wait()


def _gone(process: Process) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        process.poll()  # a leader that nobody has waited for still counts as a member
        if not _signal(process, 0):
            return True
        time.sleep(0.05)
    return False


def _signal(process: Process, how: int) -> bool:
    """Whether the group had a living member; macOS says PermissionError where only the dead are left."""
    try:
        os.killpg(process.pid, how)
    except (ProcessLookupError, PermissionError):
        return False
    return True
