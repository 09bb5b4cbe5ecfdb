"""What workspace.yaml loads: every asset, check, job, schedule and sensor of `defs`."""

import dagster as dg

from trading_pipelines.defs import (
    alerts,
    cycle,
    decisions,
    execution,
    performance,
    portfolio,
    resources,
    risk,
    schedules,
    sensors,
    snapshots,
    statistics,
)

MODULES = (snapshots, statistics, portfolio, decisions, risk, execution, performance, alerts)

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(MODULES),
    asset_checks=dg.load_asset_checks_from_modules(MODULES),
    jobs=cycle.JOBS,
    schedules=schedules.SCHEDULES,
    sensors=sensors.SENSORS,
    resources={"desk": resources.Desk(), "io_manager": resources.lake_io_manager},
)
