"""Candidates from the literal chain of builders.py, worked by hand, and every reason for none.

Mids: puts 460 1.10, 470 2.30, 475 2.75, 485 4.90, 490 6.20, 500 9.90;
calls 500 11.90, 510 6.70, 515 5.00, 525 2.90, 530 2.20, 540 0.70. Each leg is 0.02 from its far side.
"""

from typing import Any

import polars as pl
import pytest

from trading_pipelines.core.strategies.selection import STRATEGIES, select
from trading_pipelines.domain.contracts import Side
from trading_pipelines.domain.decisions import Candidate, NoCandidate
from trading_pipelines.domain.errors import ConfigError, SchemaMismatch
from trading_pipelines_tests.builders import EXPIRY, SESSION, chain, parameters

B, S = Side.BUY, Side.SELL
EXPECTED: dict[str, dict[str, Any]] = {
    # 2.30 − 1.10 + 2.20 − 0.70 = 2.70; four far sides cost 0.08.
    "iron_condor": {
        "legs": [(B, 460), (S, 470), (S, 530), (B, 540)],
        "price": -2.70,
        "natural": -2.62,
        "max_profit": 2.70,
        "max_loss": 7.30,
        "break_evens": (467.30, 532.70),
        "short_delta": 0.16,
        "delta": 0.16 - 0.08 - 0.16 + 0.07,
    },
    # 4.90 − 2.75.
    "bull_put": {
        "legs": [(S, 485), (B, 475)],
        "price": -2.15,
        "natural": -2.11,
        "max_profit": 2.15,
        "max_loss": 7.85,
        "break_evens": (482.85,),
        "short_delta": 0.30,
        "delta": 0.30 - 0.20,
    },
    # 5.00 − 2.90.
    "bear_call": {
        "legs": [(S, 515), (B, 525)],
        "price": -2.10,
        "natural": -2.06,
        "max_profit": 2.10,
        "max_loss": 7.90,
        "break_evens": (517.10,),
        "short_delta": 0.30,
        "delta": -0.30 + 0.20,
    },
    # 11.90 − 6.70.
    "bull_call": {
        "legs": [(B, 500), (S, 510)],
        "price": 5.20,
        "natural": 5.24,
        "max_profit": 4.80,
        "max_loss": 5.20,
        "break_evens": (505.20,),
        "short_delta": 0.37,
        "delta": 0.51 - 0.37,
    },
    # 9.90 − 6.20.
    "bear_put": {
        "legs": [(B, 500), (S, 490)],
        "price": 3.70,
        "natural": 3.74,
        "max_profit": 6.30,
        "max_loss": 3.70,
        "break_evens": (496.30,),
        "short_delta": 0.37,
        "delta": -0.49 + 0.37,
    },
}


def candidate(strategy: str, rows: pl.DataFrame | None = None, **overrides: Any) -> Candidate:
    found = select(chain() if rows is None else rows, strategy, SESSION, parameters(**overrides))
    assert isinstance(found, Candidate), found
    return found


def reason(strategy: str, rows: pl.DataFrame, **overrides: Any) -> str:
    found = select(rows, strategy, SESSION, parameters(**overrides))
    assert isinstance(found, NoCandidate), found
    return found.reason


def test_every_strategy_of_the_table_is_worked_by_hand_here() -> None:
    assert set(STRATEGIES) == set(EXPECTED)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_candidate_has_the_numbers_worked_by_hand(strategy: str) -> None:
    found = candidate(strategy)
    expected = EXPECTED[strategy]
    assert [(leg.side, leg.contract.strike) for leg in found.legs] == expected["legs"]
    for name in ("price", "natural", "max_profit", "max_loss", "short_delta", "delta"):
        assert getattr(found, name) == pytest.approx(expected[name], abs=1e-9), name
    assert found.break_evens == pytest.approx(expected["break_evens"])
    assert (found.expiry, found.dte, found.width, found.multiplier) == (EXPIRY, 37, 10.0, 100.0)


def test_greeks_of_a_unit_add_its_legs_with_their_signs() -> None:
    # Every row has gamma 0.01, vega 0.50, theta −0.15: two bought and two sold legs cancel.
    found = candidate("iron_condor")
    assert (found.gamma, found.vega_per_vol_point, found.theta_per_day) == (0.0, 0.0, 0.0)


def test_the_multiplier_enters_the_loss_in_dollars_once() -> None:
    # 7.30 a share at mid are 730 dollars; sold 0.08 lower 738.
    found = candidate("iron_condor")
    assert found.max_loss_usd(found.price) == pytest.approx(730.0)
    assert found.max_loss_usd(found.natural) == pytest.approx(738.0)


@pytest.mark.parametrize(
    ("strategy", "share", "fits"),
    [
        ("iron_condor", 0.26, True),
        ("iron_condor", 0.27, True),  # 2.70 of 10
        ("iron_condor", 0.28, False),
        ("bull_put", 0.215, True),
        ("bull_put", 0.22, False),
    ],
)
def test_a_credit_below_its_share_of_the_width_is_refused(strategy: str, share: float, fits: bool) -> None:
    name = "condor" if strategy == "iron_condor" else "vertical"
    found = select(chain(), strategy, SESSION, parameters(**{f"strikes__min_credit_share_{name}": share}))
    assert isinstance(found, Candidate) is fits
    assert fits or "is below" in found.reason  # type: ignore[union-attr]


@pytest.mark.parametrize(("share", "fits"), [(0.53, True), (0.52, True), (0.51, False)])
def test_a_debit_above_its_share_of_the_width_is_refused(share: float, fits: bool) -> None:
    found = select(chain(), "bull_call", SESSION, parameters(strikes__max_debit_share=share))
    assert isinstance(found, Candidate) is fits


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_a_market_may_lack_is_a_reason_and_never_a_guess(strategy: str) -> None:
    whole = chain()
    assert "empty" in reason(strategy, whole.clear())
    assert "30–60 days" in reason(strategy, whole.with_columns(expiry=pl.lit(SESSION)))
    assert "two-sided" in reason(strategy, whole.with_columns(bid=pl.lit(None, dtype=pl.Float64)))
    assert "two-sided" in reason(strategy, whole.with_columns(delta=pl.lit(None, dtype=pl.Float64)))
    assert "of delta" in reason(strategy, whole.with_columns(delta=pl.col("delta").sign()))
    anchors = [485.0, 515.0] if strategy in {"bull_put", "bear_call"} else [500.0]
    anchors = [470.0, 530.0] if strategy == "iron_condor" else anchors
    assert "points beyond" in reason(strategy, whole.filter(pl.col("strike").is_in(anchors)))


def test_an_illiquid_strike_is_passed_over_for_a_liquid_neighbour() -> None:
    wide = pl.when(pl.col("strike") == 485).then(pl.col("ask") + 1).otherwise(pl.col("ask"))
    found = candidate("bull_put", chain().with_columns(ask=wide), strikes__min_credit_share_vertical=0.1)
    # 0.25 is nearer to 0.30 than 0.37 is; ten points below stands 470.
    assert [leg.contract.strike for leg in found.legs] == [480, 470]


def test_quotes_that_promise_a_profit_without_risk_are_refused() -> None:
    rich = pl.when(pl.col("strike") == 485).then(14.0).otherwise(pl.col("mid"))
    frame = chain().with_columns(mid=rich).with_columns(bid=pl.col("mid") - 0.02, ask=pl.col("mid") + 0.02)
    assert "do not agree" in reason("bull_put", frame)


def test_contracts_of_another_trading_class_stay_out() -> None:
    twin = chain(trading_class="2SPY", con_id=7).filter(pl.col("strike") == 470)
    found = candidate("iron_condor", pl.concat([twin, chain()]))
    assert {leg.contract.trading_class for leg in found.legs} == {"SPY"}


def test_a_roll_looks_after_the_held_expiry() -> None:
    later = chain(expiry=EXPIRY.replace(month=8, day=2))
    found = select(pl.concat([chain(), later]), "bull_put", SESSION, parameters(), after=EXPIRY)
    assert isinstance(found, Candidate)
    assert found.dte == 51
    none = select(chain(), "bull_put", SESSION, parameters(), after=EXPIRY)
    assert isinstance(none, NoCandidate)
    assert "after 2024-07-19" in none.reason


def test_an_unknown_strategy_and_a_chain_of_two_underlyings_are_errors() -> None:
    with pytest.raises(ConfigError, match="butterfly"):
        select(chain(), "butterfly", SESSION, parameters())
    with pytest.raises(SchemaMismatch, match="2 underlyings"):
        select(pl.concat([chain(), chain(underlying="QQQ")]), "bull_put", SESSION, parameters())
