"""Reports, with a day's profit taken apart by hand."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from trading_pipelines.core.portfolio.report import attribution, end_of_day, end_of_day_text, plan, plan_text
from trading_pipelines.core.rules.catastrophe import MARKET_COLUMNS
from trading_pipelines.core.rules.engine import evaluate_exits
from trading_pipelines.domain.tables import EVALUATIONS
from trading_pipelines_tests.builders import AS_OF, SESSION, parameters, valued, valued_frame

PLAIN = {k: v for k, v in EVALUATIONS.schema.items() if k not in {"run_id", "code_version"}}


def market(price: float, iv30: float | None) -> pl.DataFrame:
    values = {"underlying": "SPY", "price": price, "price_then": price, "iv30": iv30, "iv30_then": iv30}
    return pl.DataFrame([values | {"fresh": True}], schema=MARKET_COLUMNS)


def after(**changes: Any) -> pl.DataFrame:
    return valued_frame(valued(as_of=AS_OF + timedelta(days=1), **changes))


def test_profit_is_taken_apart_by_greek_with_the_multiplier_once() -> None:
    # From −2.50 to −2.60 over one day, two units of 100: −20 dollars. Price 500 → 505, IV 20 → 21 %.
    row = attribution(valued_frame(valued()), after(mark=-2.60), market(500, 0.20), market(505, 0.21)).row(
        0, named=True
    )
    assert row["pnl_usd"] == pytest.approx(-20.0)
    assert row["delta_pnl_usd"] == pytest.approx(0.02 * 5 * 200)
    assert row["gamma_pnl_usd"] == pytest.approx(0.5 * -0.002 * 25 * 200)
    assert row["vega_pnl_usd"] == pytest.approx(-0.30 * 1 * 200)
    assert row["theta_pnl_usd"] == pytest.approx(0.08 * 200)
    # 20 − 5 − 60 + 16 = −29 explained; 9 dollars are not.
    assert row["residual_usd"] == pytest.approx(9.0)


def test_a_part_without_its_input_falls_to_the_residual() -> None:
    row = attribution(valued_frame(valued()), after(mark=-2.60), market(500, None), market(505, 0.21)).row(
        0, named=True
    )
    assert row["vega_pnl_usd"] is None
    assert row["residual_usd"] == pytest.approx(9.0 - 60.0)


def test_a_position_without_a_value_has_no_profit_and_one_held_once_is_left_out() -> None:
    before = valued_frame(valued(mark=None), valued(position_id="gone"))
    rows = attribution(before, after(), market(500, 0.2), market(500, 0.2))
    assert rows.get_column("position_id").to_list() == ["condor-1"]
    assert rows.item(0, "pnl_usd") is None


def exits(**changes: Any) -> pl.DataFrame:
    return evaluate_exits(valued_frame(valued(**changes)), market(500, 0.2), parameters(), AS_OF)


def test_the_end_of_day_names_the_next_rule_and_its_distance() -> None:
    # Captured 16.7 of 50 is further (67 %) than 25 days of 21 (19 %).
    report = end_of_day(
        valued_frame(valued()), after(mark=-2.60), market(500, 0.2), market(505, 0.2), exits(dte=25)
    )
    row = report.row(0, named=True)
    assert (row["nearest_rule"], row["distance"], row["threshold"]) == ("dte_roll", 4.0, 21.0)
    text = end_of_day_text(report, SESSION)
    assert text.splitlines()[0] == "End of day 2024-06-12: -20 dollars in 1 positions"
    assert "next is dte_roll at 21.0, now 25.0, 4.0 away" in text


def test_a_report_of_nothing_is_a_line() -> None:
    nothing = end_of_day(
        valued_frame(), valued_frame(), market(500, 0.2), market(500, 0.2), pl.DataFrame(schema=PLAIN)
    )
    assert end_of_day_text(nothing, SESSION) == "End of day 2024-06-12: +0 dollars in 0 positions"


def entry(
    symbol: str, number: int, rule: str, fired: bool, action: str = "no_entry", strategy: str = ""
) -> Any:
    return {
        "session": SESSION,
        "as_of": AS_OF,
        "subject": f"entry:{symbol}",
        "underlying": symbol,
        "strategy": strategy,
        "rule_number": number,
        "rule": rule,
        "evaluable": True,
        "fired": fired,
        "value": 1.0,
        "threshold": 1.0,
        "action": action,
        "detail": f"{rule} said so",
    }


ENTRIES = pl.DataFrame(
    [
        # The quiet window before the open passes by itself.
        entry("SPY", 20, "quiet_window", True),
        entry("SPY", 60, "vix_limit", False),
        entry("SPY", 200, "regime", True, "open", "iron_condor"),
        entry("QQQ", 40, "locked_symbol", True),
        entry("QQQ", 60, "vix_limit", True),
        entry("QQQ", 200, "regime", True, "open", "bull_put"),
        entry("IWM", 200, "regime", False, "open"),
    ],
    schema=PLAIN,
)


def test_the_plan_says_which_entries_are_allowed_and_why_not() -> None:
    rows = {row["underlying"]: row for row in plan(pl.concat([exits(), ENTRIES])).entries.rows(named=True)}
    assert (rows["SPY"]["allowed"], rows["SPY"]["strategy"]) == (True, "iron_condor")
    assert rows["QQQ"]["allowed"] is False
    assert rows["QQQ"]["reason"] == "locked_symbol (locked_symbol said so); vix_limit (vix_limit said so)"
    assert (rows["IWM"]["allowed"], rows["IWM"]["reason"]) == (False, "regime said so")


def test_the_plan_lists_positions_by_how_near_they_are_to_a_rule() -> None:
    far, near = exits(), exits(position_id="near", dte=22)
    blind = exits(position_id="blind", data_status="missing", dte=None)
    coming = plan(pl.concat([far, blind, near, ENTRIES]))
    assert coming.positions.get_column("position_id").to_list() == ["near", "condor-1", "blind"]
    assert coming.positions.get_column("not_judged").to_list() == [0, 0, 5]
    lines = plan_text(coming, SESSION).splitlines()
    assert lines[0] == "Plan for 2024-06-12"
    assert "· SPY iron_condor: no rule could be judged" in lines
    assert "· SPY: iron_condor may be opened" in lines
    assert "· IWM: no entry, regime said so" in lines


def test_a_plan_without_positions_and_entries_is_three_lines() -> None:
    assert len(plan_text(plan(pl.DataFrame(schema=PLAIN)), SESSION).splitlines()) == 3
