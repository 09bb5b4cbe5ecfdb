"""The jobs: which assets run together. The order path is one run in one process."""

from typing import Any

import dagster as dg

from trading_pipelines.defs.lake_assets import key
from trading_pipelines.domain import tables
from trading_pipelines.domain.tables import Table

Job = Any
"""Dagster's asset job before it meets its assets; the class has no public name."""


def _job(name: str, description: str, members: tuple[Table, ...]) -> Job:
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*(key(table) for table in members)),
        description=description,
        executor_def=dg.in_process_executor,
    )


TRADING_CYCLE = _job(
    "trading_cycle",
    "Every five minutes of a session: snapshots, statistics, positions, decisions, risk, orders, alerts.",
    (
        tables.BARS,
        tables.CONTRACTS,
        tables.UNDERLYINGS,
        tables.FUTURES,
        tables.OPTIONS,
        tables.ACCOUNT,
        tables.OPTION_GREEKS,
        tables.OPTION_STATISTICS,
        tables.FUTURES_CORRELATIONS,
        tables.MARKET_REGIME,
        tables.POSITIONS,
        tables.STRATEGIES,
        tables.RECONCILIATION,
        tables.EVALUATIONS,
        tables.DECISIONS,
        tables.INTENTS,
        tables.VERDICTS,
        tables.ORDERS,
        tables.FILLS,
        tables.PERFORMANCE,
        tables.ALERTS,
    ),
)
PRE_OPEN = _job(
    "pre_open",
    "Before the open: history and chain completed, positions reconciled, the day's plan.",
    (tables.BARS, tables.CONTRACTS, tables.POSITIONS, tables.RECONCILIATION, tables.PLAN),
)
END_OF_DAY = _job(
    "end_of_day",
    "After the close: the session's statistics and a report on every position.",
    (tables.SESSION_STATISTICS, tables.REPORT),
)
FUTURES_SNAPSHOTS = _job(
    "futures_snapshots", "Futures through the 23-hour Globex session, by CME trade date.", (tables.GLOBEX,)
)
RECONCILE = _job(
    "reconcile",
    "Positions and reconciliation on request, after a fill or a change of positions.",
    (tables.POSITIONS, tables.RECONCILIATION),
)

JOBS = (TRADING_CYCLE, PRE_OPEN, END_OF_DAY, FUTURES_SNAPSHOTS, RECONCILE)
