"""Books against the broker."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.portfolio.reconciliation import reconcile
from trading_pipelines.domain.contracts import Right, Side
from trading_pipelines.domain.positions import BrokerPosition, PositionStatus, StrategyPosition
from trading_pipelines.domain.tables import RECONCILIATION
from trading_pipelines_tests.builders import (
    AS_OF,
    BULL_PUT_LEGS,
    SESSION,
    broker_position,
    bull_put,
    con_id,
    leg,
    option,
)

SHORT, LONG = con_id(Right.PUT, 485), con_id(Right.PUT, 475)


def kinds(theirs: list[BrokerPosition], ours: list[StrategyPosition]) -> dict[int, tuple[str, float]]:
    rows = reconcile(theirs, ours, SESSION, AS_OF)
    return {row["con_id"]: (row["kind"], row["difference"]) for row in rows.iter_rows(named=True)}


def broker(short: float, long: float) -> list[BrokerPosition]:
    return [
        broker_position(option(Right.PUT, 485), short),
        broker_position(option(Right.PUT, 475), long),
    ]


@pytest.mark.parametrize(
    ("short", "long", "expected"),
    [
        (-1, 1, {SHORT: ("match", 0), LONG: ("match", 0)}),
        (-2, 1, {SHORT: ("quantity", -1), LONG: ("match", 0)}),
        (1, 1, {SHORT: ("quantity", 2), LONG: ("match", 0)}),
        (0, 1, {SHORT: ("missing", 1), LONG: ("match", 0)}),
        (0, 0, {SHORT: ("missing", 1), LONG: ("missing", -1)}),
    ],
)
def test_each_contract_matches_or_says_how_it_differs(
    short: float, long: float, expected: dict[int, tuple[str, float]]
) -> None:
    assert kinds(broker(short, long), [bull_put()]) == expected


def test_no_report_of_a_position_is_a_difference_and_not_flat() -> None:
    assert kinds([], [bull_put()]) == {SHORT: ("missing", 1), LONG: ("missing", -1)}


def test_a_position_we_know_nothing_of_is_external() -> None:
    assert kinds(broker(-1, 1), []) == {SHORT: ("external", -1), LONG: ("external", 1)}


def test_legs_of_several_positions_add_up() -> None:
    # The second position sells what the first has bought: nothing is expected there, nor held.
    other = bull_put(position_id="other", legs=(leg(Right.PUT, 475, Side.SELL),))
    assert kinds([broker_position(option(Right.PUT, 485), -1)], [bull_put(), other]) == {SHORT: ("match", 0)}


def test_closed_positions_expect_nothing_and_units_multiply() -> None:
    assert kinds([], [bull_put(status=PositionStatus.CLOSED)]) == {}
    assert kinds(broker(-3, 3), [bull_put(units=3)]) == {SHORT: ("match", 0), LONG: ("match", 0)}


def test_a_frame_has_the_tables_columns_also_when_nothing_is_held() -> None:
    expected = {k: v for k, v in RECONCILIATION.schema.items() if k not in {"run_id", "code_version"}}
    assert dict(reconcile([], [], SESSION, AS_OF).schema) == expected
    assert dict(reconcile(broker(-1, 1), [bull_put()], SESSION, AS_OF).schema) == expected


STRIKES = st.dictionaries(st.sampled_from([460, 465, 470, 475]), st.integers(-3, 3))


@given(STRIKES, STRIKES)
def test_reconciliation_is_symmetric(ours: dict[int, int], theirs: dict[int, int]) -> None:
    def as_broker(quantities: dict[int, int]) -> list[BrokerPosition]:
        return [broker_position(option(Right.PUT, k), q) for k, q in quantities.items()]

    def as_books(quantities: dict[int, int]) -> list[StrategyPosition]:
        return [
            bull_put(
                position_id=str(k),
                units=abs(q),
                legs=(leg(Right.PUT, k, Side.BUY if q > 0 else Side.SELL),),
            )
            for k, q in quantities.items()
            if q
        ]

    forth = kinds(as_broker(theirs), as_books(ours))
    back = kinds(as_broker(ours), as_books(theirs))
    assert forth.keys() == back.keys()
    mirror = {"match": "match", "quantity": "quantity", "missing": "external", "external": "missing"}
    for contract, (kind, difference) in forth.items():
        assert back[contract] == (mirror[kind], -difference)
    expected = Counter({con_id(Right.PUT, k): q for k, q in theirs.items()})
    expected.subtract({con_id(Right.PUT, k): q for k, q in ours.items()})
    assert {c: d for c, (_, d) in forth.items() if d} == {c: d for c, d in expected.items() if d}


def test_legs_name_their_contracts() -> None:
    rows = reconcile([], [bull_put()], SESSION, AS_OF)
    assert set(rows.get_column("local_symbol")) == {leg.contract.local_symbol for leg in BULL_PUT_LEGS}
