"""Identities and orders. Prices are added up by hand from the builders' quotes."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.execution.combos import (
    closing_legs,
    decision_id,
    frame,
    intents,
    order_ref,
    position_id,
    read,
)
from trading_pipelines.core.strategies.selection import select
from trading_pipelines.domain.decisions import Candidate, Plan
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.domain.orders import Action, OrderIntent
from trading_pipelines.domain.tables import INTENTS
from trading_pipelines_tests.builders import (
    ACCOUNT,
    AS_OF,
    CONDOR_LEGS,
    ENTRY,
    SESSION,
    bull_put,
    chain,
    condor,
    opening_intent,
    option_rows,
    parameters,
)

P = parameters()


def candidate() -> Candidate:
    found = select(chain(), "iron_condor", SESSION, P)
    assert isinstance(found, Candidate)
    return found


def decision(plan: Plan | None, **changes: Any) -> dict[str, Any]:
    return {
        "session": SESSION,
        "as_of": AS_OF,
        "decision_id": "d" * 32,
        "subject": "condor-1",
        "underlying": "SPY",
        "strategy": "iron_condor",
        "action": "close",
        "rule": "take_profit",
        "units": 2,
        "plan": plan.model_dump_json() if plan else None,
        **changes,
    }


def orders(*rows: dict[str, Any], **overrides: Any) -> tuple[OrderIntent, ...]:
    positions = {position.position_id: position for position in (condor(), bull_put())}
    return intents(pl.DataFrame(list(rows)), positions, option_rows(), ACCOUNT, parameters(**overrides))


CLOSE = Plan(closes=closing_legs(CONDOR_LEGS), opens=None, entry=None, rolls=0)


def opening() -> Plan:
    return Plan(closes=(), opens=candidate(), entry=ENTRY, rolls=0)


def test_a_decision_is_identified_by_account_session_tick_subject_and_action() -> None:
    base = (ACCOUNT, SESSION, AS_OF, "entry:SPY", "open")
    others = [
        ("DU7", *base[1:]),
        (base[0], date(2024, 6, 13), *base[2:]),
        (*base[:2], AS_OF + timedelta(minutes=5), *base[3:]),
        (*base[:3], "entry:QQQ", "open"),
        (*base[:4], "close"),
    ]
    ids = {decision_id(*arguments) for arguments in [base, *others]}
    assert len(ids) == 6
    assert decision_id(*base) == decision_id(*base)


def test_the_same_instant_in_another_zone_is_the_same_decision() -> None:
    new_york = AS_OF.astimezone(timezone(timedelta(hours=-4)))
    assert decision_id(ACCOUNT, SESSION, AS_OF, "s", "open") == decision_id(
        ACCOUNT, SESSION, new_york, "s", "open"
    )


def test_identities_do_not_change_between_releases() -> None:
    # printf 'DU1|2024-06-12|2024-06-12T15:00:00+00:00|entry:SPY|open' | sha256sum
    made = decision_id("DU1", date(2024, 6, 12), datetime(2024, 6, 12, 15, tzinfo=UTC), "entry:SPY", "open")
    assert made == "9bc1dd471b5dfd12bec3e399f11f0f9f"
    # printf 'DU1|d|1' | sha256sum | xxd -r -p | base32, the first 20 characters in lower case.
    assert order_ref("DU1", "d", 1) == "tp1-nhivv7c5jlteibjiivpl"


@given(st.text(), st.text(), st.integers(1, 99))
def test_an_order_ref_fits_the_wire(account: str, decision: str, attempt: int) -> None:
    ref = order_ref(account, decision, attempt)
    assert re.fullmatch(r"tp1-[a-z2-7]{20}", ref)
    assert ref == order_ref(account, decision, attempt)
    assert ref != order_ref(account, decision, attempt + 1)


def test_holding_asks_for_no_order() -> None:
    assert orders(decision(None, action="hold"), decision(None, action="no_entry")) == ()


def test_closing_buys_back_what_is_held() -> None:
    (order,) = orders(decision(CLOSE))
    # Mids: 2.30 − 1.10 + 2.20 − 0.70 = 2.70, far side 2.78: 2.70 + 35 % of 0.08 = 2.728, rounded down.
    assert order.limit_price == pytest.approx(2.72)
    assert [leg.side for leg in order.legs] == [leg.side.opposite for leg in CONDOR_LEGS]
    assert (order.action, order.units, order.opens, order.after) == (Action.CLOSE, 2, None, None)
    assert (order.position_id, order.max_loss_usd) == ("condor-1", 0.0)


@pytest.mark.parametrize(
    ("rule", "expiry_exit_dte", "price"),
    [
        ("take_profit", 1, 2.72),
        ("catastrophe", 1, 2.78),
        ("stop_loss", 1, 2.78),
        ("time_exit", 1, 2.72),  # at 21 days: not urgent
        ("time_exit", 37, 2.78),  # at its last days
        ("time_exit", 36, 2.72),
    ],
)
def test_urgent_rules_and_expiries_pay_the_far_side(rule: str, expiry_exit_dte: int, price: float) -> None:
    (order,) = orders(decision(CLOSE, rule=rule), exits__expiry_exit_dte=expiry_exit_dte)
    assert order.limit_price == pytest.approx(price)


def test_reducing_closes_fewer_units() -> None:
    (order,) = orders(decision(CLOSE, action="reduce", units=1))
    assert (order.action, order.units, order.opens) == (Action.REDUCE, 1, None)


def test_opening_carries_the_terms_at_its_own_limit() -> None:
    (order,) = orders(decision(opening(), action="open", subject="entry:SPY", rule="regime", units=1))
    # −2.70 + 35 % of 0.08 = −2.672, rounded down to a credit of 2.68; 10 − 2.68 = 7.32 at risk.
    assert order.limit_price == pytest.approx(-2.68)
    assert order.opens is not None
    assert order.opens.max_profit == pytest.approx(2.68)
    assert order.opens.max_loss == pytest.approx(7.32)
    assert order.max_loss_usd == pytest.approx(732.0)
    assert order.opens.entry == ENTRY
    assert order.position_id == position_id("d" * 32)


def test_a_roll_closes_first_and_opens_after_it_with_one_roll_more() -> None:
    plan = Plan(closes=CLOSE.closes, opens=candidate(), entry=ENTRY, rolls=1)
    close, opened = orders(decision(plan, action="roll", rule="dte_roll"))
    assert (close.action, opened.action) == (Action.CLOSE, Action.OPEN)
    assert opened.after == close.order_ref
    assert close.order_ref != opened.order_ref
    assert close.decision_id == opened.decision_id
    assert opened.opens is not None
    assert (opened.opens.rolls, opened.units, close.opens) == (1, 2, None)
    for order in (close, opened):
        assert order.order_ref == order_ref(order.account, order.decision_id, order.attempt)


def test_other_quotes_keep_the_reference_and_change_the_payload() -> None:
    row = decision(CLOSE)
    moved = option_rows(chain().with_columns(pl.col("bid") + 0.1, pl.col("ask") + 0.2))
    (first,) = orders(row)
    (again,) = intents(pl.DataFrame([row]), {"condor-1": condor()}, moved, ACCOUNT, P)
    assert first.order_ref == again.order_ref
    # Each leg's mid rises alike: bought and sold cancel; the market widens, and so does the limit.
    assert first.limit_price != again.limit_price
    assert first.payload_hash != again.payload_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"units": 3},
        {"limit_price": -2.66},
        {"account": "DU7"},
        {"order_ref": "tp1-other"},
        {"legs": CONDOR_LEGS[:2]},
        {"legs": closing_legs(CONDOR_LEGS)},
    ],
)
def test_the_payload_hash_changes_with_all_that_the_broker_is_sent(changes: dict[str, Any]) -> None:
    assert opening_intent().payload_hash == opening_intent().payload_hash
    assert opening_intent(**changes).payload_hash != opening_intent().payload_hash


def test_what_is_not_of_one_tick_is_refused() -> None:
    with pytest.raises(MissingData, match="two-sided"):
        intents(
            pl.DataFrame([decision(CLOSE)]),
            {"condor-1": condor()},
            option_rows().with_columns(bid=pl.lit(None, dtype=pl.Float64)),
            ACCOUNT,
            P,
        )
    with pytest.raises(MissingData, match="not held"):
        orders(decision(CLOSE, subject="gone"))
    with pytest.raises(MissingData, match="not held as it was planned"):
        orders(decision(CLOSE, subject="bull-put-1"))


def test_a_frame_of_intents_has_the_tables_columns_and_the_whole_model() -> None:
    rows = frame((opening_intent(),))
    assert rows.columns == [name for name in INTENTS.schema if name not in {"run_id", "code_version"}]
    assert OrderIntent.model_validate_json(rows.item(0, "intent")) == opening_intent()
    assert rows.item(0, "max_loss_usd") == pytest.approx(733.0)
    assert frame(()).schema == rows.schema


@pytest.mark.parametrize(("closing", "opening"), [("tp1-a", "tp1-b"), ("tp1-b", "tp1-a")])
def test_a_sequel_is_read_after_what_it_waits_for_however_the_lake_sorts(closing: str, opening: str) -> None:
    first = opening_intent(order_ref=closing)
    second = opening_intent(order_ref=opening, after=closing)
    stored = frame((second, first)).sort("order_ref")
    assert [order.order_ref for order in read(stored)] == [closing, opening]
