"""What a rule is, and how a table of rules is evaluated over a frame of subjects, all at once.

A rule gives expressions for what it measures and the limit it compares with; this module compares,
the same way for all of them. What is not a finite number is not evaluable, and what is not evaluable
has not fired: polars counts NaN as larger than everything, and a rule must not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from trading_pipelines.domain.orders import Action
from trading_pipelines.domain.parameters import Parameters
from trading_pipelines.domain.tables import EVALUATIONS

_NOISE = 1e-9
"""A value that equals its threshold but for binary noise is at the threshold."""


class Sense(StrEnum):
    """On which side of its threshold a rule fires."""

    AT_LEAST = "at_least"
    ABOVE = "above"
    AT_MOST = "at_most"
    BELOW = "below"

    def fires(self, value: pl.Expr, threshold: pl.Expr) -> pl.Expr:
        """True where the value is on the firing side."""
        match self:
            case Sense.AT_LEAST:
                return value >= threshold - _NOISE
            case Sense.ABOVE:
                return value > threshold + _NOISE
            case Sense.AT_MOST:
                return value <= threshold + _NOISE
            case Sense.BELOW:
                return value < threshold - _NOISE

    def distance(self, value: pl.Expr, threshold: pl.Expr) -> pl.Expr:
        """How far the value is from firing, in the value's own unit; 0 or less where it fires."""
        return threshold - value if self in {Sense.AT_LEAST, Sense.ABOVE} else value - threshold


@dataclass(frozen=True)
class Condition:
    """A rule as expressions over a frame of subjects.

    Where `applies` is false the rule is not meant for the row; where `evaluable` is false its data is not
    fit, and `why_not` says so. `detail` is the sentence that a person reads. `fired` replaces the comparison
    of value and threshold where a rule is no comparison. `strategy` names what would be opened.
    """

    value: pl.Expr
    threshold: pl.Expr
    detail: pl.Expr
    applies: pl.Expr = pl.lit(True)  # noqa: RUF009  (an expression is immutable)
    evaluable: pl.Expr = pl.lit(True)  # noqa: RUF009
    why_not: pl.Expr = pl.lit("a value it needs is missing")  # noqa: RUF009
    fired: pl.Expr | None = None
    strategy: pl.Expr = pl.col("strategy")  # noqa: RUF009


@dataclass(frozen=True)
class Rule:
    """A numbered rule: the lowest number that fires wins."""

    number: int
    name: str
    action: Action
    sense: Sense
    condition: Callable[[Parameters], Condition]


def evaluate(rules: Sequence[Rule], subjects: pl.DataFrame, parameters: Parameters) -> pl.DataFrame:
    """EVALUATIONS rows without the derived columns: every rule of every subject, in the subjects' order.

    `subjects` has session, as_of, subject, underlying, strategy and whatever the rules' conditions name.
    """
    schema = EVALUATIONS.content
    if subjects.is_empty():
        return pl.DataFrame(schema=schema)
    parts = [
        subjects.select(expression.cast(schema[name]).alias(name) for name, expression in columns.items())
        for columns in (_columns(rule, rule.condition(parameters)) for rule in rules)
    ]
    return pl.concat(parts).select(list(schema))


def _columns(rule: Rule, condition: Condition) -> dict[str, pl.Expr]:
    value, threshold = condition.value.cast(pl.Float64), condition.threshold.cast(pl.Float64)
    applies = condition.applies.fill_null(False)
    fit = condition.evaluable.fill_null(False)
    known = (value.is_finite() & threshold.is_finite()).fill_null(False)
    evaluable = applies & fit & known
    fires = rule.sense.fires(value, threshold) if condition.fired is None else condition.fired
    return {
        "session": pl.col("session"),
        "as_of": pl.col("as_of"),
        "subject": pl.col("subject"),
        "underlying": pl.col("underlying"),
        "strategy": condition.strategy,
        "rule_number": pl.lit(rule.number),
        "rule": pl.lit(rule.name),
        "evaluable": evaluable,
        "fired": evaluable & fires.fill_null(False),
        "value": pl.when(value.is_finite()).then(value),
        "threshold": pl.when(threshold.is_finite()).then(threshold),
        "action": pl.lit(rule.action.value),
        "detail": pl.when(~applies)
        .then(pl.lit("does not apply"))
        .when(fit & known)
        .then(condition.detail)
        .otherwise(pl.format("cannot be judged: {}", condition.why_not)),
    }
