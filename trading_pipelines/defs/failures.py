"""The one translation from our errors to Dagster's, and back to words; what may pass is tried again."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from trading_pipelines.domain.errors import TradingError

_OURS = f"{TradingError.__module__}."
"""How the text of an error of ours begins, once Dagster has written it down."""


@contextmanager
def translated(*, may_retry: bool = True) -> Iterator[None]:
    """TradingError becomes RetryRequested when it is retryable and `may_retry`, else a final Failure."""
    try:
        yield
    except TradingError as error:
        if error.retryable and may_retry:
            raise dg.RetryRequested(max_retries=2, seconds_to_wait=1) from error
        raise dg.Failure(
            description=str(error),
            metadata={"error": type(error).__name__, "problem": error.problem, "remedy": error.remedy},
            allow_retries=False,
        ) from error


def told(event: dg.DagsterEvent) -> str:
    """Why a step or a run failed, in one line: what our own error said, or else the first of the causes.

    Empty for a run that failed with a step: that says why.
    """
    if getattr(event.event_specific_data, "first_step_failure_event", None) is not None:
        return ""
    said = getattr(event.event_specific_data, "user_failure_data", None)
    if said is not None and said.description:
        return str(said.description)
    message = ""
    error = getattr(event.event_specific_data, "error", None)
    while error is not None:
        message = " ".join(error.message.split())
        if message.startswith(_OURS):
            return message.partition(": ")[2]
        error = error.cause
    return message
