"""The gateway's clock: stands still until it is stepped, or runs at a multiple of wall time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from trading_pipelines.domain.errors import ConfigError, DataError


class GatewayClock:
    """The simulated now. With `speed` 0 it moves by `advance_to` alone, so nothing depends on wall time.

    `speed` is simulated seconds per second of wall time; `monotonic` is where wall time comes from.
    """

    def __init__(
        self, start: datetime, speed: float = 0.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        if start.tzinfo is None:
            raise ConfigError(f"the clock's start {start} has no time zone", "give it in UTC")
        if not 0 <= speed < float("inf"):
            raise ConfigError(f"a clock cannot run at {speed} times wall time", "give 0 or a positive number")
        self.speed = speed
        self._monotonic = monotonic
        self._set = start.astimezone(UTC)
        self._set_at = monotonic() if speed else 0.0

    def now(self) -> datetime:
        """The simulated time in UTC."""
        if not self.speed:
            return self._set
        return self._set + timedelta(seconds=(self._monotonic() - self._set_at) * self.speed)

    def advance_to(self, at: datetime) -> None:
        """Move to `at` and go on from there; DataError for a time that is past."""
        self.check(at)
        self._set = at.astimezone(UTC)
        self._set_at = self._monotonic() if self.speed else 0.0

    def check(self, at: datetime) -> None:
        """DataError for a time this clock cannot go to."""
        if at.tzinfo is None:
            raise DataError(f"the time {at} has no time zone", "give it in UTC")
        if at < self.now():
            raise DataError(
                f"the clock cannot go back from {self.now().isoformat()} to {at.isoformat()}",
                "start another gateway",
            )
