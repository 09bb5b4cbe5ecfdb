"""Entry rules: each condition at its threshold, and the table of outlook and volatility."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from trading_pipelines.core.portfolio.reconciliation import reconcile
from trading_pipelines.core.rules.engine import ENTRY_RULES, evaluate_entries, winners
from trading_pipelines.core.rules.entries import OUTLOOKS
from trading_pipelines.core.strategies.selection import STRATEGIES
from trading_pipelines.domain.contracts import Right
from trading_pipelines.domain.tables import EVALUATIONS, MARKET_REGIME
from trading_pipelines_tests.builders import (
    AS_OF,
    SESSION,
    broker_position,
    option,
    parameters,
    valued,
    valued_frame,
)

UNDERLYING = {"security_type": "STK", "exchange": "SMART", "currency": "USD"}
SPY_AND_VIX = [
    {"symbol": "SPY", "trade_options": True, **UNDERLYING},
    {"symbol": "VIX", "trade_options": False, **UNDERLYING},
]
FIT = {"underlying": "SPY", "outlook": "neutral", "iv_rank": 50.0, "vix": 18.0}


def evaluations(
    regime: dict[str, Any] | None = None,
    *,
    quality: float | None = 0.9,
    held: int = 0,
    held_since: date = SESSION - timedelta(days=7),
    differences: int = 0,
    unresolved: tuple[str, ...] = (),
    as_of: datetime = AS_OF,
    session: date = SESSION,
    **overrides: Any,
) -> pl.DataFrame:
    external = [broker_position(option(Right.PUT, 470 + n), 1) for n in range(differences)]
    positions = [valued(position_id=str(n), opened_session=held_since) for n in range(held)]
    return evaluate_entries(
        pl.DataFrame([FIT | (regime or {})], schema=MARKET_REGIME.schema),
        pl.DataFrame(
            [{"underlying": "SPY", "quoted_share": quality}], schema_overrides={"quoted_share": pl.Float64}
        ),
        valued_frame(*positions),
        parameters(universe__underlyings=SPY_AND_VIX, **overrides),
        session,
        as_of,
        reconciliation=reconcile(external, [], session, as_of),
        unresolved=unresolved,
    )


def winner(regime: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    won = winners(evaluations(regime, **changes))
    return won.row(0, named=True) if won.height else {"rule": None, "action": None, "strategy": None}


@pytest.mark.parametrize(
    ("outlook", "iv_rank", "strategy"),
    [
        ("bullish", 30.0, "bull_put"),
        ("neutral", 30.0, "iron_condor"),
        ("bearish", 30.0, "bear_call"),
        ("bullish", 29.9, "bull_call"),
        ("neutral", 29.9, None),
        ("bearish", 29.9, "bear_put"),
        ("bearish", 100.0, "bear_call"),
        ("bullish", 0.0, "bull_call"),
    ],
)
def test_outlook_and_iv_rank_choose_the_strategy(outlook: str, iv_rank: float, strategy: str | None) -> None:
    won = winner({"outlook": outlook, "iv_rank": iv_rank})
    assert won["strategy"] == strategy
    assert won["action"] == ("open" if strategy else None)


def test_the_table_names_strategies_that_can_be_built() -> None:
    assert {name for name in OUTLOOKS.values() if name} == set(STRATEGIES)


def tick(hour: int, minute: int) -> datetime:
    return datetime(2024, 6, 12, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "blocked", "changes"),
    [
        ("disabled", True, {"entries__enabled": False}),
        # Open 13:30 UTC, close 20:00: half an hour at each end is quiet.
        ("quiet_window", True, {"as_of": tick(13, 30)}),
        ("quiet_window", True, {"as_of": tick(13, 55)}),
        ("quiet_window", False, {"as_of": tick(14, 0)}),
        ("quiet_window", False, {"as_of": tick(19, 25)}),
        ("quiet_window", True, {"as_of": tick(19, 30)}),
        ("quiet_window", True, {"as_of": tick(19, 55)}),
        ("event_date", True, {"entries__event_dates": [SESSION]}),
        ("event_date", True, {"entries__event_dates": [SESSION + timedelta(days=1)]}),
        ("event_date", False, {"entries__event_dates": [SESSION + timedelta(days=2)]}),
        ("event_date", False, {"entries__event_dates": [SESSION - timedelta(days=1)]}),
        ("locked_symbol", True, {"entries__locked_symbols": ["SPY"]}),
        ("locked_symbol", False, {"entries__locked_symbols": ["QQQ"]}),
        ("missing_inputs", True, {"regime": {"outlook": None}}),
        ("missing_inputs", True, {"regime": {"iv_rank": None}}),
        ("missing_inputs", True, {"regime": {"iv_rank": float("nan")}}),
        ("missing_inputs", True, {"regime": {"vix": None}}),
        ("missing_inputs", True, {"regime": {"underlying": "QQQ"}}),
        ("vix_limit", False, {"regime": {"vix": 34.99}}),
        ("vix_limit", False, {"regime": {"vix": 35.0}}),
        ("vix_limit", True, {"regime": {"vix": 35.01}}),
        ("data_quality", True, {"quality": 0.59}),
        ("data_quality", False, {"quality": 0.60}),
        ("data_quality", True, {"quality": None}),
        ("data_quality", True, {"quality": float("nan")}),
        ("reconciliation", True, {"differences": 1}),
        ("reconciliation", False, {"differences": 0}),
        ("unresolved_order", True, {"unresolved": ("SPY",)}),
        ("unresolved_order", False, {"unresolved": ("QQQ",)}),
        ("entered_today", True, {"held": 1, "held_since": SESSION}),
        ("entered_today", False, {"held": 1, "held_since": SESSION - timedelta(days=1)}),
        ("max_positions", False, {"held": 1}),
        ("max_positions", True, {"held": 2}),
        ("max_positions", True, {"held": 3}),
    ],
)
def test_a_condition_forbids_the_entry(rule: str, blocked: bool, changes: dict[str, Any]) -> None:
    rows = evaluations(**changes)
    assert rows.row(by_predicate=pl.col("rule") == rule, named=True)["fired"] is blocked
    won = winner(**changes)
    assert (won["rule"], won["action"]) == ((rule, "no_entry") if blocked else ("regime", "open"))


def test_every_condition_of_the_table_is_tried_above() -> None:
    assert [rule.number for rule in ENTRY_RULES] == sorted(rule.number for rule in ENTRY_RULES)
    assert ENTRY_RULES[-1].name == "regime"


def test_what_is_missing_is_named() -> None:
    rows = evaluations({"iv_rank": None, "vix": None})
    detail = rows.row(by_predicate=pl.col("rule") == "missing_inputs", named=True)["detail"]
    assert detail == "not known: iv_rank, vix"


def test_an_assumed_input_allows_the_entry_and_says_so() -> None:
    nothing = {"outlook": None, "iv_rank": None, "vix": None}
    assumed = {
        "entries__outlook_when_missing": "bearish",
        "entries__iv_rank_when_missing": 50,
        "entries__vix_when_missing": 18,
    }
    won = winner(nothing, **assumed)
    assert (won["strategy"], won["action"]) == ("bear_call", "open")
    assert "bearish outlook (assumed), IV rank 50.0 (assumed)" in won["detail"]
    # A known value is not replaced.
    assert winner({"outlook": "bullish"}, **assumed)["strategy"] == "bull_put"


def test_an_assumed_vix_above_the_limit_still_forbids() -> None:
    assert winner({"vix": None}, entries__vix_when_missing=40)["rule"] == "vix_limit"


def test_a_half_day_is_quiet_before_its_own_close() -> None:
    # 2024-07-03 closed at 17:00 UTC.
    half = {"session": date(2024, 7, 3)}
    assert winner(as_of=datetime(2024, 7, 3, 16, 25, tzinfo=UTC), **half)["rule"] == "regime"
    assert winner(as_of=datetime(2024, 7, 3, 16, 30, tzinfo=UTC), **half)["rule"] == "quiet_window"


def test_there_is_a_row_for_each_traded_underlying_and_rule() -> None:
    rows = evaluations()
    assert rows.height == len(ENTRY_RULES)
    assert set(rows.get_column("subject")) == {"entry:SPY"}
    assert dict(rows.schema) == {
        k: v for k, v in EVALUATIONS.schema.items() if k not in {"run_id", "code_version"}
    }
