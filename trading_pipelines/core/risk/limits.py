"""The last word before an order: a row for every limit, and one that is not known to hold has failed.

Closing and reducing lower the risk: they are exempt from the limits on what is opened (quiet window, other
orders of the symbol, losses, buying power), recorded as such. They are not exempt from halt, account,
session, quotes, price collar, duplicates, unknown orders, their own contracts' reconciliation, size and rate.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import polars as pl

from trading_pipelines.core.risk import checks
from trading_pipelines.core.risk.facts import RiskFacts
from trading_pipelines.domain.orders import CheckResult, OrderIntent, RiskVerdict
from trading_pipelines.domain.parameters import Parameters
from trading_pipelines.domain.tables import VERDICTS

CHECKS: tuple[Callable[[checks.Case], CheckResult], ...] = (
    checks.numbers,
    checks.account,
    checks.halted,
    checks.session_open,
    checks.quiet_window,
    checks.quotes_two_sided,
    checks.quotes_fresh,
    checks.quotes_live,
    checks.price_collar,
    checks.duplicate,
    checks.unknown_orders,
    checks.reconciliation,
    checks.symbol_free,
    checks.closes_held,
    checks.order_size,
    checks.order_risk,
    checks.position_loss,
    checks.portfolio_loss,
    checks.daily_loss,
    checks.buying_power,
    checks.rate_minute,
    checks.rate_day,
)
"""Every pre-trade check; each is a row of the verdict, named as its function."""


def verdict(intent: OrderIntent, facts: RiskFacts, parameters: Parameters, now: datetime) -> RiskVerdict:
    """All CHECKS on one intent; approved only when every one passed.

    Valid for risk.verdict_valid_seconds from `now`, which is the Clock's like every time in the facts.
    """
    case = checks.Case(intent, facts, parameters, now)
    return RiskVerdict(
        order_ref=intent.order_ref,
        decision_id=intent.decision_id,
        payload_hash=intent.payload_hash,
        checks=tuple(check(case) for check in CHECKS),
        checked_at=now,
        valid_until=now + timedelta(seconds=parameters.risk.verdict_valid_seconds),
    )


def frame(verdicts: Sequence[RiskVerdict], session: date, as_of: datetime) -> pl.DataFrame:
    """VERDICTS rows of a tick without the derived columns, one per verdict and check."""
    schema = VERDICTS.content
    rows = [
        {
            "session": session,
            "as_of": as_of,
            "order_ref": verdict.order_ref,
            "decision_id": verdict.decision_id,
            "payload_hash": verdict.payload_hash,
            "check": check.name,
            "passed": check.passed,
            "value": check.value,
            "limit": check.limit,
            "detail": check.detail,
            "approved": verdict.approved,
            "checked_at": verdict.checked_at,
            "valid_until": verdict.valid_until,
        }
        for verdict in verdicts
        for check in verdict.checks
    ]
    return pl.DataFrame(rows, schema=schema)
