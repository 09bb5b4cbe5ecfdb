"""Rule 120: at roll_dte a position is rolled for a net credit, or closed.

The rule fires by date alone; what the roll would bring is known only when its candidate is, so `decide`
chooses between ROLL and CLOSE. Like the time exit it stays evaluable without quotes, and then holds.
"""

import polars as pl

from trading_pipelines.core.rules.exits import may_roll
from trading_pipelines.core.rules.rule import Condition
from trading_pipelines.domain.decisions import Candidate
from trading_pipelines.domain.parameters import Parameters


def dte_roll(parameters: Parameters) -> Condition:
    """Days to expiry ≤ roll_dte while a roll is allowed."""
    exits = parameters.exits
    return Condition(
        value=pl.col("dte"),
        threshold=pl.lit(exits.roll_dte),
        applies=may_roll(exits),
        detail=pl.format(
            f"{{}} days to expiry, rolled at {exits.roll_dte} ({{}} of {exits.max_rolls} rolls done)",
            "dte",
            "rolls",
        ),
    )


def net_price(candidate: Candidate, *, mark: float, cost_to_close: float, concession: float) -> float:
    """What a roll costs per unit and share at the limits it would be ordered at; a net credit is negative.

    `mark` and `cost_to_close` are the held position's, at mid and at the far side.
    """
    close_at_mid = -mark
    close = close_at_mid + concession * (cost_to_close - close_at_mid)
    return round(close + candidate.price_at(concession), 9)
