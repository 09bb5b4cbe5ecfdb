from datetime import date

import pytest

from trading_pipelines.core.market import calendar
from trading_pipelines.domain.positions import StrategyPosition
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines.simulated_gateway.opening_book import NET_LIQUIDATION, account_start, opening_book

SESSION = date(2024, 6, 12)
CASES = [(7, SESSION), (8, date(2024, 3, 1)), (2, date(2025, 1, 3))]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"seed {case[0]} on {case[1]}")
def opened(request: pytest.FixtureRequest) -> tuple[SyntheticMarket, tuple[StrategyPosition, ...]]:
    seed, session = request.param
    market = SyntheticMarket(seed, session)
    return market, opening_book(market, session, "DU1", seed)


Opened = tuple[SyntheticMarket, tuple[StrategyPosition, ...]]


def test_a_condor_a_credit_vertical_and_an_iwm_vertical_are_held(opened: Opened) -> None:
    _, book = opened
    assert [(position.underlying, position.strategy) for position in book[:2]] == [
        ("SPY", "iron_condor"),
        ("QQQ", "bull_put"),
    ]
    assert book[2].underlying == "IWM"
    assert book[2].strategy in ("bull_call", "bear_call")
    assert len({position.position_id for position in book}) == 3


def test_the_condor_is_due_for_its_roll_and_the_verticals_are_not(opened: Opened) -> None:
    market, book = opened
    left = [(position.expiry - market.session).days for position in book if position.expiry]
    assert 2 <= left[0] <= 21
    assert min(left[1:]) > 25
    ages = [len(calendar.sessions_between(position.opened_session, market.session)) - 1 for position in book]
    assert ages == [24, 10, 6]
    at_entry = [(position.expiry - position.opened_session).days for position in book if position.expiry]
    assert all(30 <= days <= 60 for days in at_entry)


def test_every_leg_was_listed_when_it_was_opened_and_still_is(opened: Opened) -> None:
    market, book = opened
    for position in book:
        then = market.on(position.opened_session)
        for leg in position.legs:
            for listing in (then, market):
                listed = listing.contract(leg.contract.con_id)
                assert listed is not None
                assert listed.contract == leg.contract


def test_entry_prices_are_the_mids_of_their_own_time(opened: Opened) -> None:
    market, book = opened
    for position in book:
        then = market.on(position.opened_session)
        quotes = then.quotes([leg.contract.con_id for leg in position.legs], position.opened_at)
        price = 0.0
        for leg, quote in zip(position.legs, quotes, strict=True):
            assert quote.bid is not None
            assert quote.ask is not None
            price += leg.signed_ratio * (quote.bid + quote.ask) / 2
        assert position.entry_price == pytest.approx(price)
        assert calendar.tick_at(position.opened_at) == (position.opened_session, position.opened_at)


def test_credits_are_negative_prices_and_profit_and_loss_make_up_the_width(opened: Opened) -> None:
    _, book = opened
    widths = {"SPY": 10, "QQQ": 10, "IWM": 5}
    for position in book:
        debit = position.strategy == "bull_call"
        assert (position.entry_price > 0) == debit
        assert position.max_profit + position.max_loss == pytest.approx(widths[position.underlying])
        earned = position.max_loss if debit else position.max_profit
        assert earned == pytest.approx(abs(position.entry_price))
        assert sum(leg.signed_ratio for leg in position.legs) == 0


def test_the_entry_context_is_the_market_of_that_day(opened: Opened) -> None:
    market, book = opened
    for position in book:
        assert position.entry.iv30 is not None
        assert position.entry.iv_rank is not None
        assert 0 <= position.entry.iv_rank <= 100
        (vix,) = market.quotes([111], position.opened_at)
        assert position.entry.vix == vix.last


def test_the_account_holds_exactly_the_book_and_is_worth_its_start(opened: Opened) -> None:
    market, book = opened
    cash, holdings = account_start(market, market.session, book)
    expected = {
        leg.contract.con_id: leg.signed_ratio * position.units for position in book for leg in position.legs
    }
    assert {holding.con_id: holding.quantity for holding in holdings} == expected
    previous_close = calendar.session_bounds(calendar.sessions_before(market.session, 1)[0])[1]
    quotes = market.quotes([holding.con_id for holding in holdings], previous_close)
    worth = cash + sum(
        100 * holding.quantity * (quote.last or 0.0) for holding, quote in zip(holdings, quotes, strict=True)
    )
    assert worth == pytest.approx(NET_LIQUIDATION, abs=0.01)
    paid = sum(100 * holding.quantity * holding.average_price for holding in holdings)
    assert paid == pytest.approx(sum(100 * position.units * position.entry_price for position in book))


def test_the_same_seed_opens_the_same_book() -> None:
    market = SyntheticMarket(7, SESSION)
    assert opening_book(market, SESSION, "DU1", 7) == opening_book(
        SyntheticMarket(7, SESSION), SESSION, "DU1", 7
    )
