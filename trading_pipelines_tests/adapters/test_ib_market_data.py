"""Contracts and quotes over the wire are those of the market behind the gateway."""

from collections.abc import Callable
from datetime import date, timedelta

import polars as pl
import pytest

from trading_pipelines.adapters.ib_market_data import IBMarketData
from trading_pipelines.adapters.ib_session import IBSession
from trading_pipelines.domain.contracts import Contract, Right, SecurityType
from trading_pipelines.domain.errors import MissingData
from trading_pipelines.domain.tables import CONTRACT_COLUMNS, QUOTE_COLUMNS
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines.simulated_gateway.server import RunningGateway, running_gateway
from trading_pipelines_tests.adapters.conftest import OPENED, broker_parameters
from trading_pipelines_tests.adapters.interceptor import Interceptor

SPY = Contract(security_type=SecurityType.STOCK, symbol="SPY", exchange="SMART")
VIX = Contract(security_type=SecurityType.INDEX, symbol="VIX", exchange="CBOE")


@pytest.fixture
def market_data(session: IBSession) -> IBMarketData:
    return IBMarketData(session)


@pytest.fixture(scope="module")
def chain(market: SyntheticMarket) -> pl.DataFrame:
    with (
        running_gateway(market, start=OPENED) as gateway,
        IBSession(broker_parameters(gateway.port), "tools") as session,
    ):
        market_data = IBMarketData(session)
        (spy,) = market_data.resolve([SPY])
        return market_data.list_options(spy)


def _near(chain: pl.DataFrame, count: int) -> pl.DataFrame:
    """Options near the money, where both sides are quoted."""
    return chain.filter(pl.col("strike").is_between(500, 600)).head(count)


def test_contracts_come_back_with_their_ids(market_data: IBMarketData, market: SyntheticMarket) -> None:
    resolved = market_data.resolve([SPY, VIX])
    assert [contract.symbol for contract in resolved] == ["SPY", "VIX"]
    for contract in resolved:
        listed = market.contract(contract.con_id)
        assert listed is not None
        assert listed.contract.symbol == contract.symbol


def test_unknown_contracts_are_all_named(market_data: IBMarketData) -> None:
    option = SPY.model_copy(
        update={
            "security_type": SecurityType.OPTION,
            "expiry": date(2024, 6, 21),
            "strike": 12.5,
            "right": Right.PUT,
        }
    )
    nowhere = SPY.model_copy(update={"symbol": "NOWHERE"})
    with pytest.raises(MissingData) as caught:
        market_data.resolve([SPY, option, nowhere])
    assert "OPT SPY 2024-06-21 12.5 P at SMART (unknown)" in caught.value.problem
    assert "STK NOWHERE at SMART (unknown)" in caught.value.problem
    assert "STK SPY " not in caught.value.problem


def test_an_id_that_means_another_contract_is_not_accepted(market_data: IBMarketData) -> None:
    (spy,) = market_data.resolve([SPY])
    wrong = spy.model_copy(update={"multiplier": 10.0})
    with pytest.raises(MissingData, match="multiplier 1"):
        market_data.resolve([wrong])


def test_the_chain_is_what_is_listed_and_no_strike_more(chain: pl.DataFrame, market: SyntheticMarket) -> None:
    pattern = Contract(security_type=SecurityType.OPTION, symbol="SPY", exchange="")
    listed = {listing.contract.con_id: listing for listing in market.find(pattern)}
    assert set(chain["con_id"]) == set(listed)
    assert chain.schema == pl.Schema({**CONTRACT_COLUMNS, "exercise_style": pl.String()})
    for row in chain.sample(50, seed=1).iter_rows(named=True):
        contract = listed[row["con_id"]].contract
        assert (row["expiry"], row["strike"], row["right"]) == (
            contract.expiry,
            contract.strike,
            contract.right,
        )
        assert (row["symbol"], row["multiplier"], row["exercise_style"]) == ("SPY", 100.0, "american")


def test_an_underlying_without_options_lists_none(market_data: IBMarketData) -> None:
    (vix,) = market_data.resolve([VIX])
    assert market_data.list_options(vix).is_empty()


def test_futures_come_nearest_first(market_data: IBMarketData) -> None:
    futures = market_data.list_futures("ES", "CME")
    assert len(futures) >= 2
    assert [future.expiry for future in futures] == sorted(
        future.expiry for future in futures if future.expiry
    )
    assert {(future.symbol, future.multiplier) for future in futures} == {("ES", 50.0)}
    assert market_data.list_futures("NOPE", "CME") == ()


def test_six_hundred_quotes_equal_the_market(
    market_data: IBMarketData, chain: pl.DataFrame, market: SyntheticMarket
) -> None:
    asked = _near(chain, 600)
    quotes = market_data.quotes(asked, timeout_seconds=10)
    assert quotes.schema == QUOTE_COLUMNS
    assert quotes["con_id"].to_list() == asked["con_id"].to_list()
    assert quotes["status"].unique().to_list() == ["ok"]
    truth = market.quotes(asked["con_id"].to_list(), OPENED)
    assert quotes["bid"].to_list() == [quote.bid for quote in truth]
    assert quotes["ask"].to_list() == [quote.ask for quote in truth]
    assert quotes["previous_close"].to_list() == pytest.approx([quote.previous_close for quote in truth])
    models = [quote.greeks for quote in truth]
    assert quotes["model_delta"].to_list() == pytest.approx([model.delta for model in models if model])
    assert quotes["model_iv"].to_list() == pytest.approx([model.iv for model in models if model])
    assert quotes["model_theta"].to_list() == pytest.approx([model.theta for model in models if model])


def test_quotes_carry_the_gateways_time_and_say_that_they_are_live(
    market_data: IBMarketData, chain: pl.DataFrame
) -> None:
    quotes = market_data.quotes(_near(chain, 5), timeout_seconds=5)
    assert quotes["quoted_at"].unique().to_list() == [OPENED]
    assert quotes["market_data_type"].unique().to_list() == [1]


def test_the_next_tick_shows_nothing_of_the_last(
    gateway: RunningGateway, market_data: IBMarketData, chain: pl.DataFrame, market: SyntheticMarket
) -> None:
    asked = _near(chain, 50)
    market_data.quotes(asked, timeout_seconds=5)
    later = OPENED + timedelta(minutes=30)
    gateway.control.step(later)
    quotes = market_data.quotes(asked, timeout_seconds=5)
    assert quotes["bid"].to_list() == [quote.bid for quote in market.quotes(asked["con_id"].to_list(), later)]


def test_an_index_has_a_price_and_no_sides(market_data: IBMarketData) -> None:
    (vix,) = market_data.resolve([VIX])
    frame = pl.DataFrame([vix.model_dump()], schema=CONTRACT_COLUMNS)
    (row,) = market_data.quotes(frame, timeout_seconds=5).to_dicts()
    assert (row["bid"], row["ask"], row["status"]) == (None, None, "ok")
    assert 5 < row["last"] < 100


def test_a_contract_nobody_knows_is_recorded_as_missing(
    market_data: IBMarketData, chain: pl.DataFrame
) -> None:
    unknown = pl.lit(999_999_999, dtype=pl.Int64).alias("con_id")
    asked = pl.concat([_near(chain, 2), _near(chain, 1).with_columns(unknown)])
    quotes = market_data.quotes(asked, timeout_seconds=5)
    assert quotes["status"].to_list() == ["ok", "ok", "missing"]
    assert quotes.row(2, named=True)["bid"] is None
    assert quotes.row(2, named=True)["quoted_at"] is None


def test_nothing_asked_is_nothing_answered(market_data: IBMarketData) -> None:
    quotes = market_data.quotes(CONTRACT_COLUMNS.to_frame(), timeout_seconds=5)
    assert (quotes.height, quotes.schema) == (0, QUOTE_COLUMNS)


def test_no_more_lines_are_open_than_allowed(market: SyntheticMarket) -> None:
    """A gateway with limits on refuses the 101st line with error 101."""
    with running_gateway(market, start=OPENED, limits=True, speed=1.0) as gateway:
        parameters = broker_parameters(gateway.port, messages_per_second=45, market_data_lines=20)
        with IBSession(parameters, "cycle") as session:
            market_data = IBMarketData(session)
            (spy,) = market_data.resolve([SPY])
            frame = pl.DataFrame([spy.model_dump()] * 60, schema=CONTRACT_COLUMNS)
            quotes = market_data.quotes(frame, timeout_seconds=10)
    assert quotes["status"].to_list() == ["ok"] * 60


def test_a_snapshot_without_its_end_is_taken_when_it_is_complete(
    interceptor: Interceptor, connect: Callable[..., IBSession], chain: pl.DataFrame
) -> None:
    interceptor.on_reply = lambda message: [] if message[0] == "57" else [message]
    with connect(interceptor.port, "cycle", market_data_lines=5) as session:
        quotes = IBMarketData(session).quotes(_near(chain, 10), timeout_seconds=20)
    assert quotes["status"].to_list() == ["ok"] * 10
    cancelled = [message for message in interceptor.requests if message[0] == "2"]
    assert len(cancelled) == 10  # each line was given back


def test_what_does_not_answer_in_time_is_missing(
    interceptor: Interceptor, connect: Callable[..., IBSession], chain: pl.DataFrame
) -> None:
    asked = _near(chain, 3)
    silent = str(asked["con_id"][1])
    interceptor.on_request = lambda message: [] if message[0] == "1" and message[3] == silent else [message]
    with connect(interceptor.port, "cycle") as session:
        quotes = IBMarketData(session).quotes(asked, timeout_seconds=0.5)
    assert quotes["status"].to_list() == ["ok", "missing", "ok"]
