"""One sender at a time: a lock beside the journal that ends with its process, however that ends."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from trading_pipelines.domain.errors import BrokerError


@contextmanager
def single_flight(path: str | Path) -> Iterator[None]:
    """Be the only one that sends orders on the journal at `path`.

    BrokerError names the process that is sending already.
    """
    with _lock_file(path) as file:
        if not _locked(file):
            # `refuse_while_flying` looks at the lock by taking it for a moment.
            time.sleep(0.05)
            if not _locked(file):
                raise _in_flight(file, path)
        file.truncate(0)
        file.write(_this_process())
        file.flush()
        yield


def refuse_while_flying(path: str | Path) -> None:
    """BrokerError while another process than this one is in `single_flight`."""
    with _lock_file(path) as file:
        if not _locked(file) and _holder(file) != _this_process():
            raise _in_flight(file, path)


def _lock_file(path: str | Path) -> IO[str]:
    return Path(f"{path}.lock").open("a+", encoding="utf-8")


def _locked(file: IO[str]) -> bool:
    """Whether the lock could be taken; it is let go with the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _in_flight(file: IO[str], path: str | Path) -> BrokerError:
    holder = _holder(file) or "another process"
    return BrokerError(f"{holder} is sending orders on {path}", "let it end, or stop it")
