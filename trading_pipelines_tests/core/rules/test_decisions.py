"""Priority, and what a winner comes to. Prices are those of the builders' chain (condor 2.70 at mid)."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.execution.combos import closing_legs, decision_id
from trading_pipelines.core.portfolio.valuation import value
from trading_pipelines.core.rules.catastrophe import MARKET_COLUMNS
from trading_pipelines.core.rules.decisions import decide
from trading_pipelines.core.rules.engine import EXIT_RULES, distances, evaluate_exits, propose, winners
from trading_pipelines.core.strategies.selection import select
from trading_pipelines.domain.decisions import Candidate, NoCandidate, Plan
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.domain.positions import StrategyPosition
from trading_pipelines.domain.tables import DECISIONS, EVALUATIONS, MARKET_REGIME
from trading_pipelines_tests.builders import (
    ACCOUNT,
    AS_OF,
    CONDOR_LEGS,
    EXPIRY,
    SESSION,
    bull_call,
    bull_put,
    chain,
    condor,
    greek_rows,
    option_rows,
    parameters,
    valued,
    valued_frame,
)

P = parameters()
MARKET = pl.DataFrame(
    [
        {
            "underlying": "SPY",
            "price": 500.0,
            "price_then": 500.0,
            "iv30": 0.2,
            "iv30_then": 0.2,
            "fresh": True,
        }
    ],
    schema=MARKET_COLUMNS,
)
REGIME = pl.DataFrame(
    [{"underlying": "SPY", "outlook": "neutral", "iv_rank": 50.0, "vix": 18.0}], schema=MARKET_REGIME.schema
)
PLAIN = {k: v for k, v in EVALUATIONS.schema.items() if k not in {"run_id", "code_version"}}
LATER = EXPIRY.replace(month=8, day=2)


def held(position: StrategyPosition, **changes: Any) -> pl.DataFrame:
    """The position valued on the chain, with columns replaced."""
    rows = value([position], option_rows(), greek_rows(), SESSION, AS_OF, P.quality)
    return rows.with_columns(**{name: pl.lit(new, dtype=rows.schema[name]) for name, new in changes.items()})


def decided(
    strategies: pl.DataFrame,
    proposals: dict[str, Candidate | NoCandidate] | None = None,
    entries: pl.DataFrame | None = None,
    net_liquidation: float | None = 100_000.0,
) -> list[dict[str, Any]]:
    evaluations = evaluate_exits(strategies, MARKET, P, AS_OF)
    if entries is not None:
        evaluations = pl.concat([evaluations, entries])
    rows = decide(
        evaluations, strategies, proposals or {}, REGIME, MARKET, net_liquidation, P, SESSION, AS_OF
    )
    expected = [
        name for name in DECISIONS.schema if name not in {"inputs", "config_hash", "run_id", "code_version"}
    ]
    assert rows.columns == expected
    return rows.rows(named=True)


def entry(rule: str = "regime", action: str = "open", strategy: str = "iron_condor") -> pl.DataFrame:
    row = {
        "session": SESSION,
        "as_of": AS_OF,
        "subject": "entry:SPY",
        "underlying": "SPY",
        "strategy": strategy,
        "rule_number": 200,
        "rule": rule,
        "evaluable": True,
        "fired": True,
        "value": 50.0,
        "threshold": 30.0,
        "action": action,
        "detail": "because",
    }
    return pl.DataFrame([row], schema=PLAIN)


def candidate(strategy: str = "iron_condor", **changes: Any) -> Candidate:
    found = select(chain(), strategy, SESSION, P)
    assert isinstance(found, Candidate)
    return found.model_copy(update=changes)


def test_nothing_fired_holds_and_names_the_nearest_rule() -> None:
    # Captured 10 of 50 % is 80 % away, 37 days against 21 are 76 % away, no loss yet.
    (row,) = decided(held(condor()))
    assert (row["action"], row["rule"], row["units"], row["plan"]) == ("hold", "none", 0, None)
    assert "nearest is dte_roll" in row["reason"]


def test_a_winner_closes_the_whole_position_with_opposite_legs() -> None:
    (row,) = decided(held(condor(entry_price=-6.0)))
    # Sold for 6.00, now 2.70: 55 %.
    assert (row["action"], row["rule"], row["units"]) == ("close", "take_profit", 2)
    assert Plan.model_validate_json(row["plan"]).closes == closing_legs(CONDOR_LEGS)
    assert "captured 55.0 %" in row["reason"]
    assert row["decision_id"] == decision_id(ACCOUNT, SESSION, AS_OF, "condor-1", "close")


def test_the_lowest_number_wins() -> None:
    # A loss of 7 points at one day to expiry: stop loss before time exit before the roll.
    (row,) = decided(held(condor(), mark=-10.0, dte=1))
    assert (row["action"], row["rule"]) == ("close", "stop_loss")


NUMBERED = [(rule.number, rule.name, rule.action.value) for rule in EXIT_RULES]


@given(st.dictionaries(st.sampled_from(NUMBERED), st.booleans(), min_size=1), st.randoms())
def test_whatever_fires_in_whatever_order_the_lowest_number_wins(
    fired: dict[tuple[int, str, str], bool], random: Any
) -> None:
    rows = [
        {
            "subject": "p",
            "rule_number": number,
            "rule": name,
            "action": action,
            "evaluable": True,
            "fired": value,
        }
        for (number, name, action), value in fired.items()
    ]
    random.shuffle(rows)
    won = winners(pl.DataFrame(rows, schema=PLAIN))
    expected = min((number for (number, _, _), value in fired.items() if value), default=None)
    assert won.get_column("rule_number").to_list() == ([] if expected is None else [expected])


@pytest.mark.parametrize("status", ["stale", "missing"])
def test_a_time_exit_without_fresh_quotes_holds_and_says_why(status: str) -> None:
    (row,) = decided(held(condor(), dte=1, data_status=status))
    assert (row["action"], row["rule"], row["units"], row["plan"]) == ("hold", "time_exit", 0, None)
    assert status in row["reason"]


@pytest.mark.parametrize("status", ["opening", "closing"])
def test_a_position_with_an_order_at_work_is_left_alone(status: str) -> None:
    (row,) = decided(held(condor(entry_price=-6.0), status=status))
    assert (row["action"], row["rule"]) == ("hold", "take_profit")
    assert status in row["reason"]


def test_a_roll_for_a_net_credit_closes_and_opens() -> None:
    # Closing costs 2.70 + 35 % of 0.08 = 2.728; the new one brings 3.50 at mid, 3.50 − 0.028 = 3.472.
    into = candidate(price=-3.50, natural=-3.42, expiry=LATER)
    (row,) = decided(held(condor(), dte=21), {"condor-1": into})
    assert (row["action"], row["rule"], row["units"]) == ("roll", "dte_roll", 2)
    plan = Plan.model_validate_json(row["plan"])
    assert (plan.opens, plan.rolls) == (into, 1)
    assert plan.entry is not None
    assert (plan.entry.iv30, plan.entry.iv_rank, plan.entry.vix) == (0.2, 50.0, 18.0)
    assert "net credit of 0.74" in row["reason"]


@pytest.mark.parametrize(
    ("price", "action"),
    [
        # Even when the new one brings 2.728 at its limit: its mid is 2.728 + 0.028.
        (-2.757, "roll"),
        (-2.756, "close"),
        (-2.755, "close"),
    ],
)
def test_a_roll_that_is_no_net_credit_at_its_limits_closes(price: float, action: str) -> None:
    into = candidate(price=price, natural=price + 0.08, expiry=LATER)
    (row,) = decided(held(condor(), dte=21), {"condor-1": into})
    assert (row["action"], row["rule"]) == (action, "dte_roll")


def test_with_nothing_to_roll_into_the_position_is_closed() -> None:
    none = NoCandidate(underlying="SPY", strategy="iron_condor", reason="the chain is empty")
    (row,) = decided(held(condor(), dte=21), {"condor-1": none})
    assert (row["action"], row["units"]) == ("close", 2)
    assert "the chain is empty" in row["reason"]


def test_a_debit_spread_that_would_cost_to_roll_is_closed() -> None:
    (row,) = decided(held(bull_call(), dte=20), {"bull-call-1": candidate("bull_call", expiry=LATER)})
    # Selling at 5.20 − 0.014, buying the same again at 5.20 + 0.014.
    assert row["action"] == "close"
    assert "would cost 0.03" in row["reason"]


def test_an_entry_is_sized_and_planned() -> None:
    (row,) = decided(valued_frame(), {"entry:SPY": candidate()}, entry())
    # One condor may lose 738 dollars at the far side; 1 % of 100,000 buys one.
    assert (row["action"], row["subject"], row["units"], row["strategy"]) == (
        "open",
        "entry:SPY",
        1,
        "iron_condor",
    )
    plan = Plan.model_validate_json(row["plan"])
    assert (plan.closes, plan.rolls, plan.opens) == ((), 0, candidate())


@pytest.mark.parametrize(
    ("proposal", "net_liquidation", "why"),
    [
        (NoCandidate(underlying="SPY", strategy="iron_condor", reason="a hole"), 100_000.0, "a hole"),
        (candidate(), 73_000.0, "sizing.risk_fraction"),
        (candidate(), None, "net liquidation is not known"),
        (candidate(), float("nan"), "net liquidation is not known"),
    ],
)
def test_without_a_candidate_or_a_size_there_is_no_entry(
    proposal: Candidate | NoCandidate, net_liquidation: float | None, why: str
) -> None:
    (row,) = decided(valued_frame(), {"entry:SPY": proposal}, entry(), net_liquidation)
    assert (row["action"], row["units"], row["plan"]) == ("no_entry", 0, None)
    assert why in row["reason"]


def test_a_forbidden_entry_says_what_forbids_it() -> None:
    (row,) = decided(valued_frame(), {}, entry("vix_limit", "no_entry", ""))
    assert (row["action"], row["rule"]) == ("no_entry", "vix_limit")


def test_entries_of_one_tick_share_the_portfolios_budget() -> None:
    # 25 % of 100,000 less 24 × 1,000 at risk leaves 1,000: the first takes 738 of it.
    risky = valued_frame(valued(max_loss=120.0))
    both = pl.concat([entry(), entry().with_columns(subject=pl.lit("entry:QQQ"), underlying=pl.lit("QQQ"))])
    rows = decided(risky, {"entry:SPY": candidate(), "entry:QQQ": candidate()}, both)
    assert sorted((row["subject"], row["action"]) for row in rows if row["subject"].startswith("entry")) == [
        ("entry:QQQ", "open"),
        ("entry:SPY", "no_entry"),
    ]


def test_a_winner_without_its_proposal_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(MissingData, match="no proposal for condor-1"):
        decided(held(condor(), dte=21))


def test_evidence_holds_every_rules_values_and_the_positions() -> None:
    (row,) = decided(held(condor()))
    evidence = json.loads(row["evidence"])
    assert [rule["rule"] for rule in evidence["rules"]] == [rule.name for rule in EXIT_RULES]
    assert evidence["rules"][2]["value"] == pytest.approx(10.0)
    assert evidence["position"]["mark"] == pytest.approx(-2.70)


def test_proposals_are_made_for_winning_rolls_and_entries_only() -> None:
    strategies = pl.concat([held(condor(), dte=21), held(bull_put())])
    evaluations = pl.concat([evaluate_exits(strategies, MARKET, P, AS_OF), entry()])
    later = chain(expiry=LATER)
    found = propose(evaluations, strategies, pl.concat([chain(), later]), SESSION, P)
    assert set(found) == {"condor-1", "entry:SPY"}
    roll, opened = found["condor-1"], found["entry:SPY"]
    assert isinstance(roll, Candidate)
    assert isinstance(opened, Candidate)
    assert (roll.expiry, opened.expiry) == (LATER, EXPIRY)


def test_without_a_chain_proposals_say_so() -> None:
    found = propose(entry(), valued_frame(), chain().clear(), SESSION, P)["entry:SPY"]
    assert isinstance(found, NoCandidate)
    assert (found.underlying, found.reason) == ("SPY", "the chain is empty")


def test_distances_are_in_the_rules_unit_and_in_shares_of_the_threshold() -> None:
    rows = distances(evaluate_exits(held(condor()), MARKET, P, AS_OF))
    by_rule = {row["rule"]: (row["distance"], row["distance_share"]) for row in rows.iter_rows(named=True)}
    assert by_rule["take_profit"] == pytest.approx((40.0, 0.8))
    assert by_rule["dte_roll"] == pytest.approx((16.0, 16 / 21))


def test_many_positions_are_decided_in_one_frame() -> None:
    many = pl.concat([held(condor())] * 50).with_columns(
        position_id=pl.format("p{}", pl.int_range(pl.len())),
        captured_percent=pl.int_range(pl.len()).cast(pl.Float64) + 25,
    )
    rows = decided(many)
    assert sum(row["action"] == "close" for row in rows) == 25
    assert len({row["decision_id"] for row in rows}) == 50


def test_nothing_evaluated_decides_nothing() -> None:
    assert decided(valued_frame()) == []
