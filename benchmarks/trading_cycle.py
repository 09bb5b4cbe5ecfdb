"""One trading cycle on 2,000 option contracts, beside the bare snapshot of the same contracts.

`python benchmarks/trading_cycle.py [TICKS]` starts a simulated gateway in a process of its own, limits
off, runs the real job tick by tick in this process, prints where a warm tick's time goes, and writes
benchmarks/results/trading_cycle.json. The bare figure is ib_async alone: connect, ask, wait, nothing kept.
"""

import asyncio
import json
import os
import platform
import statistics
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from trading_pipelines.apps import demo, gateway, home
from trading_pipelines.core.market import calendar

SESSION = date(2024, 6, 12)
CONTRACTS = 2_000
TARGET_SECONDS = 4.0
RESULTS = Path(__file__).parent / "results" / "trading_cycle.json"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CHAIN = {
    "SNAPSHOTS__MAX_CONTRACTS": str(CONTRACTS),
    "SNAPSHOTS__MONEYNESS": "0.3",
    "SNAPSHOTS__MAX_DTE": "200",
}


def main(ticks: int) -> None:
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        dagster_home = home.make_anew(data)
        port, control_port = gateway.free_ports(2)
        os.environ |= home.simulated_environment(data, dagster_home, port, SESSION)
        os.environ |= {f"TRADING_PIPELINES__{name}": value for name, value in CHAIN.items()}
        options = gateway.Options(
            port=port,
            control_port=control_port,
            seed=7,
            replay=None,
            underlyings=(),
            session=SESSION,
            start="08:00",
            speed=0,
            limits=False,
            log=None,
        )
        demo.quieten(data / "logs")
        with gateway.child(options, data / "gateway.log") as control:
            demo.adopt_positions(control)
            report(measure(control, port, ticks))


def measure(control, port: int, ticks: int) -> dict[str, list[float] | dict[str, list[float]]]:
    """Seconds of each warm tick, of each of its steps, and of the bare snapshot taken in between."""
    import dagster as dg

    from trading_pipelines.adapters.delta import Lake
    from trading_pipelines.definitions import defs
    from trading_pipelines.defs.ticks import tags
    from trading_pipelines.domain.tables import OPTIONS

    job = defs.resolve_job_def("trading_cycle")
    cycles: list[float] = []
    steps: dict[str, list[float]] = {}
    bare: list[float] = []
    con_ids: list[int] = []
    with dg.DagsterInstance.get() as instance:
        for number, as_of in enumerate(calendar.ticks(SESSION)[: ticks + 1]):
            control.step(as_of)
            started = time.perf_counter()
            result = job.execute_in_process(
                instance=instance, partition_key=SESSION.isoformat(), tags=tags(as_of), run_config=QUIET
            )
            seconds = time.perf_counter() - started
            assert result.success
            if number == 0:  # definitions, history and listings: not what a warm tick does
                lake = Lake(os.environ["TRADING_PIPELINES_LAKE"])
                con_ids = lake.read(OPTIONS, session=SESSION)["con_id"].to_list()
                continue
            cycles.append(seconds)
            for event in result.all_events:
                if event.is_step_success:
                    steps.setdefault(event.step_key, []).append(event.step_success_data.duration_ms / 1000)
            bare.append(asyncio.run(bare_snapshot(port, con_ids)))
    return {"cycle": cycles, "bare": bare, "steps": steps, "contracts": [len(con_ids)]}


async def bare_snapshot(port: int, con_ids: list[int]) -> float:
    """Seconds that ib_async alone needs for snapshots of the contracts, connecting included."""
    import ib_async

    started = time.perf_counter()
    ib = ib_async.IB()
    ib.client.MaxRequests = 0
    await ib.connectAsync(gateway.HOST, port, clientId=90)
    contracts = [ib_async.Contract(conId=con_id, exchange="SMART") for con_id in con_ids]
    tickers = await asyncio.wait_for(ib.reqTickersAsync(*contracts), 60)
    assert len(tickers) == len(con_ids)
    ib.disconnect()
    return time.perf_counter() - started


def report(measured: dict) -> None:
    cycle, bare = statistics.median(measured["cycle"]), statistics.median(measured["bare"])
    (contracts,) = measured["contracts"]
    steps = {name: statistics.median(times) for name, times in measured["steps"].items()}
    ticks = len(measured["cycle"])
    print(f"one trading cycle on {contracts:,} option contracts, {ticks} warm ticks, median seconds")
    print(f"  job           {cycle:6.2f}   (wanted: under {TARGET_SECONDS:g})")
    print(f"  bare snapshot {bare:6.2f}   ib_async alone; the job takes {cycle / bare:.1f} times as long")
    print("where the job's time goes:")
    for name, seconds in sorted(steps.items(), key=lambda item: -item[1])[:12]:
        print(f"  {seconds:6.3f}   {name}")
    print(f"  {cycle - sum(steps.values()):6.3f}   between the steps: run, plan and event storage")
    RESULTS.parent.mkdir(exist_ok=True)
    versions = {name: version(name) for name in ("dagster", "polars", "deltalake", "ib_async")}
    RESULTS.write_text(
        json.dumps(
            {"python": platform.python_version(), "cores": os.cpu_count(), "versions": versions, **measured},
            indent=2,
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
