"""Units by the tightest limit; every expectation is a division done by hand."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.risk.sizing import units
from trading_pipelines_tests.builders import parameters


@pytest.mark.parametrize(
    ("loss", "total", "at_risk", "overrides", "expected", "bound_by"),
    [
        # 1 % of 100,000 is 1,000: one unit of 733, two of 500, none of 1,001.
        (733.0, 100_000.0, 0.0, {}, 1, "sizing.risk_fraction"),
        (500.0, 100_000.0, 0.0, {}, 2, "sizing.risk_fraction"),
        (1_000.0, 100_000.0, 0.0, {}, 1, "sizing.risk_fraction"),
        (1_001.0, 100_000.0, 0.0, {}, 0, "sizing.risk_fraction"),
        # 1 % of 2,000,000 would be 27 units of 733.
        (733.0, 2_000_000.0, 0.0, {"sizing__max_units": 4}, 4, "sizing.max_units"),
        (733.0, 2_000_000.0, 0.0, {"risk__max_units_per_order": 3}, 3, "risk.max_units_per_order"),
        # With 10 % a position, 2 % of 100,000 is the limit: two units of 733.
        (733.0, 100_000.0, 0.0, {"sizing__risk_fraction": 0.1}, 2, "risk.max_position_loss_share"),
        # 25 % of 100,000 less 24,000 at risk leaves 1,000.
        (600.0, 100_000.0, 24_000.0, {"sizing__risk_fraction": 0.02}, 1, "risk.max_portfolio_loss_share"),
        (600.0, 100_000.0, 30_000.0, {}, 0, "risk.max_portfolio_loss_share"),
    ],
)
def test_units_are_the_least_that_any_limit_allows(
    loss: float, total: float, at_risk: float, overrides: dict[str, Any], expected: int, bound_by: str
) -> None:
    size = units(
        max_loss_usd=loss,
        net_liquidation=total,
        open_max_loss_usd=at_risk,
        parameters=parameters(**overrides),
    )
    assert size == (expected, bound_by)


BROKEN = [None, float("nan"), float("inf"), 0.0, -1.0]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_not_known_gives_no_units(broken: float | None) -> None:
    known: dict[str, Any] = {
        "max_loss_usd": 733.0,
        "net_liquidation": 100_000.0,
        "open_max_loss_usd": 0.0,
        "parameters": parameters(),
    }
    assert units(**known | {"net_liquidation": broken}).units == 0
    if broken is not None:
        assert units(**known | {"max_loss_usd": broken}).units == 0
    if broken is None or not math.isfinite(broken):
        assert units(**known | {"open_max_loss_usd": broken}).units == 0


@given(st.floats(1, 1e5), st.floats(0, 1e7), st.floats(0, 1e6))
def test_no_size_risks_more_than_its_budgets(loss: float, total: float, at_risk: float) -> None:
    size = units(max_loss_usd=loss, net_liquidation=total, open_max_loss_usd=at_risk, parameters=parameters())
    assert 0 <= size.units <= 10
    assert size.units * loss <= 0.01 * total * (1 + 1e-6)
    assert size.units == 0 or size.units * loss + at_risk <= 0.25 * total * (1 + 1e-6)
