"""Everything at once on loopback: simulated gateway, Dagster web UI and daemon; Ctrl-C ends every child."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from rich.console import Console

from trading_pipelines import settings
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.apps import gateway, home
from trading_pipelines.core.market import calendar
from trading_pipelines.settings import Mode

STEP = timedelta(minutes=5)
WEB_PORT = 3000
GATEWAY_PORT = 4002


def run(session: date, seed: int) -> int:
    """Start all, print where each one is, wait; 0 after Ctrl-C, 1 when a child died by itself."""
    console = Console()
    loaded = settings.load()
    for port in (WEB_PORT, *((GATEWAY_PORT, GATEWAY_PORT + 1) if loaded.mode is Mode.SIMULATED else ())):
        gateway.refuse_taken(port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as stack:
        if loaded.mode is Mode.SIMULATED:
            data = _simulated(console, stack, loaded.data / "up", session, seed)
        else:
            data = loaded.data
            os.environ["DAGSTER_HOME"] = str(home.dagster_home(data).resolve())
        logs = data / "logs"
        children = {
            name: stack.enter_context(_child(command, logs / f"{name}.log"))
            for name, command in _services().items()
        }
        _announce(console, loaded.mode, data, logs)
        return _wait(console, children, logs)


def _simulated(console: Console, stack: ExitStack, data: Path, session: date, seed: int) -> Path:
    """A gateway whose clock is at the open when ours passes the next five minutes, and books to match."""
    open_ = calendar.session_bounds(session)[0]
    dagster_home = home.make_anew(data)
    now = datetime.now(UTC)
    into_step = timedelta(seconds=now.timestamp() % STEP.total_seconds())
    start = open_ - STEP + into_step
    os.environ.update(
        home.simulated_environment(data, dagster_home, GATEWAY_PORT, session)
        | {"TRADING_PIPELINES_CLOCK_OFFSET_SECONDS": str(round((start - now).total_seconds()))}
    )
    options = gateway.Options(
        port=GATEWAY_PORT,
        control_port=GATEWAY_PORT + 1,
        seed=seed,
        replay=None,
        underlyings=(),
        session=session,
        start=f"{start.astimezone(gateway.NEW_YORK):%H:%M:%S}",
        speed=1.0,
        limits=False,
        log=data / "gateway" / "truth.jsonl",
    )
    control = stack.enter_context(gateway.child(options, data / "gateway" / "gateway.log"))
    journal = SqliteJournal(settings.load().journal)
    for position in control.book():
        journal.save_position(position, position.opened_at)
    first = (now + STEP - into_step).astimezone()
    console.print(
        f"NYSE session [bold]{session}[/bold] is simulated, seed {seed}: it opens at {first:%H:%M} your time"
    )
    return data


def _services() -> dict[str, list[str]]:
    """`dagster dev` is web UI, daemon and one code server for both."""
    dagster = Path(sys.executable).parent / "dagster"
    workspace = str(settings.PROJECT / "workspace.yaml")
    return {"dagster": [str(dagster), "dev", "-w", workspace, "-h", gateway.HOST, "-p", str(WEB_PORT)]}


@contextmanager
def _child(command: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process group of its own, all of it ended on the way out."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=settings.PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the whole group to end, and make sure of it."""
    for how, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _announce(console: Console, mode: Mode, data: Path, logs: Path) -> None:
    web = f"http://{gateway.HOST}:{WEB_PORT}"
    if mode is Mode.SIMULATED:
        console.print(f"simulated gateway  tcp://{gateway.HOST}:{GATEWAY_PORT}")
    console.print(f"web UI             {web}  (ready in about 15 s)")
    console.print(f"daemon             {web}/deployment/daemons")
    console.print(f"schedules          {web}/automation  (switch trading_cycle_schedule on)")
    console.print(f"data               {data}")
    console.print(f"logs               {logs}")
    console.print("Ctrl-C stops all of them")


def _wait(console: Console, children: dict[str, "subprocess.Popen[bytes]"], logs: Path) -> int:
    try:
        while True:
            for name, process in children.items():
                if process.poll() is not None:
                    console.print(
                        f"the {name} ended by itself (exit code {process.returncode}); see {logs / name}.log"
                    )
                    return 1
            time.sleep(0.5)
    except (KeyboardInterrupt, SystemExit):
        console.print("stopping")
        return 0
