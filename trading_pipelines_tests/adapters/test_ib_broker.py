"""Orders over the wire: sent once, and only what is certain is said of them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from trading_pipelines.adapters.ib_broker import IBBroker
from trading_pipelines.adapters.ib_market_data import IBMarketData
from trading_pipelines.adapters.ib_session import IBClock, IBSession
from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.errors import (
    BrokerError,
    BrokerUnavailable,
    ConfigError,
    OrderRejected,
    OrderStateUnknown,
)
from trading_pipelines.domain.orders import OrderIntent, OrderLeg
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines.simulated_gateway.server import RunningGateway, running_gateway
from trading_pipelines_tests.adapters.conftest import OPENED, broker_parameters, condor_legs, far_side
from trading_pipelines_tests.adapters.interceptor import Interceptor, Message
from trading_pipelines_tests.builders import ACCOUNT, closing_intent, opening_intent

PLACE = "3"
OPEN_ORDER, ORDER_STATUS, POSITION = "5", "3", "61"


@pytest.fixture(scope="module")
def legs(market: SyntheticMarket) -> tuple[OrderLeg, ...]:
    """An iron condor on SPY, about five percent wide, a month out."""
    return condor_legs(market)


@pytest.fixture
def broker(session: IBSession) -> IBBroker:
    return IBBroker(session, ACCOUNT)


@pytest.fixture
def faulty(interceptor: Interceptor) -> Iterator[IBBroker]:
    """A broker behind the interceptor that waits half a second for a word."""
    with IBSession(broker_parameters(interceptor.port), "execution") as session:
        yield IBBroker(session, ACCOUNT, acknowledge_seconds=0.5)


def _opening(market: SyntheticMarket, legs: tuple[OrderLeg, ...], **changes: Any) -> OrderIntent:
    """Marketable: at the far side of the market."""
    return opening_intent(**{"legs": legs, "limit_price": far_side(market, legs), "units": 2, **changes})


def _patient(market: SyntheticMarket, legs: tuple[OrderLeg, ...], **changes: Any) -> OrderIntent:
    """Far from the market: it works and does not fill."""
    return _opening(market, legs, limit_price=round(far_side(market, legs) - 5.0, 2), **changes)


def _truth(gateway: RunningGateway, kind: str) -> list[dict[str, Any]]:
    return [record for record in gateway.gateway.venue.truth.of_kind(kind) if not record.get("what_if")]


def test_a_combo_opens_and_closes_and_the_fills_are_the_gateways(
    gateway: RunningGateway, broker: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    opening = _opening(market, legs)
    placed = broker.place(opening, broker.next_order_id())
    assert (placed.order_ref, placed.account, placed.client_id) == ("tp1-opening", ACCOUNT, 12)
    assert placed.perm_id > 0
    assert placed.con_ids == tuple(leg.contract.con_id for leg in legs)
    filled = broker.await_fill("tp1-opening", timeout_seconds=2)
    assert (filled.status, filled.filled, filled.remaining) == ("Filled", 2.0, 0.0)
    assert filled.average_price == pytest.approx(opening.limit_price)
    held = {position.contract.con_id: position.quantity for position in broker.positions()}
    assert held == {leg.contract.con_id: 2.0 * leg.side.sign for leg in legs}

    reverse = tuple(leg.model_copy(update={"side": leg.side.opposite}) for leg in legs)
    closing = closing_intent(legs=reverse, limit_price=far_side(market, reverse))
    broker.place(closing, broker.next_order_id())
    assert broker.await_fill("tp1-closing", timeout_seconds=2).status == "Filled"
    assert broker.positions() == ()

    ours = {
        (f.exec_id, f.order_ref, f.side.value, f.quantity, f.price, f.commission, f.perm_id, f.filled_at)
        for f in broker.fills()
    }
    theirs = {
        (
            *(record[name] for name in ("exec_id", "order_ref", "side", "quantity", "price", "commission")),
            record["perm_id"],
            OPENED,
        )
        for record in _truth(gateway, "fill")
    }
    assert ours == theirs
    assert len(ours) == 10  # two combos, each as a whole and by four legs


def test_a_single_leg_is_sold_at_its_own_price(
    gateway: RunningGateway, broker: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    sold = (legs[1],)
    intent = _opening(market, sold)
    assert intent.limit_price < 0
    broker.place(intent, broker.next_order_id())
    assert broker.await_fill("tp1-opening", timeout_seconds=2).status == "Filled"
    (order,) = _truth(gateway, "order")
    assert (order["side"], order["limit"], order["tif"]) == ("SELL", -intent.limit_price, "DAY")


def test_a_patient_order_works_until_it_is_cancelled(
    gateway: RunningGateway, broker: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    order_id = broker.next_order_id()
    assert broker.place(_patient(market, legs), order_id).status in {"PendingSubmit", "Submitted"}
    assert broker.await_fill("tp1-opening", timeout_seconds=0.1).status == "Submitted"
    broker.cancel("tp1-opening", order_id)
    assert broker.await_fill("tp1-opening", timeout_seconds=1).status == "Cancelled"
    assert [order.status for order in broker.orders()] == ["Cancelled"]
    assert len(_truth(gateway, "order")) == 1


def test_orders_of_every_client_and_of_the_past_are_reported(
    gateway: RunningGateway,
    broker: IBBroker,
    connect: Callable[..., IBSession],
    market: SyntheticMarket,
    legs: tuple[OrderLeg, ...],
) -> None:
    broker.place(_opening(market, legs), broker.next_order_id())
    broker.place(_patient(market, legs, order_ref="tp1-patient"), broker.next_order_id())
    with connect(gateway.port, "tools") as session:
        other = IBBroker(session, ACCOUNT)
        seen = {order.order_ref: (order.status, order.filled, order.con_ids) for order in other.orders()}
        assert other.next_order_id() > 2
        assert other.await_fill("tp1-patient", timeout_seconds=0).client_id == 12
        assert len(other.fills()) == 5
    con_ids = tuple(leg.contract.con_id for leg in legs)
    assert seen == {"tp1-opening": ("Filled", 2.0, con_ids), "tp1-patient": ("Submitted", 0.0, con_ids)}


def test_order_ids_exceed_all_that_were_seen(
    broker: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    first = broker.next_order_id(above=500)
    assert first > 500
    broker.place(_opening(market, legs), first)
    assert broker.next_order_id() > first


def test_the_account_is_told_with_its_time(broker: IBBroker) -> None:
    state = broker.account()
    assert (state.account, state.at, state.net_liquidation) == (ACCOUNT, OPENED, 1_000_000.0)
    assert (state.cash, state.initial_margin, state.daily_pnl) == (1_000_000.0, 0.0, 0.0)


def test_another_account_than_the_gateways_is_refused(session: IBSession) -> None:
    with pytest.raises(ConfigError, match="serves DU1234567, not U7654321"):
        IBBroker(session, "U7654321")


def test_a_what_if_order_is_previewed_and_not_sent(
    gateway: RunningGateway, broker: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    impact = broker.what_if(_opening(market, legs))
    assert impact.initial_margin_change is not None
    assert impact.initial_margin_change > 0
    assert impact.commission == pytest.approx(8 * 0.65, abs=1.0)
    assert gateway.control.state()["orders"] == 0


def test_an_unset_margin_is_not_a_number(
    interceptor: Interceptor, faulty: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    def unset(message: Message) -> list[Message]:
        return [["1.7976931348623157e308" if field == "0.0" else field for field in message]]

    impact = faulty.what_if(_opening(market, legs))
    assert impact.equity_with_loan is not None
    interceptor.on_reply = lambda message: unset(message) if message[0] == OPEN_ORDER else [message]
    numbers = faulty.what_if(_opening(market, legs)).model_dump().values()
    assert all(number is None or abs(number) < 1e300 for number in numbers)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"limit_price": 1e9}, "limit price"),
        ({"units": 0}, "0 units"),
        ({"legs": ()}, "0 legs"),
        ({"account": "DU999"}, "is for DU999, not DU1234567"),
    ],
    ids=["price", "units", "legs", "account"],
)
def test_what_is_no_order_is_not_sent(
    gateway: RunningGateway,
    broker: IBBroker,
    market: SyntheticMarket,
    legs: tuple[OrderLeg, ...],
    changes: dict[str, Any],
    why: str,
) -> None:
    intent = _opening(market, legs).model_copy(update=changes)
    with pytest.raises(OrderRejected, match=why):
        broker.place(intent, broker.next_order_id())
    assert _truth(gateway, "order") == []


def test_an_unknown_contract_is_rejected_by_name_and_code(
    broker: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    gone = legs[0].model_copy(update={"contract": legs[0].contract.model_copy(update={"con_id": 5})})
    with pytest.raises(OrderRejected, match="tp1-opening: 200 No security definition"):
        broker.place(_opening(market, legs).model_copy(update={"legs": (gone, *legs[1:])}), 1)


def test_an_order_beyond_the_margin_is_rejected(
    broker: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    with pytest.raises(OrderRejected, match="201 Order rejected"):
        broker.place(_opening(market, legs, units=100_000), broker.next_order_id())


def test_a_price_between_ticks_is_rejected(
    broker: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    with pytest.raises(OrderRejected, match="110 "):
        broker.place(_opening(market, legs, limit_price=-1.005), broker.next_order_id())


def test_a_lost_acknowledgement_is_found_by_asking(
    interceptor: Interceptor,
    gateway: RunningGateway,
    faulty: IBBroker,
    market: SyntheticMarket,
    legs: tuple[OrderLeg, ...],
) -> None:
    asked = "16"  # reqAllOpenOrders

    def lose_the_first_word(message: Message) -> list[Message]:
        lost = message[0] in {OPEN_ORDER, ORDER_STATUS} and interceptor.requests[-1][0] != asked
        return [] if lost else [message]

    interceptor.on_reply = lose_the_first_word
    assert faulty.place(_patient(market, legs), faulty.next_order_id()).status == "Submitted"
    assert len(_truth(gateway, "order")) == 1


def test_an_order_that_never_arrived_is_unknown_and_not_resent(
    interceptor: Interceptor,
    gateway: RunningGateway,
    faulty: IBBroker,
    market: SyntheticMarket,
    legs: tuple[OrderLeg, ...],
) -> None:
    interceptor.on_request = lambda message: [] if message[0] == PLACE else [message]
    with pytest.raises(OrderStateUnknown, match=r"no word of it within 0\.5 s"):
        faulty.place(_opening(market, legs), faulty.next_order_id())
    assert [message[0] for message in interceptor.requests].count(PLACE) == 1
    assert _truth(gateway, "order") == []


@pytest.mark.parametrize("arrives", [True, False], ids=["after it arrived", "before it arrived"])
def test_a_line_cut_at_the_order_leaves_it_unknown(
    interceptor: Interceptor,
    gateway: RunningGateway,
    faulty: IBBroker,
    connect: Callable[..., IBSession],
    market: SyntheticMarket,
    legs: tuple[OrderLeg, ...],
    arrives: bool,
) -> None:
    def cut_at_the_word(message: Message) -> list[Message]:
        if message[0] == OPEN_ORDER:
            interceptor.cut()
        return [message]

    def cut_at_the_order(message: Message) -> list[Message]:
        if message[0] == PLACE:
            interceptor.cut()
            return []
        return [message]

    if arrives:
        interceptor.on_reply = cut_at_the_word
    else:
        interceptor.on_request = cut_at_the_order
    with pytest.raises(OrderStateUnknown, match="nobody knows whether order tp1-opening works"):
        faulty.place(_patient(market, legs), faulty.next_order_id())
    with connect(gateway.port, "tools") as session:
        found = [order.order_ref for order in IBBroker(session, ACCOUNT).orders()]
    assert found == (["tp1-opening"] if arrives else [])


def test_without_a_connection_it_is_certain_that_nothing_was_sent(
    interceptor: Interceptor,
    gateway: RunningGateway,
    faulty: IBBroker,
    market: SyntheticMarket,
    legs: tuple[OrderLeg, ...],
) -> None:
    order_id = faulty.next_order_id()
    interceptor.cut()
    with pytest.raises(BrokerUnavailable):
        faulty.positions()
    with pytest.raises(BrokerUnavailable):
        faulty.place(_opening(market, legs), order_id)
    assert _truth(gateway, "order") == []


def test_nothing_is_sent_while_the_gateway_has_lost_the_broker(
    interceptor: Interceptor,
    gateway: RunningGateway,
    connect: Callable[..., IBSession],
    market: SyntheticMarket,
    legs: tuple[OrderLeg, ...],
) -> None:
    with connect(interceptor.port) as session:
        broker = IBBroker(session, ACCOUNT)
        interceptor.tell(4, 2, -1, 1100, "Connectivity between IBKR and TWS has been lost.", "")
        IBClock(session).now()
        with pytest.raises(BrokerUnavailable, match="lost its connection to IB"):
            broker.place(_opening(market, legs), broker.next_order_id())
        assert _truth(gateway, "order") == []
        interceptor.tell(4, 2, -1, 1102, "Connectivity has been restored - data maintained.", "")
        IBClock(session).now()
        broker.place(_opening(market, legs), broker.next_order_id())
    assert len(_truth(gateway, "order")) == 1


def test_a_notice_is_no_rejection(
    interceptor: Interceptor, faulty: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    """10349 says that a preset changed the order; ib_async takes it for a cancellation."""

    def notice_first(message: Message) -> list[Message]:
        if message[0] == PLACE:
            interceptor.tell(4, 2, message[1], 10349, "Order TIF was set to DAY based on order preset.", "")
        return [message]

    interceptor.on_request = notice_first
    placed = faulty.place(_patient(market, legs), faulty.next_order_id())
    assert placed.perm_id > 0
    assert faulty.await_fill("tp1-opening", timeout_seconds=0.1).status == "Submitted"


def test_an_error_does_not_hide_an_order_that_works(
    interceptor: Interceptor, faulty: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    def error_first(message: Message) -> list[Message]:
        if message[0] == PLACE:
            interceptor.tell(4, 2, message[1], 201, "Order rejected - reason: a mistake", "")
        return [message]

    interceptor.on_request = error_first
    assert faulty.place(_patient(market, legs), faulty.next_order_id()).status == "Submitted"


def test_an_error_of_unclear_meaning_without_the_order_is_unknown(
    interceptor: Interceptor, faulty: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    def only_an_error(message: Message) -> list[Message]:
        if message[0] != PLACE:
            return [message]
        interceptor.tell(4, 2, message[1], 10999, "Something happened", "")
        return []

    interceptor.on_request = only_an_error
    with pytest.raises(OrderStateUnknown, match="10999 Something happened"):
        faulty.place(_patient(market, legs), faulty.next_order_id())


def test_an_id_that_answers_as_another_order_is_unknown(
    interceptor: Interceptor, faulty: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    interceptor.on_reply = lambda message: [
        ["tp1-foreign" if message[0] == OPEN_ORDER and field == "tp1-opening" else field for field in message]
    ]
    with pytest.raises(OrderStateUnknown, match="answers as 'tp1-foreign'"):
        faulty.place(_patient(market, legs), faulty.next_order_id())


def test_an_id_of_another_order_is_not_cancelled(
    gateway: RunningGateway, broker: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    order_id = broker.next_order_id()
    broker.place(_patient(market, legs), order_id)
    with pytest.raises(OrderStateUnknown, match="belongs to tp1-opening"):
        broker.cancel("tp1-other", order_id)
    assert _truth(gateway, "cancel") == []


@pytest.mark.usefixtures("garbage_is_expected")
def test_nothing_is_sent_after_garbage(
    interceptor: Interceptor,
    gateway: RunningGateway,
    connect: Callable[..., IBSession],
    market: SyntheticMarket,
    legs: tuple[OrderLeg, ...],
) -> None:
    with pytest.raises(BrokerError), connect(interceptor.port) as session:  # noqa: PT012 — it raises at the end
        broker = IBBroker(session, ACCOUNT)
        interceptor.tell(10, "garbage")
        order_id = broker.next_order_id()
        IBClock(session).now()
        with pytest.raises(BrokerUnavailable, match="could not be read"):
            broker.place(_opening(market, legs), order_id)
    assert _truth(gateway, "order") == []


def test_an_empty_report_of_positions_is_not_believed_while_something_is_held(
    interceptor: Interceptor, faulty: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    assert faulty.positions() == ()  # flat, and the account summary agrees
    faulty.place(_opening(market, legs), faulty.next_order_id())
    faulty.await_fill("tp1-opening", timeout_seconds=1)
    interceptor.on_reply = lambda message: [] if message[0] == POSITION else [message]
    with pytest.raises(BrokerUnavailable, match="reports no positions"):
        faulty.positions()


def test_a_correction_stands_beside_what_it_corrects(
    interceptor: Interceptor, faulty: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    def corrected(message: Message) -> list[Message]:
        if message[0] != "11" or not message[14].endswith(".01.01"):
            return [message]
        second = list(message)
        second[14] = message[14].removesuffix(".01") + ".02"
        return [message, second]

    interceptor.on_reply = corrected
    faulty.place(_opening(market, legs), faulty.next_order_id())
    faulty.await_fill("tp1-opening", timeout_seconds=1)
    fills = [fill for fill in faulty.fills() if fill.contract.security_type is SecurityType.COMBO]
    assert sorted(fill.correction for fill in fills) == [1, 2]
    assert len({fill.exec_key for fill in fills}) == 1


def test_an_order_waits_for_the_pace_and_leaves_at_once(
    market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    """With even pacing the queue is never left holding an order."""
    with running_gateway(market, start=OPENED) as gateway:
        parameters = broker_parameters(gateway.port, messages_per_second=45)
        with IBSession(parameters, "execution") as session:
            broker = IBBroker(session, ACCOUNT)
            for number in range(3):
                intent = _opening(market, legs, order_ref=f"tp1-{number}")
                assert broker.place(intent, broker.next_order_id()).perm_id > 0
        assert [order["order_ref"] for order in _truth(gateway, "order")] == ["tp1-0", "tp1-1", "tp1-2"]


def test_a_fill_at_a_later_tick_is_awaited(
    gateway: RunningGateway, broker: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    broker.place(_patient(market, legs), broker.next_order_id())
    assert broker.fills() == ()
    gateway.control.step(OPENED + timedelta(hours=6))  # past the close: the DAY order dies
    assert broker.await_fill("tp1-opening", timeout_seconds=1).status == "Cancelled"


def test_quotes_of_the_legs_and_the_order_share_one_session(
    session: IBSession, broker: IBBroker, market: SyntheticMarket, legs: tuple[OrderLeg, ...]
) -> None:
    frame = pl.DataFrame([leg.contract.model_dump() for leg in legs])
    quotes = IBMarketData(session).quotes(frame, timeout_seconds=5)
    assert quotes["status"].to_list() == ["ok"] * 4
    broker.place(_opening(market, legs), broker.next_order_id())
    assert broker.await_fill("tp1-opening", timeout_seconds=1).status == "Filled"
