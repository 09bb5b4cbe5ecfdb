"""The journal for a person: its orders, and one order traced back to everything it was made from."""

import json
from datetime import date

from rich.console import Console
from rich.table import Table as View

from trading_pipelines.adapters.delta import Lake
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.domain import tables
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.domain.orders import OrderRecord
from trading_pipelines.settings import Settings

UTC_FORMAT = "%Y-%m-%d %H:%M:%S UTC"


def show_orders(settings: Settings, session: date | None) -> None:
    """Every order of a session, or of all."""
    view = View(title="Orders" if session is None else f"Orders of {session}")
    for heading in (
        "order",
        "as of",
        "underlying",
        "strategy",
        "action",
        "rule",
        "units",
        "limit",
        "state",
        "average",
    ):
        view.add_column(heading)
    for order in SqliteJournal(settings.journal).orders(session=session):
        intent = order.intent
        view.add_row(
            intent.order_ref,
            f"{intent.as_of:%Y-%m-%d %H:%M}",
            intent.underlying,
            intent.strategy,
            intent.action.value,
            intent.rule,
            str(intent.units),
            f"{intent.limit_price:+.2f}",
            order.state.value,
            "" if order.average_price is None else f"{order.average_price:+.2f}",
        )
    Console().print(view)


def explain(settings: Settings, order_ref: str) -> None:
    """One order: its life, fills, checks, decision, rules, quotes and code. MissingData for a strange one."""
    journal, lake, console = SqliteJournal(settings.journal), Lake(settings.lake), Console()
    order = journal.order(order_ref)
    if order is None:
        raise MissingData(
            f"no order {order_ref} in {settings.journal}", "`trading-pipelines orders` lists them"
        )
    tick = {"session": order.intent.session, "as_of": order.intent.as_of}
    console.print(_life(order))
    for fill in journal.fills(order_ref=order_ref):
        console.print(
            f"  fill {fill.exec_id} {fill.filled_at:{UTC_FORMAT}} {fill.side} {fill.quantity:g} "
            f"{fill.contract.local_symbol or fill.contract.security_type} at {fill.price:+.2f}"
        )
    console.print("[bold]risk checks[/bold]")
    for row in lake.read(tables.VERDICTS, **tick, order_ref=order_ref).iter_rows(named=True):
        mark = "passed" if row["passed"] else "FAILED"
        console.print(f"  {mark} {row['check']}: {row['detail']}")
    for decision in lake.read(tables.DECISIONS, **tick, decision_id=order.intent.decision_id).iter_rows(
        named=True
    ):
        _explain_decision(console, lake, tick, decision)
    console.print("[bold]quotes of its legs[/bold]")
    quotes = lake.read(
        tables.OPTIONS, **tick, con_id=frozenset(leg.contract.con_id for leg in order.intent.legs)
    )
    for row in quotes.iter_rows(named=True):
        console.print(f"  {row['local_symbol']}: {row['bid']} / {row['ask']}, quoted {row['quoted_at']}")


def _life(order: OrderRecord) -> str:
    intent = order.intent
    average = "" if order.average_price is None else f" at {order.average_price:+.2f}"
    return (
        f"[bold]{intent.order_ref}[/bold] {intent.action} {intent.units} × {intent.strategy} "
        f"{intent.underlying}, limit {intent.limit_price:+.2f}: {order.state}{average}\n"
        f"  permanent id {order.perm_id}, client {order.client_id}, order id {order.order_id}\n"
        f"  recorded {order.recorded_at:{UTC_FORMAT}}, last change {order.updated_at:{UTC_FORMAT}}"
    )


def _explain_decision(
    console: Console, lake: Lake, tick: dict[str, object], decision: dict[str, object]
) -> None:
    console.print(f"[bold]decision[/bold] {decision['decision_id']}: {decision['reason']}")
    console.print(f"  run {decision['run_id']}, code {decision['code_version']}")
    console.print(f"  configuration {decision['config_hash']}")
    for name, source in json.loads(str(decision["inputs"])).items():
        console.print(f"  read {name}: version {source['version']}, content {source['content_hash'][:16]}")
    console.print("[bold]rules[/bold]")
    evaluations = lake.read(tables.EVALUATIONS, **tick, subject=str(decision["subject"]))
    for row in evaluations.sort("rule_number").iter_rows(named=True):
        said = "fired" if row["fired"] else "silent" if row["evaluable"] else "not evaluable"
        console.print(f"  {row['rule_number']:>3} {row['rule']}: {said}. {row['detail']}")
