"""How an order may move through its life. A resend is not among the moves: nothing leads back to SENDING.

INTENT → SENDING → ACKED → WORKING → PARTIAL → FILLED
  |         |        |        └→ CANCEL_SENT → CANCELLED (a late fill may still move it)
  |         |        └→ REJECTED
  |         └→ UNKNOWN → what the broker says | PROVEN_ABSENT | NEEDS_HUMAN → what a person says
  └→ ABANDONED (never reached SENDING: safe)

A state that the broker reports may be reported again, which moves nothing. Fills are recorded in
every state; this table only says how the state follows.
"""

from trading_pipelines.domain.errors import IllegalTransition
from trading_pipelines.domain.orders import OrderState

_S = OrderState

TERMINAL: frozenset[OrderState] = frozenset(
    {_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.PROVEN_ABSENT, _S.ABANDONED}
)
"""The order does not work any more."""

UNRESOLVED: frozenset[OrderState] = frozenset(
    {_S.SENDING, _S.ACKED, _S.WORKING, _S.PARTIAL, _S.CANCEL_SENT, _S.UNKNOWN, _S.NEEDS_HUMAN}
)
"""The order may still work at the broker; an intent that was never sent does not."""

ALLOWED: dict[OrderState, frozenset[OrderState]] = {
    _S.INTENT: frozenset({_S.SENDING, _S.ABANDONED}),
    _S.SENDING: frozenset(
        {_S.ACKED, _S.WORKING, _S.PARTIAL, _S.FILLED, _S.REJECTED, _S.CANCELLED, _S.UNKNOWN}
    ),
    _S.ACKED: frozenset(
        {_S.ACKED, _S.WORKING, _S.PARTIAL, _S.FILLED, _S.CANCEL_SENT, _S.CANCELLED, _S.REJECTED, _S.UNKNOWN}
    ),
    # IB may reject what it had accepted before (reject after PreSubmitted).
    _S.WORKING: frozenset(
        {_S.WORKING, _S.PARTIAL, _S.FILLED, _S.CANCEL_SENT, _S.CANCELLED, _S.REJECTED, _S.UNKNOWN}
    ),
    _S.PARTIAL: frozenset({_S.PARTIAL, _S.FILLED, _S.CANCEL_SENT, _S.CANCELLED, _S.UNKNOWN}),
    # A working report that was overtaken by our cancel does not take the cancel back.
    _S.CANCEL_SENT: frozenset({_S.CANCEL_SENT, _S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.UNKNOWN}),
    _S.FILLED: frozenset({_S.FILLED}),
    _S.CANCELLED: frozenset({_S.CANCELLED, _S.PARTIAL, _S.FILLED}),
    _S.REJECTED: frozenset({_S.REJECTED}),
    _S.UNKNOWN: frozenset(
        {
            _S.UNKNOWN,
            _S.ACKED,
            _S.WORKING,
            _S.PARTIAL,
            _S.FILLED,
            _S.CANCELLED,
            _S.REJECTED,
            _S.PROVEN_ABSENT,
            _S.NEEDS_HUMAN,
        }
    ),
    _S.PROVEN_ABSENT: frozenset(),
    _S.NEEDS_HUMAN: TERMINAL,
    _S.ABANDONED: frozenset(),
}
"""From each state, where an order may go."""


def check(current: OrderState, to: OrderState) -> None:
    """Passes when an order may move from `current` to `to`; IllegalTransition names both otherwise."""
    if to not in ALLOWED[current]:
        allowed = ", ".join(sorted(state.value for state in ALLOWED[current])) or "nowhere, it is final"
        raise IllegalTransition(
            f"an order cannot move from {current.value} to {to.value}",
            f"from {current.value} it may move to: {allowed}",
        )


def advance(current: OrderState, to: OrderState) -> OrderState:
    """`to`, when the move is allowed; IllegalTransition otherwise."""
    check(current, to)
    return to
