"""Each fault put into a chain that is fit otherwise, and the sentence that must come of it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from trading_pipelines.core.market import quality
from trading_pipelines.domain.parameters import QualityParameters
from trading_pipelines.domain.tables import OPTIONS, UNDERLYINGS

AS_OF = datetime(2024, 6, 12, 15, 0, tzinfo=UTC)
LIMITS = QualityParameters(
    max_age_seconds=60,
    min_quoted_share=0.6,
    max_crossed_share=0.1,
    worthless_ask=0.05,
    max_underlying_jump=0.2,
    live_types=(1,),
)
TICK = {"session": date(2024, 6, 12), "as_of": AS_OF}
QUOTE = {"bid": 1.0, "ask": 1.2, "status": "ok", "quoted_at": AS_OF, "market_data_type": 1}


def chain(*changes: dict[str, Any], count: int = 10, underlying: str = "SPY") -> pl.DataFrame:
    """Ten fit options of SPY at 100; the first ones changed."""
    changed = [*changes, *({} for _ in range(count - len(changes)))]
    option = {
        **TICK,
        **QUOTE,
        "underlying": underlying,
        "strike": 100.0,
        "right": "C",
        "underlying_price": 100.0,
    }
    rows = [{**option, "con_id": number, **change} for number, change in enumerate(changed)]
    return pl.DataFrame(rows, schema=OPTIONS.schema)


def stocks(*changes: dict[str, Any]) -> pl.DataFrame:
    stock = {**TICK, **QUOTE, "symbol": "SPY", "security_type": "STK", "bid": 99.0, "ask": 101.0}
    rows = [{**stock, "con_id": 1, "price": 100.0, "previous_close": 98.0, **change} for change in changes]
    return pl.DataFrame(rows, schema=UNDERLYINGS.schema)


def test_a_fit_chain_has_no_findings_and_full_shares() -> None:
    assert quality.option_findings(chain(), AS_OF, LIMITS) == []
    assert quality.option_quality(chain(), AS_OF, LIMITS).to_dicts() == [
        {
            "underlying": "SPY",
            "asked": 10,
            "quoted": 10,
            "quoted_share": 1.0,
            "crossed_share": 0.0,
            "stale_share": 0.0,
            "not_live_share": 0.0,
        }
    ]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": "missing", "bid": None, "ask": None, "quoted_at": None, "market_data_type": None},
        {"bid": None},
        {"ask": None},
        {"bid": 0.0},
        {"bid": 101.0, "ask": 102.0},  # a call worth more than its stock
        {"bid": 101.0, "ask": 102.0, "right": "P"},  # a put worth more than its strike
    ],
    ids=["missing", "no bid", "no ask", "zero bid", "call above stock", "put above strike"],
)
def test_an_option_without_a_usable_quote_lowers_the_quoted_share(fault: dict[str, Any]) -> None:
    few, many = chain(*[fault] * 4), chain(*[fault] * 5)

    assert quality.option_quality(few, AS_OF, LIMITS)["quoted"].to_list() == [6]
    assert quality.option_findings(few, AS_OF, LIMITS) == []
    assert quality.option_findings(many, AS_OF, LIMITS) == [
        "SPY: 5 of 10 options have a usable two-sided quote (50.0%), at least 60% are needed"
    ]


def test_crossed_quotes_beyond_their_share_are_a_finding_and_locked_ones_are_not() -> None:
    crossed, locked = {"bid": 1.3}, {"bid": 1.2}

    assert quality.option_findings(chain(crossed, locked, locked), AS_OF, LIMITS) == []
    assert quality.option_findings(chain(crossed, crossed), AS_OF, LIMITS) == [
        "SPY: 20.0% of 10 options have a bid above their ask, at most 10% may"
    ]


@pytest.mark.parametrize(
    ("quoted_at", "said"),
    [
        (AS_OF - timedelta(seconds=61), "61 s old"),
        (AS_OF + timedelta(seconds=300), "300 s in the future"),
        (None, "of unknown time"),
    ],
)
def test_one_quote_of_another_time_is_a_finding(quoted_at: datetime | None, said: str) -> None:
    options = chain({"quoted_at": quoted_at})

    assert quality.option_findings(options, AS_OF, LIMITS) == [
        f"SPY: 1 quote is not of this tick (the worst {said}), at most 60 s away is believed"
    ]
    assert quality.option_quality(options, AS_OF, LIMITS)["stale_share"].to_list() == [0.1]
    assert quality.underlying_findings(stocks({"quoted_at": quoted_at}), AS_OF, LIMITS)


def test_a_quote_confirmed_while_the_snapshot_was_taken_is_of_the_tick() -> None:
    assert quality.option_findings(chain({"quoted_at": AS_OF + timedelta(seconds=59)}), AS_OF, LIMITS) == []


@pytest.mark.parametrize(("kind", "said"), [(2, "frozen"), (3, "delayed"), (None, "of an unknown type")])
def test_one_quote_that_is_not_live_is_a_finding(kind: int | None, said: str) -> None:
    assert quality.option_findings(chain({"market_data_type": kind}), AS_OF, LIMITS) == [
        f"SPY: 1 quote is {said}, only live is believed"
    ]
    assert quality.underlying_findings(stocks({"market_data_type": kind}), AS_OF, LIMITS) == [
        f"SPY: 1 quote is {said}, only live is believed"
    ]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), -1.0, 1.79e308])
@pytest.mark.parametrize("column", ["bid", "ask", "last", "underlying_price"])
def test_one_number_that_is_no_price_is_a_finding(column: str, number: float) -> None:
    findings = quality.option_findings(chain({column: number}), AS_OF, LIMITS)

    assert f"SPY: {column} {number:g} is no price (contract 0), 0 to 1e+07 is believed" in findings


def test_options_without_the_price_of_their_underlying_are_a_finding() -> None:
    options = pl.concat([chain(), chain(*[{"underlying_price": None}] * 10, underlying="QQQ")])

    assert quality.option_findings(options, AS_OF, LIMITS) == [
        "QQQ: the options have no price of their underlying"
    ]


def test_each_underlying_is_judged_for_itself() -> None:
    options = pl.concat([chain(), chain(*[{"bid": None}] * 9, underlying="QQQ")])

    assert quality.option_findings(options, AS_OF, LIMITS) == [
        "QQQ: 1 of 10 options have a usable two-sided quote (10.0%), at least 60% are needed"
    ]
    assert quality.option_quality(options, AS_OF, LIMITS)["quoted_share"].to_list() == [1.0, 0.1]


def test_no_options_and_no_underlyings_are_not_fit() -> None:
    assert quality.option_quality(chain(count=0), AS_OF, LIMITS).is_empty()
    assert len(quality.option_findings(chain(count=0), AS_OF, LIMITS)) == 1
    assert len(quality.underlying_findings(stocks(), AS_OF, LIMITS)) == 1


def test_fit_underlyings_have_no_findings() -> None:
    index = {"symbol": "VIX", "security_type": "IND", "bid": None, "ask": None, "price": 30.0}

    assert quality.underlying_findings(stocks({}, {**index, "previous_close": 14.0}), AS_OF, LIMITS) == []


def test_a_stock_without_a_price_is_a_finding_and_a_missing_index_is_not() -> None:
    nothing = {"price": None, "bid": None, "ask": None, "quoted_at": None, "market_data_type": None}
    missing = {**nothing, "status": "missing"}

    assert quality.underlying_findings(
        stocks(missing, {**missing, "symbol": "VIX", "security_type": "IND"}), AS_OF, LIMITS
    ) == ["SPY: no price, missing quote"]


@pytest.mark.parametrize("price", [1000.0, 10.0, 121.0, 79.0])
def test_a_price_far_from_the_previous_close_is_a_finding(price: float) -> None:
    assert quality.underlying_findings(stocks({"price": price, "previous_close": 100.0}), AS_OF, LIMITS) == [
        f"SPY: price {price:g} against a previous close of 100, between 80 and 120 is believed"
    ]


@pytest.mark.parametrize(("price", "fit"), [(32.0, True), (150.0, False), (1.5, False)])
def test_an_index_of_volatility_may_double_but_not_spike_tenfold(price: float, fit: bool) -> None:
    frame = stocks({"symbol": "VIX", "security_type": "IND", "price": price, "previous_close": 15.0})

    assert (quality.underlying_findings(frame, AS_OF, LIMITS) == []) is fit


def test_a_crossed_underlying_is_a_finding() -> None:
    assert quality.underlying_findings(stocks({"bid": 102.0}), AS_OF, LIMITS) == [
        "SPY: bid 102.0 is above ask 101.0"
    ]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -5.0, 0.0, 1.79e308])
def test_an_underlying_price_that_is_none_is_a_finding(number: float) -> None:
    assert quality.underlying_findings(stocks({"price": number}), AS_OF, LIMITS)


@pytest.mark.parametrize(
    ("bid", "ask", "expected"),
    [
        (None, 0.05, 0.0),  # nobody pays for it, and it can be bought back
        (None, 0.06, None),  # worth too much to have no bid: the quote is incomplete
        (None, None, None),
        (None, 0.0, None),  # no market at all
        (0.02, 0.05, 0.02),
    ],
)
def test_a_missing_bid_under_a_worthless_ask_is_zero(
    bid: float | None, ask: float | None, expected: float | None
) -> None:
    quotes = pl.DataFrame({"bid": [bid], "ask": [ask]}, schema={"bid": pl.Float64, "ask": pl.Float64})
    assert quality.with_worthless_bids(quotes, LIMITS)["bid"].to_list() == [expected]
