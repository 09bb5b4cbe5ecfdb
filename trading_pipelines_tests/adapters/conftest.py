"""A gateway on loopback for the IB adapters, and a watch on what ib_async could not read."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from trading_pipelines.adapters.ib_session import IBSession
from trading_pipelines.core.execution.pricing import combo_quote
from trading_pipelines.domain.contracts import Contract, Right, SecurityType, Side
from trading_pipelines.domain.orders import OrderLeg
from trading_pipelines.domain.parameters import BrokerParameters
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines.simulated_gateway.server import RunningGateway, running_gateway
from trading_pipelines_tests.adapters.interceptor import Interceptor

SESSION = date(2024, 6, 12)
OPENED = datetime(2024, 6, 12, 15, 0, tzinfo=UTC)


def broker_parameters(port: int, **changes: Any) -> BrokerParameters:
    """Limits off and short patience, on one port."""
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "connect_timeout_seconds": 5,
        "request_timeout_seconds": 5,
        "messages_per_second": 0,
        "market_data_lines": 5000,
        "client_ids": {"cycle": 11, "execution": 12, "futures": 13, "reconciliation": 14, "tools": 15},
        **changes,
    }
    return BrokerParameters(**values)


@pytest.fixture(autouse=True)
def _everything_is_read(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """ib_async swallows what it cannot decode: a test that does not ask for that fails on it."""
    yield
    unread = [record.getMessage() for record in caplog.records if record.name == "ib_async.Decoder"]
    if "garbage_is_expected" not in request.fixturenames:
        assert not [line for line in unread if line.startswith(("Error handling fields", "Error for"))]


@pytest.fixture
def garbage_is_expected() -> None:
    """The test makes the gateway send what cannot be read."""


@pytest.fixture(scope="session")
def market() -> SyntheticMarket:
    return SyntheticMarket(7, SESSION)


@pytest.fixture
def gateway(market: SyntheticMarket) -> Iterator[RunningGateway]:
    with running_gateway(market, start=OPENED) as running:
        yield running


@pytest.fixture
def interceptor(gateway: RunningGateway) -> Iterator[Interceptor]:
    with Interceptor(gateway.port) as proxy:
        yield proxy


@pytest.fixture
def session(gateway: RunningGateway) -> Iterator[IBSession]:
    with IBSession(broker_parameters(gateway.port), "execution") as opened:
        yield opened


@pytest.fixture
def connect() -> Callable[..., IBSession]:
    """A session to a port, not yet opened."""

    def make(port: int, role: str = "execution", **changes: Any) -> IBSession:
        return IBSession(broker_parameters(port, **changes), role)

    return make


def condor_legs(market: SyntheticMarket) -> tuple[OrderLeg, ...]:
    """An iron condor on SPY, about five percent wide, a month out."""
    pattern = Contract(security_type=SecurityType.OPTION, symbol="SPY", exchange="")
    listed = [each.contract for each in market.find(pattern)]
    expiry = next(day for day in sorted({c.expiry for c in listed if c.expiry}) if (day - SESSION).days > 30)
    spot = market.quotes([101], OPENED)[0].bid or 0.0

    def leg(right: Right, distance: float, side: Side) -> OrderLeg:
        near = min(
            (c for c in listed if c.expiry == expiry and c.right is right),
            key=lambda c: abs((c.strike or 0.0) - spot * (1 + distance)),
        )
        return OrderLeg(contract=near, ratio=1, side=side)

    return (
        leg(Right.PUT, -0.05, Side.BUY),
        leg(Right.PUT, -0.03, Side.SELL),
        leg(Right.CALL, 0.03, Side.SELL),
        leg(Right.CALL, 0.05, Side.BUY),
    )


def far_side(market: SyntheticMarket, legs: tuple[OrderLeg, ...]) -> float:
    """What one unit costs at once."""
    con_ids = [leg.contract.con_id for leg in legs]
    quotes = {
        con_id: (quote.bid, quote.ask)
        for con_id, quote in zip(con_ids, market.quotes(con_ids, OPENED), strict=True)
    }
    unit = combo_quote(legs, quotes)
    assert unit is not None
    return round(unit.ask, 2)
