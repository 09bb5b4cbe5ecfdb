"""The one translation from our errors to Dagster's, and back to words; what may pass is tried again."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from trading_pipelines.domain.errors import TradingError


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
    """Of a step's failure: what our own error said, or else the first of its causes, in one line."""
    failure = event.step_failure_data
    own = failure.user_failure_data.description if failure.user_failure_data else None
    if own:
        return own
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return " ".join(error.message.split()) if error else "failed"
