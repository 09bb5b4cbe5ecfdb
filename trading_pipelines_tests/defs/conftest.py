"""Floors to trade on: one market for all tests, a desk prepared before the open, a gateway for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_pipelines.domain.positions import StrategyPosition
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines.simulated_gateway.opening_book import opening_book
from trading_pipelines_tests.defs.floor import BEFORE_OPEN, SESSION, SMALL, Floor, opened, said

ACCOUNT = "DU1234567"
SEED = 7


@pytest.fixture(scope="session")
def market() -> SyntheticMarket:
    return SyntheticMarket(SEED, SESSION)


@pytest.fixture(scope="session")
def book(market: SyntheticMarket) -> tuple[StrategyPosition, ...]:
    """An SPY condor at its time exit, a QQQ and an IWM vertical."""
    return opening_book(market, SESSION, ACCOUNT, SEED)


@pytest.fixture(scope="session")
def condor(book: tuple[StrategyPosition, ...]) -> tuple[StrategyPosition, ...]:
    return tuple(position for position in book if position.underlying == "SPY")


@pytest.fixture(scope="session")
def prepared(
    tmp_path_factory: pytest.TempPathFactory,
    market: SyntheticMarket,
    condor: tuple[StrategyPosition, ...],
) -> Path:
    """The data folder of a small desk at 9:00, after the real pre_open job: history and listing are there."""
    data = tmp_path_factory.mktemp("prepared") / "data"
    with opened(data, market, condor, config=SMALL) as floor:
        assert said(floor.run(BEFORE_OPEN, job="pre_open")) == {}
    return data


@pytest.fixture
def floor(
    tmp_path: Path, market: SyntheticMarket, condor: tuple[StrategyPosition, ...], prepared: Path
) -> Iterator[Floor]:
    """A small desk of the test's own, which intends exactly one order at every tick."""
    with opened(tmp_path / "data", market, condor, config=SMALL, prepared=prepared) as made:
        yield made
