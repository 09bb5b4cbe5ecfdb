"""Every error this system raises on purpose.

TradingError
├─ ConfigError                       refuse to start; no limit defaults to infinity
├─ DataError     MissingData · StaleData · SchemaMismatch · SealedSlice · IllegalTransition
└─ BrokerError   BrokerUnavailable* · PacingViolation* · OrderRejected · OrderStateUnknown
                 (* retryable)

A breached limit or a silent rule is a value, never an exception.
"""

from typing import ClassVar


class TradingError(Exception):
    """What went wrong, naming the thing, and the remedy.

    `str(error)` is one line fit for a terminal, a log and a Slack message.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem} — {remedy}" if remedy else problem)


class ConfigError(TradingError):
    """A parameter is unknown, missing or not sane; nothing may start."""


class DataError(TradingError):
    """Data is not fit for a decision."""


class MissingData(DataError):
    """Data that a step needs is not there."""


class StaleData(DataError):
    """Data is older than its limit."""


class SchemaMismatch(DataError):
    """A frame or file does not have the shape its table or format declares."""


class SealedSlice(DataError):
    """A slice that an order was decided on would change."""


class IllegalTransition(DataError):
    """An order would move in a way its lifecycle does not allow."""


class BrokerError(TradingError):
    """The broker, or the way to it, said no."""


class BrokerUnavailable(BrokerError):
    """No connection, an incomplete initial sync, or no answer in time."""

    retryable = True


class PacingViolation(BrokerError):
    """The broker refused a request because of its rate or its open lines."""

    retryable = True


class OrderRejected(BrokerError):
    """The broker refused the order; it is certain that it does not work there."""


class OrderStateUnknown(BrokerError):
    """Nobody here knows whether the order works at the broker: ask, never resend."""
