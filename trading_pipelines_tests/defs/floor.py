"""A trading floor for one test: a gateway, our books, a lake and a real Dagster instance on disk."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from trading_pipelines import settings
from trading_pipelines.adapters.delta import Lake
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.apps import home
from trading_pipelines.definitions import defs
from trading_pipelines.defs import failures, ticks
from trading_pipelines.defs.lake_assets import key
from trading_pipelines.domain import tables
from trading_pipelines.domain.positions import StrategyPosition
from trading_pipelines.domain.tables import Table
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines.simulated_gateway.opening_book import account_start
from trading_pipelines.simulated_gateway.server import RunningGateway, running_gateway

SESSION = date(2024, 6, 12)
BEFORE_OPEN = datetime(2024, 6, 12, 13, 0, tzinfo=UTC)
OPEN = datetime(2024, 6, 12, 13, 30, tzinfo=UTC)
TICK = datetime(2024, 6, 12, 13, 35, tzinfo=UTC)
NEXT_TICK = datetime(2024, 6, 12, 13, 40, tzinfo=UTC)
CLOSE = datetime(2024, 6, 12, 20, 0, tzinfo=UTC)
SMALL = Path(__file__).with_name("small.yaml")
DAY = Path(__file__).with_name("day.yaml")

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Floor:
    """One session's desk; the environment it needs is set while it works, and only then."""

    gateway: RunningGateway
    instance: dg.DagsterInstance
    data: Path
    environment: dict[str, str]
    journal: SqliteJournal
    lake: Lake

    def run(
        self,
        at: datetime = TICK,
        *,
        job: str = "trading_cycle",
        only: Iterable[Table] = (),
        checks: Iterable[dg.AssetCheckKey] | None = None,
        tags: Mapping[str, str] | None = None,
        session: date = SESSION,
    ) -> dg.ExecuteInProcessResult:
        """Move the gateway's clock to a tick, then `launch`."""
        if at > self.gateway.control.time():
            self.gateway.control.step(at)
        return self.launch(at, job=job, only=only, checks=checks, tags=tags, session=session)

    def launch(
        self,
        at: datetime = TICK,
        *,
        job: str = "trading_cycle",
        only: Iterable[Table] = (),
        checks: Iterable[dg.AssetCheckKey] | None = None,
        tags: Mapping[str, str] | None = None,
        session: date = SESSION,
    ) -> dg.ExecuteInProcessResult:
        """Run a job, or `only` some of its tables, for a tick, whatever the clock says."""
        with self.entered():
            return execute(self.instance, at, job=job, only=only, checks=checks, tags=tags, session=session)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The environment of this desk's processes."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            yield

    def received(self) -> list[str]:
        """References of the orders the gateway received, from its own log, in sequence."""
        return [order["order_ref"] for order in self.gateway.gateway.venue.truth.of_kind("order")]

    def intended(self, at: datetime = TICK) -> list[str]:
        """References of the orders that the tick's decisions asked for."""
        return self.lake.read(tables.INTENTS, session=SESSION, as_of=at)["order_ref"].to_list()


@contextmanager
def opened(
    data: Path,
    market: SyntheticMarket,
    book: Sequence[StrategyPosition],
    *,
    start: datetime = BEFORE_OPEN,
    config: Path | None = None,
    prepared: Path | None = None,
) -> Iterator[Floor]:
    """A floor under `data`, from nothing or from a copy of one that was prepared and closed."""
    if prepared is None:
        dagster_home = home.dagster_home(data)
    else:
        shutil.copytree(prepared, data)
        dagster_home = data / "dagster"
    cash, positions = account_start(market, SESSION, tuple(book))
    options: dict[str, Any] = {"cash": cash, "positions": positions, "book": book, "seed": market.seed}
    with running_gateway(market, start=start, **options) as gateway, pytest.MonkeyPatch.context() as patch:
        environment = home.simulated_environment(
            data, dagster_home, gateway.port, SESSION, [config] if config else []
        )
        for name, value in environment.items():
            patch.setenv(name, value)
        loaded = settings.load()
        with (
            dg.DagsterInstance.from_config(str(dagster_home)) as instance,
            SqliteJournal(loaded.journal) as journal,
        ):
            patch.undo()
            if prepared is None:
                for position in book:
                    journal.save_position(position, position.opened_at)
            yield Floor(gateway, instance, data, environment, journal, Lake(loaded.lake))


def execute(
    instance: dg.DagsterInstance,
    at: datetime,
    *,
    job: str = "trading_cycle",
    only: Iterable[Table] = (),
    checks: Iterable[dg.AssetCheckKey] | None = None,
    tags: Mapping[str, str] | None = None,
    session: date = SESSION,
) -> dg.ExecuteInProcessResult:
    """Run a job, or `only` some of its tables, for a tick, under the environment as it is.

    With a selection, `checks` names the checks that run; None means all of the selected tables, as
    Dagster has it. `tags` replace those that the schedule would set.
    """
    selected = defs.resolve_job_def(job)
    keys = {key(table) for table in only}
    if keys or checks:
        selected = selected.get_subset(
            asset_selection=keys, asset_check_selection=None if checks is None else set(checks)
        )
    return selected.execute_in_process(
        instance=instance,
        partition_key=session.isoformat(),
        tags=dict(ticks.tags(at) if tags is None else tags),
        run_config=_QUIET,
        raise_on_error=False,
    )


def said(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What each failed step told; under `run` what failed before any step."""
    told = {event.step_key or "run": failures.told(event) for event in result.all_events if event.is_failure}
    if not told.get("run", "nothing"):
        del told["run"]
    return told
