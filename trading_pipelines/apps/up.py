"""Everything at once on loopback: simulated gateway, Dagster web UI and daemon; Ctrl-C ends every child."""

import http
import http.client
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import NoReturn

from trading_pipelines import settings
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.apps import children, gateway, home
from trading_pipelines.core.market import calendar
from trading_pipelines.settings import Mode, Settings

STEP = timedelta(minutes=5)
HEAD_START = timedelta(minutes=1)
"""From starting until the simulated open at least: time to switch a schedule on."""
EARLY = "08:00"
"""A simulated gateway starts here, in New York time, and is then stepped to where it should be."""
READY_SECONDS = 240.0
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Plan:
    """What to start: which session the simulated gateway plays, and the ports."""

    session: date
    seed: int
    port: int
    web_port: int


def run(plan: Plan) -> int:
    """Start all, print where each one is, wait; 0 after Ctrl-C, 1 when a child died by itself."""
    loaded = settings.load()
    _refuse_taken_ports(plan, loaded.mode)
    for each in STOPS:
        signal.signal(each, _stop)
    with ExitStack() as stack:
        try:
            _start(plan, loaded, stack)
        except _Stopped:
            _say("stopping")
            return 0
        except _Broken as broken:
            print(f"error: {broken}", file=sys.stderr)
            return 1
        finally:
            for each in STOPS:
                signal.signal(each, signal.SIG_IGN)  # a second Ctrl-C must not leave a child behind


class _Stopped(BaseException):
    """Ctrl-C, or a signal that means the same."""


class _Broken(Exception):
    """A process that should run as long as we do ended, or never came up."""


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise _Stopped


def _start(plan: Plan, loaded: Settings, stack: ExitStack) -> NoReturn:
    """Start one after the other and watch them all, until a signal or the end of one of them."""
    running: dict[Path, children.Process] = {}
    if loaded.mode is Mode.SIMULATED:
        _start_gateway(plan, loaded.data, stack, running)
    else:
        os.environ["DAGSTER_HOME"] = str(home.dagster_home(loaded.data).resolve())
    _say("starting Dagster")
    log = loaded.data / "logs" / "dagster.log"
    running[log] = stack.enter_context(children.child(_dagster(plan.web_port), log))
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(plan.web_port):
        _watch(running)
        if time.monotonic() > deadline:
            raise _Broken(f"the web UI did not answer within {READY_SECONDS:g} s; see {log}")
    _announce(plan, loaded)
    while True:
        _watch(running)


def _refuse_taken_ports(plan: Plan, mode: Mode) -> None:
    """ConfigError before anything is started or cleared."""
    simulated = (plan.port, plan.port + 1) if mode is Mode.SIMULATED else ()
    for port in (plan.web_port, *simulated):
        gateway.refuse_taken(port)


def _start_gateway(plan: Plan, data: Path, stack: ExitStack, running: dict[Path, children.Process]) -> None:
    """A gateway whose session opens when our clock passes a mark of five minutes, and books to match."""
    open_ = calendar.session_bounds(plan.session)[0]
    dagster_home = home.make_anew(data)
    mark = next_mark(datetime.now(UTC))
    offset = open_ - mark
    os.environ.update(
        home.simulated_environment(data, dagster_home, plan.port, plan.session)
        | {"TRADING_PIPELINES_CLOCK_OFFSET_SECONDS": str(round(offset.total_seconds()))}
    )
    options = gateway.Options(
        port=plan.port,
        control_port=plan.port + 1,
        seed=plan.seed,
        replay=None,
        underlyings=(),
        session=plan.session,
        start=EARLY,
        speed=1.0,
        limits=False,
        log=data / "gateway" / "truth.jsonl",
    )
    _say("starting the simulated gateway")
    log = data / "gateway" / "gateway.log"
    running[log] = process = stack.enter_context(children.child(gateway.command(options), log))
    with (
        gateway.connected(process, options, log) as control,
        SqliteJournal(settings.load().journal) as journal,
    ):
        for position in control.book():
            journal.save_position(position, position.opened_at)
        control.step(datetime.now(UTC) + offset)
    _say(f"NYSE session {plan.session}, seed {plan.seed}: opens at {mark.astimezone():%H:%M} your time")


def next_mark(now: datetime) -> datetime:
    """The first time on a mark of five minutes that leaves a head start."""
    step = STEP.total_seconds()
    return datetime.fromtimestamp(((now + HEAD_START).timestamp() // step + 1) * step, UTC)


def _dagster(web_port: int) -> list[str]:
    """`dagster dev` is web UI, daemon and one code server for both."""
    dagster = Path(sys.executable).parent / "dagster"
    workspace = settings.PROJECT / "workspace.yaml"
    return [str(dagster), "dev", "-w", str(workspace), "-h", gateway.HOST, "-p", str(web_port)]


def _answers(web_port: int) -> bool:
    connection = http.client.HTTPConnection(gateway.HOST, web_port, timeout=5)
    try:
        connection.request("GET", "/server_info")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _watch(running: Mapping[Path, children.Process]) -> None:
    """Pass half a second in which every child lives."""
    for log, process in running.items():
        if process.poll() is not None:
            raise _Broken(f"{log.stem} ended by itself, {children.how_it_ended(process)}; see {log}")
    time.sleep(0.5)


def _announce(plan: Plan, loaded: Settings) -> None:
    web = f"http://{gateway.HOST}:{plan.web_port}"
    if loaded.mode is Mode.SIMULATED:
        _say(f"simulated gateway  tcp://{gateway.HOST}:{plan.port}")
    _say(f"web UI             {web}")
    _say(f"daemon             {web}/deployment/daemons")
    _say(f"schedules          {web}/automation")
    _say(f"data and logs      {loaded.data}")
    if loaded.mode is Mode.SIMULATED and plan.port != loaded.parameters.broker.port:
        _say(f"other commands     need {settings.OVERRIDE_PREFIX}BROKER__PORT={plan.port}")
    _say("Switch trading_cycle_schedule on to trade. Ctrl-C stops everything.")


def _say(line: str) -> None:
    print(line, flush=True)
