"""The journal for a person: its orders, and one order traced back to everything it was made from."""

import json
from collections.abc import Iterator
from datetime import date, datetime
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table as View

from trading_pipelines.adapters.delta import Lake
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.domain import tables
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.domain.orders import OrderIntent, OrderRecord
from trading_pipelines.settings import Settings

Section = tuple[str, list[str]]
"""A heading and its lines."""

Row = dict[str, Any]


def show_orders(settings: Settings, session: date | None) -> None:
    """Every order of a session, or of all; references are never cut, `explain` asks for them."""
    console, journal = Console(highlight=False), _journal(settings)
    orders = journal.orders(session=session) if journal else ()
    if not orders:
        console.print("no orders" if session is None else f"no orders in session {session}")
    for day, of_day in groupby(sorted(orders, key=_session), key=_session):
        console.print(f"session {day}", style="bold")
        console.print(_table(list(of_day)))
    reason = journal.halted() if journal else None
    if reason is not None:
        console.print(f"halted, nothing is sent: {reason}", style="red", markup=False)


def explain(settings: Settings, order_ref: str) -> None:
    """One order: its life, fills, checks, decision, rules, quotes and code. MissingData for a strange one."""
    journal = _journal(settings)
    order = journal.order(order_ref) if journal else None
    if journal is None or order is None:
        raise MissingData(
            f"no order {order_ref} in {settings.journal}", "`trading-pipelines orders` lists them"
        )
    console = Console(highlight=False, soft_wrap=True)
    for heading, lines in _story(journal, Lake(settings.lake), order):
        console.print(heading, style="bold", markup=False)
        for line in lines or ["none in the lake"]:
            console.print(f"  {line}", markup=False)


def _journal(settings: Settings) -> SqliteJournal | None:
    """The journal where there is one: a question does not make it."""
    return SqliteJournal(settings.journal) if settings.journal.exists() else None


def _session(order: OrderRecord) -> date:
    return order.intent.session


def _table(orders: list[OrderRecord]) -> View:
    view = View(box=None, pad_edge=False)
    view.add_column("order", no_wrap=True)
    view.add_column("UTC")
    view.add_column("what")
    view.add_column("limit", justify="right", no_wrap=True)
    view.add_column("average", justify="right", no_wrap=True)
    view.add_column("state", no_wrap=True)
    for order in orders:
        intent = order.intent
        view.add_row(
            intent.order_ref,
            f"{intent.as_of:%H:%M}",
            f"{_what(intent)} ({intent.rule})",
            f"{intent.limit_price:+.2f}",
            "" if order.average_price is None else f"{order.average_price:+.2f}",
            order.state.value,
        )
    return view


def _what(intent: OrderIntent) -> str:
    return f"{intent.action} {intent.units} × {intent.strategy} {intent.underlying}"


def _story(journal: SqliteJournal, lake: Lake, order: OrderRecord) -> Iterator[Section]:
    """From the outcome back to the quotes."""
    intent = order.intent
    tick = {"session": intent.session, "as_of": intent.as_of}
    yield f"{intent.order_ref}: {_what(intent)}", _life(order)
    yield (
        "fills",
        [
            f"{_time(fill.filled_at)}  {fill.side} {fill.quantity:g} "
            f"{fill.contract.local_symbol or fill.contract.security_type} at {fill.price:+.2f}, "
            f"{fill.exec_id}"
            for fill in journal.fills(order_ref=intent.order_ref)
        ],
    )
    checks = lake.read(tables.VERDICTS, **tick, order_ref=intent.order_ref)
    yield "risk checks", [_check(row) for row in checks.iter_rows(named=True)]
    decisions = lake.read(tables.DECISIONS, **tick, decision_id=intent.decision_id)
    for decision in decisions.iter_rows(named=True):
        yield "decision", _decision(decision)
        rules = lake.read(tables.EVALUATIONS, **tick, subject=decision["subject"]).sort("rule_number")
        yield "rules, the first that fires wins", [_rule(row) for row in rules.iter_rows(named=True)]
    legs = frozenset(leg.contract.con_id for leg in intent.legs)
    quotes = lake.read(tables.OPTIONS, **tick, con_id=legs)
    yield "quotes of its legs", [_quote(row) for row in quotes.iter_rows(named=True)]


def _life(order: OrderRecord) -> list[str]:
    average = "" if order.average_price is None else f", average {order.average_price:+.2f}"
    return [
        f"{order.state}: limit {order.intent.limit_price:+.2f}{average}",
        f"recorded {_time(order.recorded_at)}, last change {_time(order.updated_at)}",
        f"permanent id {order.perm_id}, client {order.client_id}, order id {order.order_id}",
    ]


def _check(row: Row) -> str:
    compared = "" if row["value"] is None else f" {row['value']:g}"
    compared += "" if row["value"] is None or row["limit"] is None else f" (limit {row['limit']:g})"
    return f"{'passed' if row['passed'] else 'FAILED'}  {row['check']}:{compared} {row['detail']}"


def _decision(row: Row) -> list[str]:
    inputs: dict[str, Row] = json.loads(row["inputs"])
    return [
        f"{row['decision_id']}: {row['reason']}",
        f"run {row['run_id']}, code {row['code_version']}",
        f"configuration {row['config_hash']}",
        *(
            f"read {name}, version {source['version']}, content {source['content_hash'][:16]}"
            for name, source in inputs.items()
        ),
    ]


def _rule(row: Row) -> str:
    said = "fired" if row["fired"] else "silent" if row["evaluable"] else "not evaluable"
    return f"{row['rule_number']:>3} {row['rule']}: {said}. {row['detail']}"


def _quote(row: Row) -> str:
    quoted = "never" if row["quoted_at"] is None else _time(row["quoted_at"])
    bid, ask = ("none" if row[side] is None else f"{row[side]:.2f}" for side in ("bid", "ask"))
    return f"{row['local_symbol']}: bid {bid}, ask {ask}, quoted {quoted}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
