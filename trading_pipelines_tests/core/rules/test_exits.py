"""Each exit rule at, just below and just above its threshold; credit and debit, condor, vertical, single."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from trading_pipelines.core.rules.catastrophe import MARKET_COLUMNS, market
from trading_pipelines.core.rules.engine import EXIT_RULES, evaluate_exits
from trading_pipelines.domain.tables import EVALUATIONS, OPTION_STATISTICS, UNDERLYINGS
from trading_pipelines_tests.builders import AS_OF, SESSION, parameters, valued, valued_frame

CALM = {
    "underlying": "SPY",
    "price": 500.0,
    "price_then": 500.0,
    "iv30": 0.2,
    "iv30_then": 0.2,
    "fresh": True,
}


def evaluation(
    rule: str, position: dict[str, Any], now: dict[str, Any] | None = None, **overrides: Any
) -> dict[str, Any]:
    markets = pl.DataFrame([CALM | (now or {})], schema=MARKET_COLUMNS)
    rows = evaluate_exits(valued_frame(position), markets, parameters(**overrides), AS_OF)
    return rows.row(by_predicate=pl.col("rule") == rule, named=True)


def fires(rule: str, position: dict[str, Any], now: dict[str, Any] | None = None, **overrides: Any) -> bool:
    row = evaluation(rule, position, now, **overrides)
    assert row["evaluable"] or not row["fired"]
    return bool(row["fired"])


def test_rules_are_numbered_as_the_manual_has_them() -> None:
    assert [(rule.number, rule.name) for rule in EXIT_RULES] == [
        (10, "catastrophe"),
        (40, "stop_loss"),
        (50, "take_profit"),
        (80, "time_exit"),
        (120, "dte_roll"),
    ]


def vertical(**changes: Any) -> dict[str, Any]:
    """A bull put sold for 2.50, 7.50 at risk."""
    own = {"strategy": "bull_put", "entry_price": -2.50, "max_profit": 2.50, "max_loss": 7.50, "delta": 0.10}
    return valued(**own | changes)


def debit(**changes: Any) -> dict[str, Any]:
    """A bull call bought for 4.00, 6.00 to win."""
    own = {"strategy": "bull_call", "entry_price": 4.0, "max_profit": 6.0, "max_loss": 4.0, "mark": 4.0}
    return valued(**own | {"delta": 0.20} | changes)


# Sold for 3.00 with 7.00 at risk: min(2 × 3.00, 75 % of 7.00) = 5.25; late min(4.50, 4.20) = 4.20.
# Sold for 2.50 with 7.50 at risk: min(5.00, 5.625) = 5.00; late min(3.75, 4.50) = 3.75.
# Bought for 4.00: half of it.
STOP_LOSS = [
    (valued(mark=-8.24), False),
    (valued(mark=-8.25), True),
    (valued(mark=-8.26), True),
    (valued(mark=-8.00, dte=28), False),  # 28 days are not late yet
    (valued(mark=-7.19, dte=27), False),
    (valued(mark=-7.20, dte=27), True),
    (valued(mark=-7.21, dte=27), True),
    (vertical(mark=-7.49), False),
    (vertical(mark=-7.50), True),
    (vertical(mark=-7.51), True),
    (vertical(mark=-6.24, dte=27), False),
    (vertical(mark=-6.25, dte=27), True),
    (debit(mark=2.01), False),
    (debit(mark=2.00), True),
    (debit(mark=1.99), True),
    (debit(mark=2.01, dte=3), False),  # a debit has no late limit
    (debit(mark=2.00, strategy="long_call"), True),
    (debit(mark=2.01, strategy="long_call"), False),
]


@pytest.mark.parametrize(("position", "expected"), STOP_LOSS)
def test_stop_loss(position: dict[str, Any], expected: bool) -> None:
    assert fires("stop_loss", position) is expected


def test_stop_loss_reports_loss_and_limit_in_points() -> None:
    row = evaluation("stop_loss", valued(mark=-8.25))
    assert (row["value"], row["threshold"], row["action"]) == (5.25, 5.25, "close")
    assert "loss of 5.25 points, limit 5.25" in row["detail"]


@pytest.mark.parametrize(
    ("position", "captured", "expected"),
    [
        (valued, 49.99, False),
        (valued, 50.0, True),
        (valued, 50.01, True),
        (vertical, 49.99, False),
        (vertical, 50.0, True),
        (debit, 49.99, False),
        (debit, 50.0, True),
        (debit, -300.0, False),
    ],
)
def test_take_profit(position: Any, captured: float, expected: bool) -> None:
    assert fires("take_profit", position(captured_percent=captured)) is expected


@pytest.mark.parametrize(("captured", "expected"), [(79.9, False), (80.0, True), (80.1, True)])
def test_a_single_bought_option_takes_profit_on_its_cost(captured: float, expected: bool) -> None:
    for strategy in ("long_call", "long_put"):
        assert fires("take_profit", debit(strategy=strategy, captured_percent=captured)) is expected


@pytest.mark.parametrize("position", [valued, vertical, debit])
@pytest.mark.parametrize(
    ("dte", "rolls", "enabled", "expected"),
    [
        # A roll is allowed: only the last day counts.
        (22, 0, True, False),
        (21, 0, True, False),
        (2, 1, True, False),
        (1, 0, True, True),
        (0, 0, True, True),
        (-1, 0, True, True),
        # Two rolls are done, or rolling is off: 21 days.
        (22, 2, True, False),
        (21, 2, True, True),
        (20, 3, True, True),
        (22, 0, False, False),
        (21, 0, False, True),
    ],
)
def test_time_exit(position: Any, dte: int, rolls: int, enabled: bool, expected: bool) -> None:
    held = position(dte=dte, rolls=rolls)
    assert fires("time_exit", held, exits__roll_enabled=enabled) is expected


@pytest.mark.parametrize("position", [valued, vertical, debit])
@pytest.mark.parametrize(
    ("dte", "rolls", "enabled", "expected"),
    [
        (22, 0, True, False),
        (21, 0, True, True),
        (20, 1, True, True),
        (21, 2, True, False),
        (21, 0, False, False),
    ],
)
def test_dte_roll(position: Any, dte: int, rolls: int, enabled: bool, expected: bool) -> None:
    row = evaluation("dte_roll", position(dte=dte, rolls=rolls), exits__roll_enabled=enabled)
    assert (row["fired"], row["action"]) == (expected, "roll")


@pytest.mark.parametrize("status", ["stale", "missing"])
def test_without_fresh_quotes_only_rules_of_dates_can_be_judged(status: str) -> None:
    position = valued(mark=-9.9, captured_percent=99.0, dte=1, data_status=status)
    crash = {"price": 400.0}
    assert not fires("catastrophe", position, crash)
    assert not fires("stop_loss", position)
    assert not fires("take_profit", position)
    assert fires("time_exit", position)
    assert fires("dte_roll", position)
    assert status in evaluation("stop_loss", position)["detail"]


@pytest.mark.parametrize("broken", [None, float("nan"), float("inf")])
def test_a_number_that_is_none_fires_nothing(broken: float | None) -> None:
    position = valued(mark=broken, captured_percent=broken, delta=broken, vega_per_vol_point=broken)
    for rule in ("stop_loss", "take_profit", "catastrophe"):
        row = evaluation(rule, position, {"price": 400.0})
        assert (row["evaluable"], row["fired"]) == (False, False), rule
        assert row["value"] is None


# Price 3 % against the delta, or implied volatility +50 % against a short vega.
CATASTROPHE: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"delta": 0.02}, {"price": 485.01}, False),
    ({"delta": 0.02}, {"price": 485.0}, True),  # exactly −3 %
    ({"delta": 0.02}, {"price": 484.99}, True),
    ({"delta": 0.02}, {"price": 515.0}, False),  # with the delta
    ({"delta": -0.02}, {"price": 514.99}, False),
    ({"delta": -0.02}, {"price": 515.0}, True),
    ({"delta": -0.02}, {"price": 515.01}, True),
    ({"delta": -0.02}, {"price": 485.0}, False),
    ({"delta": 0.0}, {"price": 400.0}, False),
    ({"vega_per_vol_point": -0.3}, {"iv30": 0.2999}, False),
    ({"vega_per_vol_point": -0.3}, {"iv30": 0.30}, True),
    ({"vega_per_vol_point": -0.3}, {"iv30": 0.3001}, True),
    ({"vega_per_vol_point": 0.3}, {"iv30": 0.40}, False),
    ({"vega_per_vol_point": 0.0}, {"iv30": 0.40}, False),
    # One branch fires while the other has no data, or is calm.
    ({"delta": 0.02}, {"price": 480.0, "iv30_then": None}, True),
    ({"delta": 0.02}, {"price_then": None, "iv30": 0.40}, True),
    ({"delta": None, "vega_per_vol_point": -0.3}, {"iv30": 0.40}, True),
    ({"delta": 0.02}, {"price": 480.0, "iv30": 0.21}, True),
    ({"delta": 0.02}, {"price": 501.0, "iv30": 0.40}, True),
]


@pytest.mark.parametrize(("position", "now", "expected"), CATASTROPHE)
def test_catastrophe(position: dict[str, Any], now: dict[str, Any], expected: bool) -> None:
    for kind in (valued, vertical, debit):
        held = kind() | {"vega_per_vol_point": -0.1} | position
        assert fires("catastrophe", held, now) is expected


@pytest.mark.parametrize(
    ("position", "now"),
    [
        ({}, {"fresh": False}),
        ({}, {"fresh": None}),
        ({}, {"underlying": "QQQ"}),
        ({"data_status": "stale"}, {}),
        ({}, {"price_then": None, "iv30_then": None}),
        ({}, {"price": float("nan"), "iv30": None}),
    ],
)
def test_what_cannot_be_judged_is_held_with_a_critical_alert(
    position: dict[str, Any], now: dict[str, Any]
) -> None:
    row = evaluation("catastrophe", valued(**position), {"price": 400.0} | now)
    assert (row["evaluable"], row["fired"]) == (False, False)
    assert "CRITICAL" in row["detail"]


def test_evaluations_have_a_row_for_each_position_and_rule_and_the_tables_columns() -> None:
    strategies = valued_frame(valued(), vertical(position_id="b"), debit(position_id="c"))
    rows = evaluate_exits(strategies, pl.DataFrame([CALM], schema=MARKET_COLUMNS), parameters(), AS_OF)
    assert rows.height == 3 * len(EXIT_RULES)
    expected = {k: v for k, v in EVALUATIONS.schema.items() if k not in {"run_id", "code_version"}}
    assert dict(rows.schema) == expected
    none = evaluate_exits(valued_frame(), pl.DataFrame(schema=MARKET_COLUMNS), parameters(), AS_OF)
    assert dict(none.schema) == expected


def underlying_row(minutes_ago: int, price: float, **changes: Any) -> dict[str, Any]:
    at = AS_OF - timedelta(minutes=minutes_ago)
    return {
        "session": SESSION,
        "as_of": at,
        "symbol": "SPY",
        "price": price,
        "previous_close": 490.0,
        "quoted_at": at,
        "market_data_type": 1,
        **changes,
    }


def statistics_row(minutes_ago: int, iv30: float | None) -> dict[str, Any]:
    return {"as_of": AS_OF - timedelta(minutes=minutes_ago), "underlying": "SPY", "iv30": iv30}


def made(prices: list[dict[str, Any]], volatilities: list[dict[str, Any]]) -> dict[str, Any]:
    frame = market(
        pl.DataFrame(prices, schema=UNDERLYINGS.schema),
        pl.DataFrame(volatilities, schema=OPTION_STATISTICS.schema),
        AS_OF,
        parameters(),
    )
    assert dict(frame.schema) == dict(MARKET_COLUMNS)
    return frame.row(0, named=True)


def test_the_market_compares_with_the_last_value_at_least_an_hour_old() -> None:
    prices = [underlying_row(m, p) for m, p in [(90, 501.0), (60, 502.0), (55, 503.0), (0, 504.0)]]
    row = made(prices, [statistics_row(m, v) for m, v in [(65, 0.19), (60, None), (55, 0.21), (0, 0.22)]])
    assert row == {
        "underlying": "SPY",
        "price": 504.0,
        "price_then": 502.0,
        "iv30": 0.22,
        "iv30_then": 0.19,  # the value at −60 is not known
        "fresh": True,
    }


def test_early_in_a_session_the_market_compares_with_the_previous_close() -> None:
    yesterday = underlying_row(1_000, 480.0, session=SESSION - timedelta(days=1))
    row = made(
        [yesterday, underlying_row(5, 500.0), underlying_row(0, 501.0)],
        [statistics_row(1_000, 0.25), statistics_row(0, 0.22)],
    )
    assert (row["price_then"], row["iv30_then"]) == (490.0, 0.25)


@pytest.mark.parametrize(
    "changes",
    [
        {"quoted_at": AS_OF - timedelta(seconds=61)},
        {"quoted_at": None},
        {"market_data_type": 3},
        {"market_data_type": None},
        {"price": None},
        {"price": float("nan")},
    ],
)
def test_an_old_delayed_or_absent_price_is_not_fresh(changes: dict[str, Any]) -> None:
    assert made([underlying_row(0, 501.0) | changes], [])["fresh"] is False


def test_the_price_of_an_index_without_options_needs_no_volatility() -> None:
    row = made([underlying_row(0, 501.0)], [])
    assert (row["iv30"], row["iv30_then"], row["price_then"]) == (None, None, 490.0)
