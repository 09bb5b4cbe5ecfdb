"""The console script, run as a person runs it."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

SCRIPT = str(Path(sys.executable).with_name("trading-pipelines"))

Done = subprocess.CompletedProcess[str]


def environment(data: Path, **variables: str) -> dict[str, str]:
    """This process's environment with a data folder and further variables."""
    return {**os.environ, "TRADING_PIPELINES_DATA": str(data), "COLUMNS": "80", **variables}


def run(data: Path, *arguments: str | Path, **variables: str) -> Done:
    """Run one command to its end."""
    return subprocess.run(
        [SCRIPT, *map(str, arguments)],
        env=environment(data, **variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refused(done: Done) -> str:
    """The one line on stderr with which a command refused; nothing may stand beside it."""
    assert done.returncode == 1, done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    return done.stderr


def free_pair() -> int:
    """A loopback port that is free together with the one after it."""
    while True:
        with closing(socket.socket()) as first, closing(socket.socket()) as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
