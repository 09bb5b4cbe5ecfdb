"""How an asset of the lake is declared: its table says key, group, columns and layout, once."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from trading_pipelines.defs.failures import translated
from trading_pipelines.defs.partitions import NYSE_SESSIONS
from trading_pipelines.defs.resources import Desk
from trading_pipelines.defs.ticks import Tick, tick_of
from trading_pipelines.domain.columns import COLUMNS
from trading_pipelines.domain.tables import Table

OWNERS = ["team:trading"]
TICK: Mapping[str, str] = {"slice": "tick"}
"""Input metadata: only the rows of the run's own tick."""


def key(table: Table) -> dg.AssetKey:
    """The asset key of a table."""
    return dg.AssetKey(list(table.path))


def tick_input(table: Table) -> dg.AssetIn:
    """An input that holds the run's tick of a table."""
    return dg.AssetIn(key=key(table), metadata=dict(TICK))


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns and what they mean, for the web UI."""
    return dg.TableSchema(
        columns=[dg.TableColumn(name, str(dtype), COLUMNS[name]) for name, dtype in table.schema.items()],
    )


def describe(table: Table, doc: str | None = None) -> dict[str, Any]:
    """Description, owners, group, kinds and columns: what every asset of ours shows."""
    return {
        "group_name": table.group,
        "description": f"{doc or table.doc}\n\nRows are told apart by {', '.join(table.key)}.",
        "owners": OWNERS,
        "kinds": {"polars", "deltalake"},
        "metadata": {"dagster/column_schema": column_schema(table)},
    }


def stamped(
    table: Table, frame: pl.DataFrame, context: dg.AssetExecutionContext | dg.OpExecutionContext, desk: Desk
) -> pl.DataFrame:
    """The frame in the table's column order, with run and code version where the table has them."""
    if "run_id" in table.schema:
        frame = frame.with_columns(
            run_id=pl.lit(context.run.run_id), code_version=pl.lit(desk.settings.code_version)
        )
    return frame.select(table.schema.names())


def lake_asset(
    table: Table,
    *,
    deps: Sequence[Table] = (),
    session_inputs: Mapping[str, Table] | None = None,
    **inputs: Table,
) -> Callable[[Callable[..., pl.DataFrame]], dg.AssetsDefinition]:
    """Declare the asset that computes one table for the run's tick.

    `inputs` bring the tick's rows of a table, `session_inputs` the whole session's. The result is
    stamped with run and code version where the table has these columns. A tick that an order was
    decided on is sealed: it is read again, never computed again.
    """

    def decorate(compute: Callable[..., pl.DataFrame]) -> dg.AssetsDefinition:
        @functools.wraps(compute)
        def run(context: dg.AssetExecutionContext, desk: Desk, **frames: pl.DataFrame) -> pl.DataFrame:
            with translated():
                tick = tick_of(context)
                if table.sealed and desk.journal.is_sealed(tick.session, tick.as_of):
                    return desk.lake.read(table, session=tick.session, as_of=tick.as_of)
                frame = compute(context, desk, **frames)
            return stamped(table, frame, context, desk)

        every_input = {name: tick_input(source) for name, source in inputs.items()}
        every_input |= {name: dg.AssetIn(key=key(source)) for name, source in (session_inputs or {}).items()}
        return dg.asset(
            key=key(table),
            ins=every_input,
            deps=[key(source) for source in deps],
            partitions_def=NYSE_SESSIONS,
            **describe(table, inspect.getdoc(compute)),
        )(run)

    return decorate


Findings = Callable[[Tick, Desk, pl.DataFrame], list[str]]
"""What is wrong with a tick of a table, a sentence each; nothing when it is fit."""


def fit_check(table: Table) -> Callable[[Findings], dg.AssetChecksDefinition]:
    """Declare the blocking check that reads what was stored for the run's tick, and judges it."""

    def decorate(judge: Findings) -> dg.AssetChecksDefinition:
        @dg.asset_check(
            asset=key(table),
            name=judge.__name__,
            description=inspect.getdoc(judge),
            blocking=True,
        )
        def check(context: dg.AssetCheckExecutionContext, desk: Desk) -> dg.AssetCheckResult:
            with translated():
                tick = tick_of(context)
                stored = desk.lake.read(table, session=tick.session, as_of=tick.as_of)
                findings = judge(tick, desk, stored)
            return dg.AssetCheckResult(
                passed=not findings,
                description="; ".join(findings) or "fit",
                metadata={"rows": stored.height, "findings": len(findings)},
            )

        return check

    return decorate
