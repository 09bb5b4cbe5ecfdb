"""The whole way of an order over TCP: gate, journal, socket, acknowledgement, fill, books."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from trading_pipelines.adapters.ib_broker import IBBroker
from trading_pipelines.adapters.ib_market_data import IBMarketData
from trading_pipelines.adapters.ib_session import IBClock, IBSession
from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.domain.contracts import Right, Side
from trading_pipelines.domain.orders import CheckResult, OrderIntent, OrderLeg, OrderState, RiskVerdict
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines.simulated_gateway.server import RunningGateway
from trading_pipelines.workflows.submit import Outcome, submit
from trading_pipelines_tests.adapters.conftest import OPENED, broker_parameters, condor_legs, far_side
from trading_pipelines_tests.adapters.interceptor import Interceptor, Message
from trading_pipelines_tests.builders import ACCOUNT, closing_intent, opening_intent, parameters


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    with SqliteJournal(tmp_path / "journal.db") as opened:
        yield opened


def _submit(port: int, journal: SqliteJournal, *intents: OrderIntent) -> tuple[Outcome, ...]:
    """As one run does it: connect, submit what was approved, disconnect."""
    with IBSession(broker_parameters(port), "execution") as session:
        clock = IBClock(session)
        verdicts = [
            RiskVerdict(
                order_ref=intent.order_ref,
                decision_id=intent.decision_id,
                payload_hash=intent.payload_hash,
                checks=(CheckResult(name="size", passed=True),),
                checked_at=clock.now(),
                valid_until=clock.now() + timedelta(minutes=1),
            )
            for intent in intents
        ]
        return submit(
            intents,
            verdicts,
            broker=IBBroker(session, ACCOUNT, acknowledge_seconds=0.5),
            market_data=IBMarketData(session),
            journal=journal,
            clock=clock,
            parameters=parameters(execution__fill_wait_seconds=0.5),
            mode="simulated",
            pause=lambda seconds: None,
        )


def _sent(gateway: RunningGateway) -> list[str]:
    truth = gateway.gateway.venue.truth.of_kind("order")
    return [record["order_ref"] for record in truth if not record.get("what_if")]


def _fills(gateway: RunningGateway) -> set[tuple[Any, ...]]:
    names = ("exec_id", "order_ref", "side", "quantity", "price", "commission")
    return {tuple(r[name] for name in names) for r in gateway.gateway.venue.truth.of_kind("fill")}


def _booked(journal: SqliteJournal) -> set[tuple[Any, ...]]:
    return {
        (f.exec_id, f.order_ref, f.side.value, f.quantity, f.price, f.commission) for f in journal.fills()
    }


def test_a_condor_is_opened_and_closed_and_the_books_equal_the_gateways(
    gateway: RunningGateway, journal: SqliteJournal, market: SyntheticMarket
) -> None:
    legs = condor_legs(market)
    credit = far_side(market, legs)
    (opened,) = _submit(gateway.port, journal, opening_intent(legs=legs, limit_price=credit))
    assert opened.state is OrderState.FILLED
    (position,) = journal.positions()
    assert (position.units, position.entry_price) == (1, pytest.approx(credit))

    reverse = tuple(leg.model_copy(update={"side": leg.side.opposite}) for leg in legs)
    debit = far_side(market, reverse)
    intent = closing_intent(legs=reverse, limit_price=debit, units=1, position_id=position.position_id)
    (closed,) = _submit(gateway.port, journal, intent)
    assert closed.state is OrderState.FILLED
    assert journal.positions() == ()
    (result,) = journal.positions(closed=True)
    commissions = sum(fill[5] or 0.0 for fill in _fills(gateway))
    assert result.realised_pnl_usd == pytest.approx(-(credit + debit) * 100 - commissions)
    assert _sent(gateway) == ["tp1-opening", "tp1-closing"]
    assert _booked(journal) == _fills(gateway)


def test_an_acknowledgement_that_is_cut_off_is_found_by_the_next_run(
    interceptor: Interceptor, gateway: RunningGateway, journal: SqliteJournal, market: SyntheticMarket
) -> None:
    def cut(message: Message) -> list[Message]:
        if message[0] == "5":
            interceptor.cut()
        return [message]

    legs = condor_legs(market)
    intent = opening_intent(legs=legs, limit_price=far_side(market, legs))
    interceptor.on_reply = cut
    (outcome,) = _submit(interceptor.port, journal, intent)
    assert (outcome.state, outcome.sent) == (OrderState.UNKNOWN, True)
    (again,) = _submit(gateway.port, journal, intent)
    assert (again.state, again.sent) == (OrderState.FILLED, False)
    assert _sent(gateway) == ["tp1-opening"]
    assert _booked(journal) == _fills(gateway)


def test_an_order_that_never_arrived_stays_unknown_while_the_clock_stands(
    interceptor: Interceptor, gateway: RunningGateway, journal: SqliteJournal, market: SyntheticMarket
) -> None:
    legs = condor_legs(market)
    intent = opening_intent(legs=legs, limit_price=far_side(market, legs))
    interceptor.on_request = lambda message: [] if message[0] == "3" else [message]
    (outcome,) = _submit(interceptor.port, journal, intent)
    assert outcome.state is OrderState.UNKNOWN
    (again,) = _submit(gateway.port, journal, intent)
    assert (again.state, again.sent) == (OrderState.UNKNOWN, False)
    assert _sent(gateway) == []


def test_an_order_that_does_not_fill_is_cancelled_after_its_time(
    gateway: RunningGateway, journal: SqliteJournal, market: SyntheticMarket
) -> None:
    leg = OrderLeg(contract=condor_legs(market)[0].contract, ratio=1, side=Side.BUY)
    assert leg.contract.right is Right.PUT
    near = round(far_side(market, (leg,)) - 0.06, 2)  # inside the collar, below the bid
    (working,) = _submit(gateway.port, journal, opening_intent(legs=(leg,), limit_price=near))
    assert working.state is OrderState.WORKING
    gateway.control.step(OPENED + timedelta(minutes=11))
    _submit(gateway.port, journal)
    record = journal.order("tp1-opening")
    assert record is not None
    assert record.state in {OrderState.CANCELLED, OrderState.FILLED}
    assert _booked(journal) == _fills(gateway)
