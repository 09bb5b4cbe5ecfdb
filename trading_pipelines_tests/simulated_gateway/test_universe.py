from datetime import date, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trading_pipelines.core.market import calendar
from trading_pipelines.domain.contracts import Contract, Right, SecurityType
from trading_pipelines.simulated_gateway import universe
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines.simulated_gateway.source import ListedContract

SESSION = date(2024, 6, 12)
MARKET = SyntheticMarket(7, SESSION)


def chain(market: SyntheticMarket, symbol: str) -> list[ListedContract]:
    return list(market.find(Contract(security_type=SecurityType.OPTION, symbol=symbol, exchange="SMART")))


@given(
    underlying=st.integers(0, 2),
    day=st.integers(0, 16_000),
    strike=st.integers(1, 4095),
    right=st.sampled_from([1, -1]),
)
def test_a_con_id_spells_out_its_option_and_fits_a_signed_32_bit_number(
    underlying: int, day: int, strike: int, right: int
) -> None:
    codes = universe.OptionCodes(
        np.array([underlying]), np.array([day]), np.array([float(strike)]), np.array([right])
    )
    con_ids = universe.option_con_ids(codes)
    assert 0 < con_ids[0] < 2**31
    decoded = universe.decode_options(con_ids)
    assert (decoded.underlying[0], decoded.day[0], decoded.strike[0], decoded.right[0]) == (
        underlying,
        day,
        strike,
        right,
    )


def test_no_two_contracts_share_a_con_id() -> None:
    kinds = (SecurityType.STOCK, SecurityType.INDEX, SecurityType.FUTURE, SecurityType.OPTION)
    listed = [
        one for kind in kinds for one in MARKET.find(Contract(security_type=kind, symbol="", exchange=""))
    ]
    assert len({one.contract.con_id for one in listed}) == len(listed) > 10_000


def test_a_contract_has_its_con_id_whatever_the_seed_and_the_session() -> None:
    other = SyntheticMarket(8, date(2024, 6, 14))
    pattern = Contract(
        security_type=SecurityType.OPTION,
        symbol="SPY",
        exchange="SMART",
        expiry=date(2024, 7, 19),
        strike=540.0,
        right=Right.CALL,
    )
    (here,), (there,) = MARKET.find(pattern), other.find(pattern)
    assert here == there
    assert MARKET.contract(here.contract.con_id) == here


def test_an_option_is_described_as_its_exchange_does() -> None:
    (listed,) = MARKET.find(
        Contract(
            security_type=SecurityType.OPTION, symbol="", exchange="", local_symbol="SPY   240719C00540000"
        )
    )
    contract = listed.contract
    assert (contract.symbol, contract.trading_class, contract.multiplier) == ("SPY", "SPY", 100.0)
    assert (contract.expiry, contract.strike, contract.right) == (date(2024, 7, 19), 540.0, Right.CALL)
    (stock,) = MARKET.find(Contract(security_type=SecurityType.STOCK, symbol="SPY", exchange="SMART"))
    assert listed.underlying_con_id == stock.contract.con_id
    assert listed.exercise_style == "AMERICAN"
    assert stock.primary_exchange == "ARCA"


def test_expiries_are_fridays_for_nine_weeks_and_third_fridays_for_a_year() -> None:
    expiries = universe.option_expiries(SESSION)
    weeklies = [SESSION + timedelta(days=2 + 7 * week) for week in range(9)]
    assert [expiry for expiry in expiries if expiry <= weeklies[-1]] == weeklies
    # Cboe's expiration calendars for 2024 and 2025; Good Friday 2025 is April 18.
    assert [expiry for expiry in expiries if expiry > weeklies[-1]] == [
        date(2024, 8, 16),
        date(2024, 9, 20),
        date(2024, 10, 18),
        date(2024, 11, 15),
        date(2024, 12, 20),
        date(2025, 1, 17),
        date(2025, 2, 21),
        date(2025, 3, 21),
        date(2025, 4, 17),
        date(2025, 5, 16),
    ]


def test_an_expiry_once_listed_stays_to_its_last_day() -> None:
    before: set[date] = set()
    for session in calendar.sessions_between(date(2024, 2, 1), date(2024, 7, 31)):
        listed = universe.option_expiries(session)
        assert {expiry for expiry in before if expiry >= session} <= set(listed)
        assert all(universe.listed_since(expiry) <= session for expiry in listed)
        before = set(listed)


def test_an_option_once_listed_stays_to_its_last_day() -> None:
    later = SyntheticMarket(7, date(2024, 6, 21))
    now, then = ({one.contract for one in chain(market, "IWM")} for market in (MARKET, later))
    assert {contract for contract in now if contract.expiry and contract.expiry >= later.session} <= then


def test_strikes_are_finer_near_the_money_and_near_expiry_and_their_union_is_larger_than_each() -> None:
    by_expiry: dict[date, list[float]] = {}
    for one in chain(MARKET, "SPY"):
        if one.contract.expiry and one.contract.strike and one.contract.right is Right.CALL:
            by_expiry.setdefault(one.contract.expiry, []).append(one.contract.strike)
    near, far = (np.array(sorted(by_expiry[day])) for day in (date(2024, 7, 19), date(2025, 5, 16)))
    at_the_money = np.searchsorted(near, 540.0)
    assert near[at_the_money + 1] - near[at_the_money] == 1.0
    assert near[1] - near[0] > 1.0
    assert near[-1] - near[-2] > 1.0
    assert far[np.searchsorted(far, 540.0) + 1] - far[np.searchsorted(far, 540.0)] == 5.0
    parameters = MARKET.option_parameters(101)[0]
    union = set().union(*by_expiry.values())
    assert set(parameters.strikes) == union
    assert sum(set(strikes) < union for strikes in by_expiry.values()) > 10
    assert parameters.expiries == tuple(sorted(by_expiry))


def test_futures_are_the_next_five_quarters_with_their_own_multiplier_and_tick() -> None:
    listed = [
        MARKET.find(Contract(security_type=SecurityType.FUTURE, symbol=root, exchange="CME"))
        for root in ("ES", "NQ", "RTY")
    ]
    es = [one.contract for one in listed[0]]
    assert [contract.local_symbol for contract in es] == ["ESM4", "ESU4", "ESZ4", "ESH5", "ESM5"]
    # CME's calendar of equity-index expiries.
    assert [contract.expiry for contract in es] == [
        date(2024, 6, 21),
        date(2024, 9, 20),
        date(2024, 12, 20),
        date(2025, 3, 21),
        date(2025, 6, 20),
    ]
    assert [(ones[0].contract.multiplier, ones[0].min_tick) for ones in listed] == [
        (50.0, 0.25),
        (20.0, 0.25),
        (50.0, 0.1),
    ]


def test_what_is_not_listed_is_not_found() -> None:
    assert MARKET.contract(999) is None
    unlisted = universe.OptionCodes(np.array([0]), np.array([5000]), np.array([540.0]), np.array([1]))
    assert MARKET.contract(int(universe.option_con_ids(unlisted)[0])) is None
    assert not MARKET.find(Contract(security_type=SecurityType.STOCK, symbol="AAPL", exchange="SMART"))
    assert not MARKET.find(Contract(security_type=SecurityType.STOCK, symbol="SPY", exchange="CME"))
    assert MARKET.option_parameters(111) == []
