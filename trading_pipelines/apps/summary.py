"""What a session came to: the demo's closing table, and our fills against the gateway's ground truth."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table as View

from trading_pipelines.adapters.delta import Lake
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.core.alerts import QUIET
from trading_pipelines.core.market.calendar import NEW_YORK
from trading_pipelines.domain import tables
from trading_pipelines.settings import OVERRIDE_PREFIX, PROJECT, Settings


def show(console: Console, settings: Settings, session: date, failed: list[str], seconds: float) -> int:
    """Print the session's table; 0 when no run failed and our fills equal the gateway's."""
    lake, journal = Lake(settings.lake), SqliteJournal(settings.journal)
    ours = _our_fills(journal, session)
    theirs = ground_truth(settings.data / "gateway" / "truth.jsonl")
    console.print(_counts(lake, session, len(ours)))
    for line in _decided(lake, session):
        console.print(line, highlight=False)
    for line in failed[:10]:
        console.print(f"[red]{line}[/red]")
    if len(failed) > 10:
        console.print(f"[red]… and {len(failed) - 10} more[/red]")
    if ours == theirs:
        console.print(f"our {len(ours)} fills equal the gateway's ground truth")
    else:
        console.print(
            f"[red]our fills differ from the gateway's: only ours {sorted(ours - theirs)}, "
            f"only the gateway's {sorted(theirs - ours)}[/red]"
        )
    for line in _where_to_look(settings, session, seconds, journal):
        console.print(line, highlight=False, soft_wrap=True)
    return 0 if not failed and ours == theirs else 1


def _where_to_look(
    settings: Settings, session: date, seconds: float, journal: SqliteJournal
) -> Iterator[str]:
    """Commands that a newcomer can copy; variables are named only where the defaults do not hold."""
    given = {}
    if settings.data.resolve() != (PROJECT / "data").resolve():
        given = {"TRADING_PIPELINES_DATA": settings.data, "DAGSTER_HOME": settings.data / "dagster"}
    variables = "".join(f"{name}={value} " for name, value in given.items())
    refs = [order.intent.order_ref for order in journal.orders(session=session)]
    first = settings.parameters.partitions.first_session
    yield f"It took {seconds:.0f} s. The tables are in {settings.lake}, the journal is {settings.journal}."
    yield "[bold]Look further[/bold]"
    yield f"  {variables}.venv/bin/trading-pipelines orders"
    if refs:
        yield f"  {variables}.venv/bin/trading-pipelines explain {refs[0]}"
    yield (
        f"  {variables}{OVERRIDE_PREFIX}PARTITIONS__FIRST_SESSION={first} "
        ".venv/bin/dagster-webserver -w workspace.yaml   (runs and lineage at http://127.0.0.1:3000)"
    )


def ground_truth(log: Path) -> set[tuple[str, str, float, float]]:
    """(exec id, side, quantity, price) of every fill the gateway sent."""
    with log.open() as lines:
        records = [json.loads(line) for line in lines]
    return {
        (fill["exec_id"], fill["side"], float(fill["quantity"]), float(fill["price"]))
        for fill in records
        if fill["kind"] == "fill"
    }


def _our_fills(journal: SqliteJournal, session: date) -> set[tuple[str, str, float, float]]:
    return {
        (fill.exec_id, fill.side.value, fill.quantity, fill.price) for fill in journal.fills(session=session)
    }


def _counts(lake: Lake, session: date, fills: int) -> View:
    options = lake.read(tables.OPTIONS, session=session)
    orders = lake.read(tables.ORDERS, session=session).sort("updated_at").unique("order_ref", keep="last")
    performance = lake.read(tables.PERFORMANCE, session=session).sort("as_of")
    actions = Counter(lake.read(tables.DECISIONS, session=session)["action"])
    states = Counter(orders["state"])
    view = View(title=f"Session {session}", show_header=False)
    view.add_row("snapshots", f"{options['as_of'].n_unique()} ticks, {options.height:,} option quotes")
    view.add_row("decisions", ", ".join(f"{count:,} {action}" for action, count in actions.most_common()))
    view.add_row("orders", ", ".join(f"{count} {state}" for state, count in states.most_common()) or "none")
    view.add_row("fills", f"{fills} executions")
    if not performance.is_empty():
        last = performance.row(-1, named=True)
        view.add_row(
            "P&L", f"{last['session_pnl_usd']:+,.2f} USD, commissions {last['commissions_usd']:,.2f} USD"
        )
        view.add_row("net liquidation", f"{last['net_liquidation']:,.2f} USD")
    return view


def _decided(lake: Lake, session: date) -> Iterator[str]:
    """A line and a reason for every decision that asked for an order; then why there were no others."""
    decisions = lake.read(tables.DECISIONS, session=session).sort("as_of")
    acted = decisions.filter(~pl.col("action").is_in(QUIET))
    orders = lake.read(tables.ORDERS, session=session).sort("updated_at").unique("order_ref", keep="last")
    outcome = dict(orders.group_by("decision_id").agg(pl.col("state").str.join(", ")).iter_rows())
    yield "[bold]Decisions that asked for an order[/bold]"
    for row in acted.iter_rows(named=True):
        local = row["as_of"].astimezone(NEW_YORK)
        state = outcome.get(row["decision_id"], "none")
        yield f"{local:%H:%M} {row['underlying']} {row['action']} {row['strategy']} by {row['rule']}: {state}"
        yield f"      [dim]{row['reason']}[/dim]"
    yield _reasons(decisions)


def _reasons(decisions: pl.DataFrame) -> str:
    quiet = (
        decisions.filter(pl.col("action") == "no_entry").group_by("rule").len().sort("len", descending=True)
    )
    return "No entry because of " + ", ".join(f"{rule} {count}×" for rule, count in quiet.iter_rows())
