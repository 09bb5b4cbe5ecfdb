from datetime import UTC, datetime, timedelta

import ib_async
import pytest
from ib_async.wrapper import RequestError

from trading_pipelines.simulated_gateway.server import RunningGateway, running_gateway
from trading_pipelines_tests.simulated_gateway.clients import (
    combo,
    option_contract,
    underlying_contract,
    until,
)
from trading_pipelines_tests.simulated_gateway.conftest import Connect
from trading_pipelines_tests.simulated_gateway.static_market import (
    CALL_560,
    CALL_570,
    CLOSE,
    ES,
    NOON,
    PUT_530,
    PUT_540,
    SPY,
    VIX,
    StaticMarket,
    quote,
)

CONDOR = combo((PUT_530, "BUY"), (PUT_540, "SELL"), (CALL_560, "SELL"), (CALL_570, "BUY"))
"""Quoted −4.82 (2.00 − 4.06 − 4.56 + 1.80) to −4.62 (2.04 − 4.00 − 4.50 + 1.84)."""

FUTURE = ib_async.Contract(conId=ES, secType="FUT", symbol="ES", exchange="CME", currency="USD")


def limit(
    side: str, quantity: float, price: float, order_ref: str = "", **fields: object
) -> ib_async.LimitOrder:
    return ib_async.LimitOrder(side, quantity, price, orderRef=order_ref, **fields)


def place(client: ib_async.IB, contract: ib_async.Contract, order: ib_async.Order) -> ib_async.Trade:
    """Place an order and wait for the gateway's first word."""
    trade = client.placeOrder(contract, order)
    until(client, lambda: trade.orderStatus.status not in {"", "PendingSubmit"})
    client.reqCurrentTime()  # what the gateway said in the same turn is read too
    return trade


def codes(trade: ib_async.Trade) -> list[int]:
    return [entry.errorCode for entry in trade.log if entry.errorCode]


def test_a_marketable_limit_order_fills_at_the_far_side(client: ib_async.IB) -> None:
    trade = place(client, option_contract(CALL_560), limit("BUY", 2, 5.00, "tp1-abc"))
    assert (trade.orderStatus.status, trade.orderStatus.filled) == ("Filled", 2.0)
    assert trade.orderStatus.avgFillPrice == 4.56
    (fill,) = trade.fills
    assert (fill.execution.side, fill.execution.shares, fill.execution.price) == ("BOT", 2.0, 4.56)
    assert fill.execution.orderRef == "tp1-abc"
    assert fill.execution.time == NOON
    assert fill.commissionReport.commission == 1.30


@pytest.mark.parametrize(("side", "price"), [("BUY", 550.01), ("SELL", 549.99)])
def test_a_market_order_fills_at_the_far_side(client: ib_async.IB, side: str, price: float) -> None:
    trade = place(client, underlying_contract(), ib_async.MarketOrder(side, 10))
    assert (trade.orderStatus.status, trade.orderStatus.avgFillPrice) == ("Filled", price)


def test_an_order_at_our_own_side_rests(client: ib_async.IB) -> None:
    trade = place(client, option_contract(CALL_560), limit("BUY", 1, 4.50))
    assert (trade.orderStatus.status, trade.orderStatus.remaining) == ("Submitted", 1.0)


def test_a_resting_order_fills_when_the_market_comes_to_it(
    market: StaticMarket, gateway: RunningGateway, client: ib_async.IB
) -> None:
    later = NOON + timedelta(minutes=5)
    market.moves.append((later, CALL_560, quote(4.30, 4.36)))
    trade = place(client, option_contract(CALL_560), limit("BUY", 1, 4.40))
    gateway.control.step(later)
    until(client, lambda: trade.orderStatus.status == "Filled")
    assert trade.orderStatus.avgFillPrice == 4.36
    assert trade.fills[0].execution.time == later


def test_a_condor_at_a_credit_fills_as_a_whole(client: ib_async.IB) -> None:
    trade = place(client, CONDOR, limit("BUY", 3, -4.60, "condor"))
    assert (trade.orderStatus.status, trade.orderStatus.avgFillPrice) == ("Filled", -4.62)
    whole, *legs = trade.fills
    assert (whole.contract.secType, whole.execution.shares, whole.execution.price) == ("BAG", 3.0, -4.62)
    assert whole.commissionReport.execId == ""
    told = [(fill.contract.conId, fill.execution.side, fill.execution.price) for fill in legs]
    assert told == [
        (PUT_530, "BOT", 2.04),
        (PUT_540, "SLD", 4.00),
        (CALL_560, "SLD", 4.50),
        (CALL_570, "BOT", 1.84),
    ]
    assert [fill.execution.shares for fill in legs] == [3.0] * 4
    assert [fill.commissionReport.commission for fill in legs] == [1.95] * 4


def test_executions_of_a_combo_share_their_name_and_count_their_legs(client: ib_async.IB) -> None:
    trade = place(client, CONDOR, limit("BUY", 1, -4.60))
    groups = [fill.execution.execId.split(".") for fill in trade.fills]
    assert [len(part) for part in groups[0]] == [8, 8, 2, 2]
    assert {(first, second) for first, second, _, _ in groups} == {(groups[0][0], groups[0][1])}
    assert [leg for _, _, leg, _ in groups] == ["01", "02", "03", "04", "05"]
    assert {correction for *_, correction in groups} == {"01"}


def test_selling_a_combo_turns_every_leg(client: ib_async.IB) -> None:
    trade = place(client, CONDOR, ib_async.MarketOrder("SELL", 1))
    assert trade.orderStatus.avgFillPrice == -4.82
    told = [(fill.execution.side, fill.execution.price) for fill in trade.fills]
    assert told == [("SLD", -4.82), ("SLD", 2.00), ("BOT", 4.06), ("BOT", 4.56), ("SLD", 1.80)]


def test_fills_inside_the_spread_depend_on_the_seed_alone(connect: Connect) -> None:
    def looks_until_filled(seed: int, client_id: int) -> int:
        with running_gateway(StaticMarket(), start=NOON, seed=seed) as gateway:
            client = connect(gateway, client_id)
            trade = place(client, option_contract(CALL_560), limit("BUY", 1, 4.53, "same"))
            looks = 1
            while trade.orderStatus.status == "Submitted" and looks < 30:
                gateway.control.step(NOON + timedelta(minutes=looks))
                client.reqCurrentTime()
                looks += 1
            assert (trade.orderStatus.status, trade.orderStatus.avgFillPrice) == ("Filled", 4.53)
            client.disconnect()
            return looks

    first = [looks_until_filled(seed, client_id=1) for seed in range(6)]
    assert [looks_until_filled(seed, client_id=2) for seed in range(6)] == first
    assert len(set(first)) > 1


def test_a_cancelled_order_says_so_and_then_202(client: ib_async.IB) -> None:
    trade = place(client, option_contract(CALL_560), limit("BUY", 1, 4.00))
    client.cancelOrder(trade.order)
    until(client, lambda: trade.orderStatus.status == "Cancelled")
    client.reqCurrentTime()
    assert client.openTrades() == []


def test_a_global_cancel_ends_the_orders_of_every_client(
    gateway: RunningGateway, client: ib_async.IB, connect: Connect
) -> None:
    trade = place(client, option_contract(CALL_560), limit("BUY", 1, 4.00))
    connect(gateway, 2).reqGlobalCancel()
    until(client, lambda: trade.orderStatus.status == "Cancelled")


def test_a_modified_order_keeps_its_permanent_id_and_fills_at_its_new_price(client: ib_async.IB) -> None:
    trade = place(client, option_contract(CALL_560), limit("BUY", 1, 4.00))
    perm_id = trade.orderStatus.permId
    trade.order.lmtPrice = 4.60
    client.placeOrder(trade.contract, trade.order)
    until(client, lambda: trade.orderStatus.status == "Filled")
    assert (trade.orderStatus.permId, trade.orderStatus.avgFillPrice) == (perm_id, 4.56)


def test_a_day_order_dies_at_the_close_and_a_gtc_order_does_not(
    gateway: RunningGateway, client: ib_async.IB
) -> None:
    day = place(client, option_contract(CALL_560), limit("BUY", 1, 4.00))
    gtc = place(client, option_contract(CALL_560), limit("BUY", 1, 4.00, tif="GTC"))
    gateway.control.step(CLOSE - timedelta(minutes=5))
    client.reqCurrentTime()
    assert day.orderStatus.status == "Submitted"
    gateway.control.step(CLOSE + timedelta(minutes=30))
    until(client, lambda: day.orderStatus.status == "Cancelled")
    assert gtc.orderStatus.status == "Submitted"
    (cancelled,) = gateway.gateway.venue.truth.of_kind("cancelled")
    assert cancelled["at"] == CLOSE.isoformat()


def test_a_day_order_in_a_future_lives_until_its_trade_date_ends(
    gateway: RunningGateway, client: ib_async.IB
) -> None:
    trade = place(client, FUTURE, limit("BUY", 1, 5000.00))
    gateway.control.step(datetime(2024, 6, 12, 20, 55, tzinfo=UTC))
    client.reqCurrentTime()
    assert trade.orderStatus.status == "Submitted"
    gateway.control.step(datetime(2024, 6, 12, 21, 0, tzinfo=UTC))  # 17:00 in New York
    until(client, lambda: trade.orderStatus.status == "Cancelled")


def test_an_order_that_is_not_filled_at_once_is_cancelled_when_it_is_ioc(client: ib_async.IB) -> None:
    trade = place(client, option_contract(CALL_560), limit("BUY", 1, 4.00, tif="IOC"))
    assert trade.orderStatus.status == "Cancelled"


@pytest.mark.parametrize(
    ("contract", "order", "code"),
    [
        (option_contract(1), limit("BUY", 1, 1.0), 200),
        (combo((PUT_530, "BUY"), (1, "SELL")), limit("BUY", 1, 1.0), 200),
        (combo((PUT_530, "BUY")), limit("BUY", 1, 1.0), 200),
        (option_contract(CALL_560), limit("BUY", 1, 4.555), 110),
        (option_contract(CALL_560), limit("BUY", 1, -1.0), 110),
        (option_contract(CALL_560), limit("BUY", 1, float("nan")), 110),
        (option_contract(CALL_560), limit("BUY", 1, float("inf")), 110),
        (FUTURE, limit("BUY", 1, 5500.10), 110),
        (option_contract(CALL_560), ib_async.StopOrder("SELL", 1, 1.0), 387),
        (ib_async.Contract(conId=VIX, secType="IND", exchange="CBOE"), limit("BUY", 1, 12.0), 201),
        (underlying_contract(), limit("BUY", 10_000_000, 560.0), 201),
    ],
    ids=[
        "unknown contract",
        "unknown leg",
        "combo of one",
        "between ticks",
        "negative",
        "nan",
        "infinite",
        "between quarter ticks",
        "stop order",
        "index",
        "no buying power",
    ],
)
def test_an_order_that_cannot_be_taken_is_refused(
    client: ib_async.IB, contract: ib_async.Contract, order: ib_async.Order, code: int
) -> None:
    trade = place(client, contract, order)
    assert (trade.orderStatus.status, codes(trade)) == ("Cancelled", [code])
    assert client.reqAllOpenOrders() == []


@pytest.mark.parametrize(
    "fields",
    [{"tif": "GTD"}, {"transmit": False}, {"account": "DU999"}],
    ids=["time in force", "untransmitted", "account"],
)
def test_an_order_that_makes_no_sense_is_refused_with_321(
    client: ib_async.IB, fields: dict[str, object]
) -> None:
    trade = place(client, option_contract(CALL_560), limit("BUY", 1, 4.00, **fields))
    assert codes(trade) == [321]


def test_a_four_leg_combo_must_be_guaranteed(client: ib_async.IB) -> None:
    order = limit("BUY", 1, -4.70)
    order.smartComboRoutingParams = [ib_async.TagValue("NonGuaranteed", "1")]
    assert codes(place(client, CONDOR, order)) == [10058]


def test_after_the_close_an_order_is_rejected_and_stays_known(
    gateway: RunningGateway, client: ib_async.IB
) -> None:
    gateway.control.step(CLOSE)
    trade = place(client, option_contract(CALL_560), limit("BUY", 1, 5.00, "late"))
    assert codes(trade) == [201]
    (completed,) = client.reqCompletedOrders(False)
    assert (completed.order.orderRef, completed.orderStatus.status) == ("late", "Inactive")


def test_a_filled_order_cannot_be_modified(gateway: RunningGateway, client: ib_async.IB) -> None:
    errors: list[int] = []
    client.errorEvent += lambda _, code, *__: errors.append(code)
    trade = place(client, option_contract(CALL_560), limit("BUY", 1, 5.00))
    client.client.placeOrder(trade.order.orderId, trade.contract, trade.order)
    until(client, lambda: 104 in errors)


def test_an_order_id_below_one_that_was_used_is_a_duplicate(client: ib_async.IB) -> None:
    place(client, option_contract(CALL_560), limit("BUY", 1, 4.00, orderId=50))
    late = place(client, option_contract(CALL_560), limit("BUY", 1, 4.00, orderId=49))
    assert codes(late) == [103]


def test_a_modification_must_match_its_order(client: ib_async.IB) -> None:
    trade = place(client, option_contract(CALL_560), limit("BUY", 1, 4.00))
    client.client.placeOrder(trade.order.orderId, option_contract(CALL_570), trade.order)
    until(client, lambda: 105 in codes(trade))
    (open_trade,) = client.reqAllOpenOrders()
    assert open_trade.contract.conId == CALL_560


@pytest.mark.parametrize("case", ["unknown", "filled", "of another client"])
def test_what_cannot_be_cancelled_is_said(
    gateway: RunningGateway, client: ib_async.IB, connect: Connect, case: str
) -> None:
    errors: list[int] = []
    client.errorEvent += lambda _, code, *__: errors.append(code)
    order_id, code = 4711, 10147
    if case == "filled":
        trade = place(client, option_contract(CALL_560), limit("BUY", 1, 5.00))
        order_id, code = trade.order.orderId, 10148
    elif case == "of another client":
        place(connect(gateway, 2), option_contract(CALL_560), limit("BUY", 1, 4.00, orderId=order_id))
        code = 135
    client.client.cancelOrder(order_id)
    until(client, lambda: code in errors)


def test_a_preview_of_a_condor_is_its_largest_loss(client: ib_async.IB) -> None:
    state = client.whatIfOrder(CONDOR, limit("BUY", 2, -4.70))
    assert isinstance(state, ib_async.OrderState)
    assert float(state.initMarginChange) == 2 * 530.0  # ten wide less the credit
    assert float(state.maintMarginChange) == 2 * 530.0
    assert (state.commission, state.commissionCurrency) == (5.20, "USD")
    assert client.reqAllOpenOrders() == []


def test_a_preview_of_a_long_option_is_its_premium(client: ib_async.IB) -> None:
    state = client.whatIfOrder(option_contract(CALL_570), limit("BUY", 3, 1.90))
    assert isinstance(state, ib_async.OrderState)
    assert float(state.initMarginChange) == pytest.approx(3 * 190.0)


def test_a_preview_of_what_would_be_refused_is_the_error(client: ib_async.IB) -> None:
    with pytest.raises(RequestError) as refused:
        client.whatIfOrder(option_contract(1), limit("BUY", 1, 1.90))
    assert refused.value.code == 200


def test_open_orders_are_found_by_their_ref_after_a_reconnect(
    gateway: RunningGateway, client: ib_async.IB, connect: Connect
) -> None:
    order = limit("BUY", 2, -4.90, "tp1-abcdefgh")
    order.smartComboRoutingParams = [ib_async.TagValue("NonGuaranteed", "0")]
    placed = place(client, CONDOR, order)
    (trade,) = connect(gateway, 2).reqAllOpenOrders()
    assert (trade.order.orderRef, trade.order.permId) == ("tp1-abcdefgh", placed.orderStatus.permId)
    assert (trade.order.clientId, trade.order.totalQuantity, trade.order.lmtPrice) == (1, 2.0, -4.90)
    legs = [(leg.conId, leg.ratio, leg.action) for leg in trade.contract.comboLegs]
    assert legs == [(leg.conId, leg.ratio, leg.action) for leg in CONDOR.comboLegs]
    assert trade.order.smartComboRoutingParams == order.smartComboRoutingParams
    assert trade.orderStatus.status == "Submitted"


def test_completed_orders_tell_filled_and_cancelled_ones_by_ref(
    gateway: RunningGateway, client: ib_async.IB, connect: Connect
) -> None:
    filled = place(client, CONDOR, limit("BUY", 1, -4.60, "filled"))
    resting = place(client, option_contract(CALL_560), limit("BUY", 1, 4.00, "cancelled"))
    client.cancelOrder(resting.order)
    until(client, lambda: resting.orderStatus.status == "Cancelled")
    completed = connect(gateway, 2).reqCompletedOrders(False)
    told = [
        (trade.order.orderRef, trade.orderStatus.status, trade.order.filledQuantity) for trade in completed
    ]
    assert told == [("filled", "Filled", 1.0), ("cancelled", "Cancelled", 0.0)]
    assert [trade.order.permId for trade in completed] == [
        filled.orderStatus.permId,
        resting.orderStatus.permId,
    ]


def test_executions_can_be_filtered_and_come_with_their_commissions(
    gateway: RunningGateway, client: ib_async.IB, connect: Connect
) -> None:
    place(client, CONDOR, limit("BUY", 1, -4.60, "condor"))
    place(client, underlying_contract(), ib_async.MarketOrder("BUY", 10))
    other = connect(gateway, 2)
    assert len(other.reqExecutions()) == 6
    assert len(other.reqExecutions(ib_async.ExecutionFilter(secType="STK"))) == 1
    assert len(other.reqExecutions(ib_async.ExecutionFilter(side="SELL"))) == 2
    assert other.reqExecutions(ib_async.ExecutionFilter(clientId=2)) == []
    assert other.reqExecutions(ib_async.ExecutionFilter(time="20240612-16:00:01")) == []
    fees = {fill.contract.conId: fill.commissionReport.commission for fill in other.fills()}
    assert fees == {0: 0.0, PUT_530: 0.65, PUT_540: 0.65, CALL_560: 0.65, CALL_570: 0.65, SPY: 1.0}


def test_order_ids_never_go_back(gateway: RunningGateway, client: ib_async.IB, connect: Connect) -> None:
    place(client, option_contract(CALL_560), limit("BUY", 1, 4.00, orderId=500))
    assert connect(gateway, 2).client.getReqId() > 500
