"""What of a tick a person should know."""

from datetime import datetime

import polars as pl

from trading_pipelines.domain.decisions import Alert, Severity
from trading_pipelines.domain.orders import Action, OrderState

NEEDS_A_PERSON = frozenset({OrderState.UNKNOWN, OrderState.NEEDS_HUMAN})
WENT_WRONG = frozenset({OrderState.REJECTED, OrderState.PROVEN_ABSENT})
QUIET = (Action.HOLD.value, Action.NO_ENTRY.value)


def alerts(
    decisions: pl.DataFrame,
    verdicts: pl.DataFrame,
    orders: pl.DataFrame,
    reconciliation: pl.DataFrame,
    as_of: datetime,
) -> tuple[Alert, ...]:
    """Alerts of one tick from its DECISIONS, VERDICTS, ORDERS and RECONCILIATION rows, the loudest first.

    `key` names the thing and its state, so that the same state is told once.
    """
    found = [
        *_differences(reconciliation, as_of),
        *_orders(orders, as_of),
        *_refusals(verdicts, as_of),
        *_decisions(decisions, as_of),
    ]
    loudness = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}
    return tuple(sorted(found, key=lambda alert: loudness[alert.severity]))


def _differences(reconciliation: pl.DataFrame, as_of: datetime) -> list[Alert]:
    return [
        Alert(
            key=f"difference {row['con_id']} {row['expected']:g} {row['actual']:g}",
            severity=Severity.WARNING if row["kind"] == "external" else Severity.CRITICAL,
            title=f"Books and broker differ in {row['local_symbol'] or row['symbol']}",
            text=f"we expect {row['expected']:g}, the broker reports {row['actual']:g} ({row['kind']})",
            at=as_of,
        )
        for row in reconciliation.filter(pl.col("kind") != "match").iter_rows(named=True)
    ]


def _orders(orders: pl.DataFrame, as_of: datetime) -> list[Alert]:
    told = []
    for row in orders.iter_rows(named=True):
        state = OrderState(row["state"])
        if state in NEEDS_A_PERSON:
            severity = Severity.CRITICAL
        elif state in WENT_WRONG:
            severity = Severity.WARNING
        elif state is OrderState.FILLED:
            severity = Severity.INFO
        else:
            continue
        price = "" if row["average_price"] is None else f" at {row['average_price']:+.2f}"
        told.append(
            Alert(
                key=f"order {row['order_ref']} {state}",
                severity=severity,
                title=f"Order {state}: {row['action']} {row['strategy']} {row['underlying']}",
                text=f"{row['order_ref']}: {row['filled']:g} of {row['units']} units{price}. "
                f"{row['detail'] or ''}".strip(),
                at=as_of,
            )
        )
    return told


def _refusals(verdicts: pl.DataFrame, as_of: datetime) -> list[Alert]:
    failed = (
        verdicts.filter(~pl.col("approved") & ~pl.col("passed"))
        .with_columns(said=pl.format("{}: {}", "check", "detail"))
        .group_by("order_ref", maintain_order=True)
        .agg(pl.col("said").str.join("; "))
    )
    return [
        Alert(
            key=f"refused {order_ref}",
            severity=Severity.WARNING,
            title=f"Risk check refused {order_ref}",
            text=said,
            at=as_of,
        )
        for order_ref, said in failed.iter_rows()
    ]


def _decisions(decisions: pl.DataFrame, as_of: datetime) -> list[Alert]:
    return [
        Alert(
            key=f"decision {row['decision_id']}",
            severity=Severity.INFO,
            title=f"Decided to {row['action']} {row['strategy']} {row['underlying']} ({row['rule']})",
            text=row["reason"],
            at=as_of,
        )
        for row in decisions.filter(~pl.col("action").is_in(QUIET)).iter_rows(named=True)
    ]
