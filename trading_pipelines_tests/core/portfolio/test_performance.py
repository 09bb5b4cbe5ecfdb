"""A session summed up; dollars worked by hand."""

from typing import Any

import polars as pl
import pytest

from trading_pipelines.core.portfolio.performance import session_performance
from trading_pipelines.domain.tables import DECISIONS, FILLS, ORDERS, PERFORMANCE
from trading_pipelines_tests.builders import ACCOUNT, AS_OF, SESSION, valued, valued_frame

UNDERLYINGS = pl.DataFrame([{"symbol": "SPY", "price": 500.0}])


def rows(schema: pl.Schema, *values: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(values), schema=schema)


def fill(exec_id: str, kind: str, **changes: Any) -> dict[str, Any]:
    return {"exec_id": exec_id, "account": ACCOUNT, "security_type": kind, **changes}


def performance(**changes: Any) -> dict[str, Any]:
    account = pl.DataFrame([{"account": ACCOUNT, "net_liquidation": 100_250.0}])
    values: dict[str, Any] = {
        "account": account,
        "account_at_open": account.with_columns(net_liquidation=pl.lit(100_000.0)),
        "strategies": valued_frame(),
        "underlyings": UNDERLYINGS,
        "orders": rows(ORDERS.schema),
        "fills": rows(FILLS.schema),
        "decisions": rows(DECISIONS.schema),
        "session": SESSION,
        "as_of": AS_OF,
        **changes,
    }
    frame = session_performance(**values)
    assert dict(frame.schema) == {
        k: v for k, v in PERFORMANCE.schema.items() if k not in {"run_id", "code_version"}
    }
    return frame.row(0, named=True)


def test_an_idle_session_is_zeros_and_the_change_of_the_account() -> None:
    row = performance()
    assert row["session_pnl_usd"] == pytest.approx(250.0)
    for name in ("unrealised_pnl_usd", "realised_pnl_usd", "commissions_usd", "orders", "fills", "decisions"):
        assert row[name] == 0, name


def test_risk_is_in_dollars_with_the_multiplier_once() -> None:
    other = valued(position_id="b", units=1, delta=-0.10, theta_per_day=0.05, vega_per_vol_point=-0.20)
    row = performance(strategies=valued_frame(valued(), other))
    # (0.02 × 2 − 0.10 × 1) × 100 × 500.
    assert row["delta_usd"] == pytest.approx(-3_000.0)
    # (0.08 × 2 + 0.05) × 100, and (−0.30 × 2 − 0.20) × 100.
    assert row["theta_per_day_usd"] == pytest.approx(21.0)
    assert row["vega_per_vol_point_usd"] == pytest.approx(-80.0)
    assert (row["open_positions"], row["unrealised_pnl_usd"]) == (2, 200.0)


def test_a_combos_own_row_and_a_fill_seen_twice_count_once() -> None:
    fills = rows(
        FILLS.schema,
        fill("1.01", "BAG"),
        fill("2.01", "OPT", commission=1.05, realised_pnl=20.0),
        fill("3.01", "OPT", commission=1.05, realised_pnl=None),
        fill("3.01", "OPT", commission=1.05, realised_pnl=None),
    )
    row = performance(fills=fills)
    assert (row["fills"], row["realised_pnl_usd"]) == (2, 20.0)
    assert row["commissions_usd"] == pytest.approx(2.10)


def test_decisions_that_ask_for_an_order_and_orders_are_counted_once() -> None:
    decisions = rows(
        DECISIONS.schema,
        *(
            {"decision_id": name, "account": ACCOUNT, "action": action}
            for name, action in [
                ("a", "hold"),
                ("b", "open"),
                ("b", "open"),
                ("c", "no_entry"),
                ("d", "roll"),
            ]
        ),
    )
    orders = rows(ORDERS.schema, *({"order_ref": ref} for ref in ("x", "x", "y")))
    row = performance(decisions=decisions, orders=orders)
    assert (row["decisions"], row["orders"]) == (2, 2)
