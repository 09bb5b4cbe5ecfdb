"""Verdicts: each limit at, just below and just above, and no way around one.

The opening condor: limit −2.67, so 10 − 2.67 = 7.33 a share or 733 dollars a unit are at risk; its legs'
mid is −2.70. The closing one buys back two units at 2.72. Net liquidation is 100,000 dollars.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_pipelines.core.risk.facts import UnresolvedOrder
from trading_pipelines.core.risk.limits import CHECKS, frame, verdict
from trading_pipelines.domain.contracts import Right, Side
from trading_pipelines.domain.orders import CheckResult, OpeningTerms, OrderIntent, OrderState
from trading_pipelines.domain.tables import VERDICTS
from trading_pipelines_tests.builders import (
    AS_OF,
    CONDOR_LEGS,
    ENTRY,
    SESSION,
    bull_put,
    closing_intent,
    condor,
    leg,
    leg_quotes,
    opening_intent,
    parameters,
    risk_facts,
)

P = parameters()
NAN, INF = float("nan"), float("inf")


def unresolved(**changes: Any) -> UnresolvedOrder:
    values: dict[str, Any] = {
        "order_ref": "tp1-other",
        "position_id": "elsewhere",
        "underlying": "QQQ",
        "state": OrderState.WORKING,
        **changes,
    }
    return UnresolvedOrder(**values)


def at(hour: int, minute: int, second: int = 0) -> datetime:
    return datetime(2024, 6, 12, hour, minute, second, tzinfo=UTC)


def check(name: str, intent: OrderIntent, now: datetime = AS_OF, **facts: Any) -> CheckResult:
    found = {result.name: result for result in verdict(intent, risk_facts(**facts), P, now).checks}
    return found[name]


def failed(intent: OrderIntent, now: datetime = AS_OF, **facts: Any) -> list[str]:
    judged = verdict(intent, risk_facts(**facts), P, now)
    names = [result.name for result in judged.checks if not result.passed]
    assert judged.approved is not bool(names)
    return names


def test_a_sound_opening_and_a_sound_closing_order_pass_every_check() -> None:
    assert failed(opening_intent()) == []
    assert failed(closing_intent()) == []


def test_a_verdict_is_of_one_payload_and_for_a_minute() -> None:
    judged = verdict(opening_intent(), risk_facts(), P, AS_OF)
    assert judged.payload_hash == opening_intent().payload_hash
    assert judged.valid_until - judged.checked_at == timedelta(seconds=60)
    assert len({result.name for result in judged.checks}) == len(CHECKS)


# Each row: intent's changes, facts' changes, the one check that must fail.
OPENING_BREACHES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"account": "DU7"}, {}, "account"),
    ({"account": "DU7"}, {"account": "DU7"}, "account"),  # connected, but not in the allow-list
    ({}, {"mode": "live"}, "account"),
    ({}, {"mode": "backtest"}, "account"),
    ({}, {"halted": "by hand"}, "halted"),
    ({"session": SESSION - timedelta(days=1)}, {}, "session_open"),
    ({}, {"quotes": leg_quotes(bid=0.0, ask=0.0)}, "quotes_two_sided"),
    ({}, {"quotes": leg_quotes()[:3]}, "quotes_two_sided"),
    ({}, {"quotes": ()}, "quotes_two_sided"),
    ({}, {"quotes": leg_quotes(quoted_at=None)}, "quotes_fresh"),
    ({}, {"quotes": leg_quotes(quoted_at=AS_OF - timedelta(seconds=61))}, "quotes_fresh"),
    ({}, {"quotes": leg_quotes(quoted_at=AS_OF + timedelta(seconds=1))}, "quotes_fresh"),
    ({}, {"quotes": leg_quotes(market_data_type=3)}, "quotes_live"),
    ({}, {"quotes": leg_quotes(market_data_type=None)}, "quotes_live"),
    ({"limit_price": -2.84}, {}, "price_collar"),
    ({"limit_price": -2.56}, {}, "price_collar"),
    ({}, {"known_refs": frozenset({"tp1-opening"})}, "duplicate"),
    ({}, {"unresolved": (unresolved(position_id="condor-new"),)}, "duplicate"),
    ({}, {"unresolved": (unresolved(state=OrderState.UNKNOWN),)}, "unknown_orders"),
    ({}, {"unresolved": (unresolved(state=OrderState.SENDING),)}, "unknown_orders"),
    ({}, {"unresolved": (unresolved(state=OrderState.NEEDS_HUMAN, underlying="SPY"),)}, "unknown_orders"),
    ({}, {"differences": (42,)}, "reconciliation"),
    ({}, {"unresolved": (unresolved(underlying="SPY"),)}, "symbol_free"),
    ({"units": 11}, {"net_liquidation": 1e7}, "order_size"),
    ({}, {"net_liquidation": 36_649.0, "open_max_loss_usd": 0.0}, "position_loss"),  # 2 % of it is 732.98
    ({}, {"open_max_loss_usd": 24_267.01}, "portfolio_loss"),  # 25,000 less 733
    ({}, {"open_max_loss_usd": None}, "portfolio_loss"),
    ({}, {"open_max_loss_usd": NAN}, "portfolio_loss"),
    ({}, {"daily_pnl_usd": -3_000.0}, "daily_loss"),
    ({}, {"daily_pnl_usd": None}, "daily_loss"),
    ({}, {"daily_pnl_usd": NAN}, "daily_loss"),
    ({}, {"margin_change": None}, "buying_power"),
    ({}, {"margin_change": NAN}, "buying_power"),
    ({}, {"margin_change": INF}, "buying_power"),
    ({}, {"margin_change": 50_000.01}, "buying_power"),  # 60,000 less it must leave 10,000
    ({}, {"free_funds": None}, "buying_power"),
    ({}, {"orders_last_minute": 4}, "rate_minute"),
    ({}, {"orders_today": 40}, "rate_day"),
]


@pytest.mark.parametrize(("intent", "facts", "name"), OPENING_BREACHES)
def test_a_breach_fails_its_own_check_and_the_verdict(
    intent: dict[str, Any], facts: dict[str, Any], name: str
) -> None:
    assert name in failed(opening_intent(**intent), **facts)


AT_THE_LIMIT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"quotes": leg_quotes(quoted_at=AS_OF - timedelta(seconds=60))}),
    ({"limit_price": -2.835}, {}),  # 5 % of 2.70 is 0.135
    (
        {
            "limit_price": -2.565,
            "opens": OpeningTerms(max_profit=2.565, max_loss=7.435, entry=ENTRY, rolls=0),
        },
        {},
    ),
    ({}, {"net_liquidation": 36_650.0, "open_max_loss_usd": 0.0, "free_funds": 5_000.0}),
    ({}, {"open_max_loss_usd": 24_267.0}),
    ({}, {"daily_pnl_usd": -2_999.99}),
    ({}, {"margin_change": 50_000.0}),
    ({}, {"orders_last_minute": 3}),
    ({}, {"orders_today": 39}),
    ({}, {"unresolved": (unresolved(),)}),  # a working order elsewhere
    ({}, {"unresolved": (unresolved(state=OrderState.NEEDS_HUMAN),)}),  # another symbol is frozen
]


@pytest.mark.parametrize(("intent", "facts"), AT_THE_LIMIT)
def test_what_is_at_its_limit_passes(intent: dict[str, Any], facts: dict[str, Any]) -> None:
    assert failed(opening_intent(**intent), **facts) == []


@pytest.mark.parametrize(
    ("now", "opening", "closing"),
    [
        (at(13, 29, 59), ["session_open", "quiet_window"], ["session_open"]),
        (at(13, 30), ["quiet_window"], []),
        (at(13, 59, 59), ["quiet_window"], []),
        (at(14, 0), [], []),
        (at(19, 29, 59), [], []),
        (at(19, 30), ["quiet_window"], []),
        (at(19, 59, 59), ["quiet_window"], []),
        (at(20, 0), ["session_open", "quiet_window"], ["session_open"]),
    ],
)
def test_entries_keep_out_of_the_quiet_windows_and_all_orders_inside_the_session(
    now: datetime, opening: list[str], closing: list[str]
) -> None:
    quotes = leg_quotes(quoted_at=now)
    assert failed(opening_intent(), now, quotes=quotes) == opening
    assert failed(closing_intent(), now, quotes=quotes) == closing


CLOSING_IS_EXEMPT: list[dict[str, Any]] = [
    {"net_liquidation": None},
    {"open_max_loss_usd": 1e9},
    {"daily_pnl_usd": -50_000.0},
    {"margin_change": None, "free_funds": None},
    {"differences": (42,)},
    {"unresolved": (unresolved(underlying="SPY"),)},
]


@pytest.mark.parametrize("facts", CLOSING_IS_EXEMPT)
def test_a_closing_order_passes_the_limits_on_what_is_opened(facts: dict[str, Any]) -> None:
    assert failed(closing_intent(), **facts) == []


CLOSING_BREACHES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"halted": "by hand"}, "halted"),
    ({"account": "DU7"}, {}, "account"),
    ({}, {"quotes": leg_quotes(quoted_at=AS_OF - timedelta(seconds=61))}, "quotes_fresh"),
    ({}, {"quotes": leg_quotes(bid=None)}, "quotes_two_sided"),
    ({"limit_price": 2.90}, {}, "price_collar"),
    ({"limit_price": -2.72}, {}, "price_collar"),  # the sign of a credit
    ({}, {"unresolved": (unresolved(position_id="condor-1"),)}, "duplicate"),
    ({}, {"unresolved": (unresolved(state=OrderState.UNKNOWN),)}, "unknown_orders"),
    ({}, {"differences": (CONDOR_LEGS[0].contract.con_id,)}, "reconciliation"),
    ({"units": 3}, {}, "closes_held"),
    ({"legs": CONDOR_LEGS}, {}, "closes_held"),  # would double the position
    ({}, {"held": None}, "closes_held"),
    ({}, {"held": bull_put()}, "closes_held"),
    ({}, {"held": condor(units=1)}, "closes_held"),
    ({}, {"orders_last_minute": 4}, "rate_minute"),
]


@pytest.mark.parametrize(("intent", "facts", "name"), CLOSING_BREACHES)
def test_a_closing_order_is_still_held_to_what_keeps_it_honest(
    intent: dict[str, Any], facts: dict[str, Any], name: str
) -> None:
    assert name in failed(closing_intent(**intent), **facts)


def test_the_loss_is_counted_from_the_legs_when_the_intent_understates_it() -> None:
    small = OpeningTerms(max_profit=2.67, max_loss=0.01, entry=ENTRY, rolls=0)
    # 733 dollars of 100,000, whatever the intent says.
    assert check("order_risk", opening_intent(opens=small)).value == pytest.approx(0.00733)
    large = OpeningTerms(max_profit=2.67, max_loss=60.0, entry=ENTRY, rolls=0)
    # 60 × 100 × 1, the multiplier once: 6 %.
    assert check("order_risk", opening_intent(opens=large)).value == pytest.approx(0.06)
    assert "order_risk" in failed(opening_intent(opens=large))


def test_a_loss_without_limit_and_one_that_is_not_defined_never_pass() -> None:
    naked = (leg(Right.CALL, 530, Side.SELL),)
    calendar = (CONDOR_LEGS[0], leg(Right.PUT, 470, Side.SELL, expiry=SESSION))
    for legs in (naked, calendar, ()):
        assert {"order_risk", "position_loss", "portfolio_loss"} <= set(failed(opening_intent(legs=legs)))


@pytest.mark.parametrize("broken", [NAN, INF, -INF])
@pytest.mark.parametrize("name", ["limit_price", "multiplier"])
def test_an_intent_with_a_number_that_is_none_never_passes(name: str, broken: float) -> None:
    values = dict(opening_intent()) | {name: broken}
    assert "numbers" in failed(OrderIntent.model_construct(**values))


@pytest.mark.parametrize("broken", [None, NAN, INF, -INF, 0.0, -1.0, 1.797e308])
@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_broken_quote_never_passes(side: str, broken: float | None) -> None:
    quotes = leg_quotes()
    spoilt = (quotes[0].model_copy(update={side: broken}), *quotes[1:])
    if (side, broken) == ("bid", 0.0):
        assert "price_collar" in failed(opening_intent(), quotes=spoilt)
    else:
        assert "quotes_two_sided" in failed(opening_intent(), quotes=spoilt)


@pytest.mark.parametrize("broken", [None, NAN, INF, 0.0, -100_000.0])
def test_without_a_known_net_liquidation_nothing_is_opened(broken: float | None) -> None:
    assert {"order_risk", "position_loss", "portfolio_loss", "daily_loss", "buying_power"} <= set(
        failed(opening_intent(), net_liquidation=broken)
    )


def test_an_approved_order_counts_for_the_next_one_of_the_tick() -> None:
    facts = risk_facts(open_max_loss_usd=24_000.0, orders_last_minute=3)
    assert verdict(opening_intent(), facts, P, AS_OF).approved
    then = facts.after(opening_intent())
    names = [c.name for c in verdict(opening_intent(), then, P, AS_OF).checks if not c.passed]
    assert names == ["duplicate", "portfolio_loss", "rate_minute"]


BROKEN = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))


def usually(lowest: float, highest: float) -> st.SearchStrategy[float | None]:
    """A number that often passes, so that approvals are met as well as refusals."""
    return st.one_of(*[st.floats(lowest, highest)] * 8, BROKEN)


@settings(max_examples=300)
@given(
    closes=st.booleans(),
    units=st.integers(1, 20),
    away=st.floats(-0.2, 0.2),
    total=usually(10_000, 1_000_000),
    at_risk=usually(0, 30_000),
    pnl=usually(-5_000, 1_000),
    free=usually(0, 500_000),
    margin=usually(0, 10_000),
    minute=st.integers(0, 4),
    day=st.integers(0, 41),
    age=st.floats(-5, 65),
    halted=st.sampled_from([None] * 9 + ["stop"]),
)
def test_a_verdict_never_approves_a_breach(
    closes: bool,
    units: int,
    away: float,
    total: float | None,
    at_risk: float | None,
    pnl: float | None,
    free: float | None,
    margin: float | None,
    minute: int,
    day: int,
    age: float,
    halted: str | None,
) -> None:
    mid = 2.70 if closes else -2.70
    limit = mid + away
    terms = OpeningTerms(max_profit=1.0, max_loss=1.0, entry=ENTRY, rolls=0)
    intent = (
        closing_intent(units=units, limit_price=limit)
        if closes
        else opening_intent(units=units, limit_price=limit, opens=terms)
    )
    facts = risk_facts(
        net_liquidation=total,
        open_max_loss_usd=at_risk,
        daily_pnl_usd=pnl,
        free_funds=free,
        margin_change=margin,
        orders_last_minute=minute,
        orders_today=day,
        halted=halted,
        quotes=leg_quotes(quoted_at=AS_OF - timedelta(seconds=age)),
    )
    if not verdict(intent, facts, P, AS_OF).approved:
        return
    assert halted is None
    assert -1e-6 <= age <= 60 + 1e-6  # a datetime counts microseconds
    assert minute < 4
    assert day < 40
    assert abs(away) <= 0.135 + 1e-6
    if closes:
        assert units <= 2
        return
    assert units <= 10
    loss = (10 + limit) * 100 * units
    assert total is not None
    assert at_risk is not None
    assert pnl is not None
    assert free is not None
    assert margin is not None
    assert total > 0
    assert loss <= 0.02 * total * (1 + 1e-6)
    assert loss + at_risk <= 0.25 * total * (1 + 1e-6)
    assert pnl > -0.03 * total
    assert free - margin >= 0.10 * total * (1 - 1e-6)


def test_a_frame_of_verdicts_has_a_row_for_every_check() -> None:
    judged = verdict(opening_intent(units=11), risk_facts(), P, AS_OF)
    rows = frame([judged], SESSION, AS_OF)
    assert rows.columns == [name for name in VERDICTS.schema if name not in {"run_id", "code_version"}]
    assert rows.height == len(CHECKS)
    assert not rows.get_column("approved").any()
    assert frame([], SESSION, AS_OF).schema == rows.schema
