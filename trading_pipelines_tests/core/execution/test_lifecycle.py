"""The order state machine, against the diagram of the order protocol."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.execution.lifecycle import ALLOWED, TERMINAL, UNRESOLVED, advance, check
from trading_pipelines.domain.errors import IllegalTransition
from trading_pipelines.domain.orders import OrderState as S

DIAGRAM = [
    [S.INTENT, S.SENDING, S.ACKED, S.WORKING, S.PARTIAL, S.FILLED],
    [S.INTENT, S.ABANDONED],
    [S.SENDING, S.REJECTED],
    [S.ACKED, S.REJECTED],
    [S.WORKING, S.CANCEL_SENT, S.CANCELLED, S.FILLED],
    [S.WORKING, S.REJECTED],
    [S.PARTIAL, S.CANCEL_SENT, S.PARTIAL],
    [S.CANCELLED, S.PARTIAL],
    [S.SENDING, S.UNKNOWN, S.PROVEN_ABSENT],
    [S.UNKNOWN, S.NEEDS_HUMAN, S.FILLED],
    [S.UNKNOWN, S.ACKED],
]


@pytest.mark.parametrize("path", DIAGRAM, ids="→".join)
def test_every_path_of_the_diagram_is_allowed(path: list[S]) -> None:
    for current, to in pairwise(path):
        assert advance(current, to) is to


def test_every_state_has_its_moves_and_is_terminal_unresolved_or_an_intent() -> None:
    assert set(ALLOWED) == set(S)
    assert TERMINAL.isdisjoint(UNRESOLVED)
    assert set(S) - TERMINAL - UNRESOLVED == {S.INTENT}


@given(st.sampled_from(S), st.sampled_from(S))
def test_check_raises_and_names_both_states_unless_the_move_is_in_the_table(current: S, to: S) -> None:
    if to in ALLOWED[current]:
        check(current, to)
    else:
        with pytest.raises(IllegalTransition) as refused:
            check(current, to)
        assert f"from {current.value} to {to.value}" in str(refused.value)


@given(st.lists(st.sampled_from(S), min_size=1, max_size=30))
def test_no_history_sends_twice(attempted: list[S]) -> None:
    state, sent = S.INTENT, 0
    for to in attempted:
        try:
            state = advance(state, to)
        except IllegalTransition:
            continue
        sent += state is S.SENDING
    assert sent <= 1


@pytest.mark.parametrize("state", sorted(TERMINAL - {S.CANCELLED}))
def test_a_final_state_is_left_by_nobody(state: S) -> None:
    assert ALLOWED[state] <= {state}


def test_only_fills_move_a_cancelled_order() -> None:
    assert ALLOWED[S.CANCELLED] - {S.CANCELLED} == {S.PARTIAL, S.FILLED}


@pytest.mark.parametrize("state", sorted(UNRESOLVED))
def test_every_unresolved_state_can_end(state: S) -> None:
    reached, frontier = set[S](), {state}
    while frontier:
        reached |= frontier
        frontier = {to for current in frontier for to in ALLOWED[current]} - reached
    assert reached & TERMINAL
    assert state is S.NEEDS_HUMAN or S.NEEDS_HUMAN in reached
