"""One whole session, tick by tick: the real Dagster jobs against the simulated gateway, clock stepped."""

import logging
import os
import time
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trading_pipelines import settings
from trading_pipelines.apps import gateway, home, summary
from trading_pipelines.core.market import calendar
from trading_pipelines.domain.errors import ConfigError, MissingData

if TYPE_CHECKING:
    import dagster as dg

    from trading_pipelines.simulated_gateway.control import GatewayControl

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Plan:
    """What to run: a synthetic session by seed, or a recorded one."""

    session: date
    seed: int
    replay: Path | None
    underlyings: tuple[str, ...]
    config: Path | None
    ticks: int | None = None


def run(plan: Plan) -> int:
    """Run the session; 0 when every tick ran and our fills equal the gateway's ground truth."""
    console = Console()
    ticks = calendar.ticks(plan.session)[: plan.ticks]
    data = Path(os.environ.get("TRADING_PIPELINES_DATA", settings.PROJECT / "data"))
    port, control_port = gateway.free_ports(2)
    os.environ.update(
        home.simulated_environment(data, data / "dagster", port, plan.session, _configurations(plan))
        | _replayed_universe(plan)
    )
    settings.load()  # what is wrong is refused before anything is cleared or started
    home.make_anew(data)
    quieten(data / "logs")
    options = gateway.Options(
        port=port,
        control_port=control_port,
        seed=plan.seed,
        replay=plan.replay,
        underlyings=plan.underlyings,
        session=plan.session,
        start="08:00",
        speed=0,
        limits=False,
        log=data / "gateway" / "truth.jsonl",
    )
    console.print(_headline(plan, len(ticks)))
    started = time.monotonic()
    with gateway.child(options, data / "gateway" / "gateway.log") as control:
        adopt_positions(control)
        failed = _session(console, control, plan.session, ticks)
    return summary.show(console, settings.load(), plan.session, failed, time.monotonic() - started)


def _headline(plan: Plan, ticks: int) -> str:
    what = f"recorded quotes of {plan.replay}" if plan.replay else f"synthetic market, seed {plan.seed}"
    return f"NYSE session [bold]{plan.session}[/bold], {ticks} ticks, {what}"


def _configurations(plan: Plan) -> list[Path]:
    """A replay trades under config/replay.yaml unless another configuration is named."""
    if plan.config is not None:
        if not plan.config.is_file():
            raise ConfigError(f"no configuration file {plan.config}", "name an existing file")
        return [plan.config.resolve()]
    return [settings.PROJECT / "config" / "replay.yaml"] if plan.replay else []


def _replayed_universe(plan: Plan) -> dict[str, str]:
    """A recording holds other instruments than the configuration watches: watch what is replayed."""
    if plan.replay is None:
        return {}
    if not plan.replay.is_dir():
        raise MissingData(f"there is no folder {plan.replay} to replay", "name a LEAN data root or a lake")
    if not plan.underlyings:
        raise ConfigError("a replay needs its underlyings", "say UNDERLYING=GOOG, or --underlying GOOG")
    stocks = ", ".join(
        f"{{symbol: {name}, security_type: STK, exchange: SMART, currency: USD, trade_options: true}}"
        for name in plan.underlyings
    )
    return {
        f"{settings.OVERRIDE_PREFIX}UNIVERSE__UNDERLYINGS": f"[{stocks}]",
        f"{settings.OVERRIDE_PREFIX}UNIVERSE__FUTURES": "[]",
    }


def quieten(logs: Path) -> None:
    """What the libraries log goes to files: the screen is for the session."""
    logs.mkdir(parents=True)
    # A failed run is told by the session itself; its trace is in Dagster's storage.
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    for library in ("ib_async", "trading_pipelines"):
        logger = logging.getLogger(library)
        logger.propagate = False
        logger.addHandler(logging.FileHandler(logs / f"{library}.log"))


def adopt_positions(control: "GatewayControl") -> None:
    """The account holds positions of past sessions: our books know them, as if we had opened them."""
    from trading_pipelines.adapters.journal import SqliteJournal

    journal = SqliteJournal(settings.load().journal)
    for position in control.book():
        journal.save_position(position, position.opened_at)


def _session(console: Console, control: "GatewayControl", session: date, ticks: list[datetime]) -> list[str]:
    """Every job of the day at its time; returns a line for each run that did not succeed."""
    import dagster as dg

    from trading_pipelines.definitions import defs
    from trading_pipelines.defs import schedules

    open_, close = calendar.session_bounds(session)
    moments = [("pre_open", open_ - schedules.BEFORE_OPEN, open_ - schedules.BEFORE_OPEN)]
    moments += [("trading_cycle", tick, tick) for tick in ticks]
    moments += [("end_of_day", close + schedules.AFTER_CLOSE, close)]
    failed = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with dg.DagsterInstance.get() as instance, Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=len(moments))
        for job, at, as_of in moments:
            local = at.astimezone(gateway.NEW_YORK)
            progress.update(task, description=f"{local:%H:%M} {job}")
            control.step(at)
            failed += _run(defs.resolve_job_def(job), instance, session, as_of)
            progress.advance(task)
    return failed


def _run(
    job: "dg.JobDefinition", instance: "dg.DagsterInstance", session: date, as_of: datetime
) -> list[str]:
    from trading_pipelines.defs import failures, ticks

    result = job.execute_in_process(
        instance=instance,
        partition_key=session.isoformat(),
        tags=ticks.tags(as_of),
        run_config=QUIET,
        raise_on_error=False,
    )
    if result.success:
        return []
    if any(event.is_step_failure and _interrupted(event.step_failure_data) for event in result.all_events):
        raise KeyboardInterrupt  # Dagster makes a failed run of Ctrl-C, and the next tick would begin
    lines = [
        f"{as_of:%H:%M} UTC {job.name}, {event.step_key}: {failures.told(event)}"
        for event in result.all_events
        if event.is_step_failure
    ]
    return lines or [f"{as_of:%H:%M} UTC {job.name}: failed"]


def _interrupted(failure: "dg.StepFailureData") -> bool:
    error = failure.error
    while error is not None and error.cls_name != "DagsterExecutionInterruptedError":
        error = error.cause
    return error is not None
