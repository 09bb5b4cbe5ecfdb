"""What of a tick a person should know."""

from datetime import UTC, datetime

import polars as pl

from trading_pipelines.core.alerts import alerts
from trading_pipelines.domain import tables
from trading_pipelines.domain.decisions import Severity

AS_OF = datetime(2024, 6, 12, 14, 0, tzinfo=UTC)


def rows(table: tables.Table, *given: dict[str, object]) -> pl.DataFrame:
    """Rows of a table with null in every column that is not given."""
    return pl.DataFrame(
        [{name: row.get(name) for name in table.schema} for row in given], schema=table.schema
    )


def told(**frames: pl.DataFrame):
    empty = {
        "decisions": rows(tables.DECISIONS),
        "verdicts": rows(tables.VERDICTS),
        "orders": rows(tables.ORDERS),
        "reconciliation": rows(tables.RECONCILIATION),
    }
    return alerts(**(empty | frames), as_of=AS_OF)


def order(state: str) -> pl.DataFrame:
    return rows(
        tables.ORDERS,
        {
            "order_ref": "tp1-a",
            "state": state,
            "action": "open",
            "strategy": "iron_condor",
            "underlying": "SPY",
            "units": 2,
            "filled": 2.0,
            "average_price": -1.25,
            "detail": "",
        },
    )


def test_a_quiet_tick_tells_nothing():
    assert told(decisions=rows(tables.DECISIONS, {"decision_id": "d", "action": "hold"})) == ()


def test_an_unknown_order_is_critical_and_comes_first():
    decision = {
        "decision_id": "d",
        "action": "open",
        "strategy": "iron_condor",
        "underlying": "SPY",
        "rule": "neutral_high_iv",
        "reason": "IV rank 60",
    }
    first, second = told(orders=order("unknown"), decisions=rows(tables.DECISIONS, decision))
    assert first.severity is Severity.CRITICAL
    assert "tp1-a" in first.text
    assert second.severity is Severity.INFO


def test_a_fill_tells_units_and_net_price():
    (alert,) = told(orders=order("filled"))
    assert alert.severity is Severity.INFO
    assert "2 of 2 units at -1.25" in alert.text


def test_a_working_order_is_not_told():
    assert told(orders=order("working")) == ()


def test_a_refusal_names_each_failed_check_and_no_passed_one():
    common = {"order_ref": "tp1-a", "approved": False}
    (alert,) = told(
        verdicts=rows(
            tables.VERDICTS,
            common | {"check": "size", "passed": True, "detail": "2 of at most 10"},
            common | {"check": "collar", "passed": False, "detail": "9 % from mid"},
        )
    )
    assert alert.severity is Severity.WARNING
    assert "collar: 9 % from mid" in alert.text
    assert "size" not in alert.text


def test_a_stranger_in_the_account_warns_and_a_missing_position_is_critical():
    def difference(kind: str, expected: float, actual: float) -> pl.DataFrame:
        row = {"con_id": 1, "symbol": "SPY", "local_symbol": "SPY X", "kind": kind, "expected": expected}
        return rows(tables.RECONCILIATION, row | {"actual": actual, "difference": actual - expected})

    assert told(reconciliation=difference("external", 0.0, 3.0))[0].severity is Severity.WARNING
    assert told(reconciliation=difference("missing", 3.0, 0.0))[0].severity is Severity.CRITICAL
    assert told(reconciliation=difference("match", 3.0, 3.0)) == ()


def test_the_same_state_has_the_same_key_at_every_tick():
    later = alerts(
        rows(tables.DECISIONS),
        rows(tables.VERDICTS),
        order("filled"),
        rows(tables.RECONCILIATION),
        datetime.now(UTC),
    )
    assert later[0].key == told(orders=order("filled"))[0].key
