"""Errors on their way through Dagster: what may pass is tried again, the rest fails once and says why."""

import socket
from datetime import UTC, date, datetime

import dagster as dg
import pytest

from trading_pipelines.defs.failures import translated
from trading_pipelines.domain import errors, tables
from trading_pipelines.domain.errors import TradingError
from trading_pipelines_tests.defs.floor import SESSION, TICK, Floor, said

ERRORS = sorted(
    (each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, TradingError)),
    key=lambda each: each.__name__,
)
RETRYABLE = {"BrokerUnavailable", "PacingViolation"}
"""By the design: nothing else passes by itself."""


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_is_tried_again_only_where_that_may_help(error: type[TradingError]) -> None:
    raised: type[Exception] = dg.RetryRequested if error.__name__ in RETRYABLE else dg.Failure
    with pytest.raises(raised) as caught, translated():
        raise error("the thing", "the remedy")
    if isinstance(caught.value, dg.Failure):
        assert caught.value.allow_retries is False
        assert caught.value.description == "the thing — the remedy"
        assert caught.value.metadata["error"].value == error.__name__


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_on_the_orders_way_nothing_is_tried_again(error: type[TradingError]) -> None:
    with pytest.raises(dg.Failure) as caught, translated(may_retry=False):
        raise error("the thing", "the remedy")
    assert caught.value.allow_retries is False


def test_an_error_that_is_not_ours_is_left_alone() -> None:
    with pytest.raises(ZeroDivisionError), translated():
        raise ZeroDivisionError


def versions(floor: Floor) -> dict[tuple[str, str], int | None]:
    return {table.path: floor.lake.version(table) for table in tables.TABLES}


def test_without_a_gateway_the_run_says_where_it_looked_and_writes_nothing(floor: Floor) -> None:
    with socket.socket() as bound:  # a port that is taken and answers nobody
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        floor.environment["TRADING_PIPELINES__BROKER__PORT"] = str(port)
        before = versions(floor)
        failed = said(floor.run())
    assert versions(floor) == before
    assert failed
    assert len(set(failed.values())) == 1
    (text,) = set(failed.values())
    assert f"127.0.0.1:{port}" in text
    assert " — " in text
    assert floor.received() == []


@pytest.mark.parametrize("day", [date(2024, 6, 19), date(2024, 6, 15)], ids=["Juneteenth", "Saturday"])
def test_a_day_without_a_session_is_refused_before_anything_runs(floor: Floor, day: date) -> None:
    before = versions(floor)
    with pytest.raises(dg.DagsterUnknownPartitionError, match=day.isoformat()):
        floor.launch(datetime(day.year, day.month, day.day, 13, 35, tzinfo=UTC), session=day)
    assert versions(floor) == before


def test_a_wrong_limit_fails_every_run_naming_key_and_origin(floor: Floor) -> None:
    variable = "TRADING_PIPELINES__RISK__MAX_ORDERS_PER_DAY"
    floor.environment[variable] = "-1"
    before = versions(floor)
    failed = said(floor.run())
    assert list(failed) == ["run"]
    assert failed["run"].startswith("risk.max_orders_per_day")
    assert f"not -1 (environment, {variable})" in failed["run"]
    assert versions(floor) == before
    assert floor.received() == []


@pytest.mark.parametrize("tag", ["2024-06-12T13:35", "noon"], ids=["no zone", "no time"])
def test_a_tick_that_is_no_time_is_refused_naming_the_tag(floor: Floor, tag: str) -> None:
    failed = said(floor.launch(tags={"trading_pipelines/as_of": tag}))
    assert failed
    assert all(f"the run tag trading_pipelines/as_of is '{tag}'" in text for text in failed.values())


def test_a_tick_may_be_written_in_any_zone(floor: Floor) -> None:
    floor.gateway.control.step(TICK)
    local = {"trading_pipelines/as_of": "2024-06-12T09:35:00-04:00"}
    assert said(floor.launch(tags=local)) == {}
    assert floor.received() == floor.intended()
    assert set(floor.lake.read(tables.OPTIONS, session=SESSION)["as_of"]) == {TICK}
