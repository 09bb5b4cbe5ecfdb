from datetime import UTC, datetime, timedelta, timezone

import pytest

from trading_pipelines.domain.errors import ConfigError, DataError
from trading_pipelines.simulated_gateway.clock import GatewayClock

START = datetime(2024, 6, 12, 13, 30, tzinfo=UTC)


class WallClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_stepped_clock_stands_still_between_steps() -> None:
    wall = WallClock()
    clock = GatewayClock(START, monotonic=wall)
    wall.seconds += 3600
    assert clock.now() == START
    clock.advance_to(START + timedelta(minutes=5))
    assert clock.now() == START + timedelta(minutes=5)


def test_a_running_clock_goes_at_its_multiple_of_wall_time() -> None:
    wall = WallClock()
    clock = GatewayClock(START, speed=60.0, monotonic=wall)
    wall.seconds += 10
    assert clock.now() == START + timedelta(minutes=10)


def test_a_running_clock_goes_on_from_where_it_was_stepped_to() -> None:
    wall = WallClock()
    clock = GatewayClock(START, speed=2.0, monotonic=wall)
    wall.seconds += 10
    clock.advance_to(START + timedelta(hours=1))
    wall.seconds += 10
    assert clock.now() == START + timedelta(hours=1, seconds=20)


def test_a_clock_never_goes_back() -> None:
    clock = GatewayClock(START)
    clock.advance_to(START)
    with pytest.raises(DataError, match="cannot go back"):
        clock.advance_to(START - timedelta(microseconds=1))


def test_any_zone_is_taken_and_utc_is_told() -> None:
    eastern = timezone(timedelta(hours=-4))
    clock = GatewayClock(START.astimezone(eastern))
    clock.advance_to((START + timedelta(minutes=5)).astimezone(eastern))
    assert clock.now().isoformat() == "2024-06-12T13:35:00+00:00"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ConfigError):
        GatewayClock(START.replace(tzinfo=None))
    with pytest.raises(DataError):
        GatewayClock(START).advance_to(START.replace(tzinfo=None))


@pytest.mark.parametrize("speed", [-1.0, float("inf"), float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ConfigError):
        GatewayClock(START, speed)
