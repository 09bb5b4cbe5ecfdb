"""Daily bars over the wire."""

from datetime import UTC, date, datetime

import pytest

from trading_pipelines.adapters.ib_history import IBHistory
from trading_pipelines.adapters.ib_market_data import IBMarketData
from trading_pipelines.adapters.ib_session import IBSession
from trading_pipelines.core.market import calendar
from trading_pipelines.domain.contracts import Contract, SecurityType
from trading_pipelines.domain.errors import DataError, PacingViolation
from trading_pipelines.domain.tables import BARS
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines_tests.adapters.conftest import SESSION
from trading_pipelines_tests.adapters.interceptor import Interceptor


@pytest.fixture
def spy(session: IBSession) -> Contract:
    asked = Contract(security_type=SecurityType.STOCK, symbol="SPY", exchange="SMART")
    return IBMarketData(session).resolve([asked])[0]


@pytest.mark.parametrize("sessions", [10, 504])
def test_the_sessions_before_a_day_are_all_there(
    session: IBSession, spy: Contract, market: SyntheticMarket, sessions: int
) -> None:
    bars = IBHistory(session).daily_bars(spy, what="trades", sessions=sessions, before=SESSION)
    assert bars.schema == BARS.schema
    assert bars["session"].to_list() == calendar.sessions_before(SESSION, sessions)
    end = datetime(2024, 6, 12, 4, 0, tzinfo=UTC)
    truth = market.bars(spy.con_id, what="TRADES", seconds=86400, end=end, count=sessions)
    assert bars["close"].to_list() == pytest.approx([bar.close for bar in truth])


def test_a_bar_is_stamped_with_its_sessions_open_and_close(session: IBSession, spy: Contract) -> None:
    (bar,) = IBHistory(session).daily_bars(spy, what="trades", sessions=1, before=SESSION).to_dicts()
    assert bar["session"] == date(2024, 6, 11)
    assert bar["started_at"] == datetime(2024, 6, 11, 13, 30, tzinfo=UTC)
    assert bar["as_of"] == datetime(2024, 6, 11, 20, 0, tzinfo=UTC)
    assert (bar["resolution"], bar["what"], bar["symbol"]) == ("daily", "trades", "SPY")


def test_implied_volatility_is_an_annual_fraction(session: IBSession, spy: Contract) -> None:
    bars = IBHistory(session).daily_bars(spy, what="implied_volatility", sessions=20, before=SESSION)
    assert bars.height == 20
    assert bars["close"].is_between(0.05, 1.0).all()


def test_a_series_the_broker_does_not_have_is_empty(session: IBSession) -> None:
    unknown = Contract(security_type=SecurityType.STOCK, symbol="NOWHERE", exchange="SMART")
    bars = IBHistory(session).daily_bars(unknown, what="trades", sessions=5, before=SESSION)
    assert (bars.height, bars.schema) == (0, BARS.schema)


def test_another_kind_of_bar_is_refused(session: IBSession, spy: Contract) -> None:
    with pytest.raises(DataError, match="no daily bars of 'midpoint'"):
        IBHistory(session).daily_bars(spy, what="midpoint", sessions=5, before=SESSION)


def test_a_refused_pace_is_not_an_empty_history(interceptor: Interceptor, connect, spy: Contract) -> None:
    def refuse(message):
        if message[0] != "20":
            return [message]
        interceptor.tell(4, 2, message[1], 162, "Historical Market Data Service error: pacing violation", "")
        return []

    interceptor.on_request = refuse
    with connect(interceptor.port, "cycle") as session, pytest.raises(PacingViolation):
        IBHistory(session).daily_bars(spy, what="trades", sessions=5, before=SESSION)
