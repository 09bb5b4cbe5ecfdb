"""A chain of two underlyings around 100, told strike by strike."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from trading_pipelines.core.market import chain
from trading_pipelines.domain.parameters import SnapshotParameters
from trading_pipelines.domain.tables import CONTRACT_COLUMNS, CONTRACTS, OPTIONS, QUOTE_COLUMNS, UNDERLYINGS

SESSION = date(2024, 6, 12)
AS_OF = datetime(2024, 6, 12, 14, 0, tzinfo=UTC)
MONTHLY, WEEKLY, NEAR = date(2024, 7, 19), date(2024, 7, 26), date(2024, 6, 21)
"""37, 44 and 9 days away; the first and the last are third Fridays."""
PRICES = pl.DataFrame({"symbol": ["SPY", "QQQ"], "price": [100.0, 100.0]})


def limits(**overrides: Any) -> SnapshotParameters:
    values = {"min_dte": 1, "max_dte": 70, "moneyness": 0.12, "max_contracts": 600, "target_dte": 45}
    return SnapshotParameters.model_validate(
        {**values, "timeout_seconds": 60, "history_sessions": 504, **overrides}
    )


def listing(
    *expiries: date, strikes: range = range(80, 121), symbols: tuple[str, ...] = ("SPY",)
) -> pl.DataFrame:
    """Calls and puts; con_ids count up in the order of symbol, expiry, strike, right."""
    rows = [
        {"symbol": symbol, "expiry": expiry, "strike": float(strike), "right": right}
        for symbol in symbols
        for expiry in expiries
        for strike in strikes
        for right in "CP"
    ]
    frame = pl.DataFrame(rows).with_columns(
        con_id=pl.int_range(1, len(rows) + 1), session=pl.lit(SESSION), multiplier=100.0
    )
    missing = [pl.lit(None).alias(name) for name in CONTRACTS.schema if name not in frame.columns]
    return frame.with_columns(missing).select(
        pl.col(name).cast(kind) for name, kind in CONTRACTS.schema.items()
    )


def quote(con_id: int, **fields: Any) -> dict[str, Any]:
    return {"con_id": con_id, "status": "ok", "quoted_at": AS_OF, "market_data_type": 1, **fields}


def strikes_of(frame: pl.DataFrame, expiry: date) -> list[float]:
    return frame.filter(pl.col("expiry") == expiry)["strike"].unique().sort().to_list()


def test_strikes_within_the_moneyness_and_expiries_within_the_dte_are_selected() -> None:
    listed = listing(SESSION, MONTHLY, date(2024, 8, 21), date(2024, 8, 22))  # 0, 37, 70 and 71 days

    selected = chain.select(listed, PRICES, SESSION, limits(), held=[])

    assert selected["expiry"].unique().sort().to_list() == [MONTHLY, date(2024, 8, 21)]
    assert strikes_of(selected, MONTHLY) == [float(strike) for strike in range(88, 113)]
    assert selected.schema == listed.schema


def test_what_is_held_is_always_quoted() -> None:
    listed = listing(SESSION, MONTHLY)
    expiring_far_out, dropped_by_the_limit = listed["con_id"][0], listed.filter(expiry=MONTHLY)["con_id"][20]

    selected = chain.select(
        listed, PRICES, SESSION, limits(max_contracts=3), held=[expiring_far_out, dropped_by_the_limit]
    )

    assert selected.height == 3
    assert {expiring_far_out, dropped_by_the_limit} < set(selected["con_id"])


def test_more_held_contracts_than_the_limit_are_all_quoted_and_nothing_else() -> None:
    listed = listing(MONTHLY)

    selected = chain.select(listed, PRICES, SESSION, limits(max_contracts=2), held=[1, 2, 3, 99_999])

    assert selected["con_id"].to_list() == [1, 2, 3]


@pytest.mark.parametrize("price", [None, float("nan"), 0.0, -1.0])
def test_without_a_price_only_what_is_held_is_quoted(price: float | None) -> None:
    prices = pl.DataFrame({"symbol": ["SPY"], "price": [price]}, schema=PRICES.schema)

    assert chain.select(listing(MONTHLY), prices, SESSION, limits(), held=[7])["con_id"].to_list() == [7]
    assert chain.select(listing(MONTHLY), prices.clear(), SESSION, limits(), held=[]).is_empty()


def test_beyond_the_limit_the_money_and_the_expiry_of_entries_stay() -> None:
    listed = listing(NEAR, MONTHLY, WEEKLY)

    selected = chain.select(listed, PRICES, SESSION, limits(max_contracts=60), held=[])

    assert selected.height == 60
    monthly, near, weekly = (strikes_of(selected, expiry) for expiry in (MONTHLY, NEAR, WEEKLY))
    assert {94.0, 100.0, 106.0} <= set(monthly)  # the third Friday near the target, though WEEKLY is nearer
    assert {98.0, 100.0, 102.0} <= set(near)  # the other monthly: IV30 lies between the two
    assert len(monthly) > len(near) > len(weekly)


def test_without_a_monthly_near_the_target_the_nearest_expiry_has_most_strikes() -> None:
    listed = listing(NEAR, date(2024, 7, 12), WEEKLY)

    selected = chain.select(listed, PRICES, SESSION, limits(max_contracts=30), held=[])

    assert len(strikes_of(selected, WEEKLY)) > len(strikes_of(selected, NEAR))


def test_underlyings_share_the_limit() -> None:
    listed = listing(MONTHLY, symbols=("SPY", "QQQ"))

    selected = chain.select(listed, PRICES, SESSION, limits(max_contracts=20), held=[])

    assert selected["symbol"].value_counts().sort("symbol")["count"].to_list() == [10, 10]


def test_the_selection_keeps_the_order_of_the_listing_and_each_contract_once() -> None:
    listed = listing(MONTHLY)

    selected = chain.select(pl.concat([listed, listed]), PRICES, SESSION, limits(), held=[5])

    assert selected["con_id"].is_sorted()
    assert selected["con_id"].is_unique().all()


def test_nothing_listed_selects_nothing() -> None:
    empty = CONTRACTS.schema.to_frame()

    assert chain.select(empty, PRICES, SESSION, limits(), held=[1]).schema == empty.schema


def test_option_rows_have_a_row_for_every_contract_asked_also_without_a_quote() -> None:
    selected = listing(MONTHLY).head(3)
    quotes = pl.DataFrame([quote(3, bid=1.0, ask=1.2), quote(1, bid=2.0, ask=2.5)])
    missing = [pl.lit(None).alias(name) for name in QUOTE_COLUMNS if name not in quotes.columns]

    rows = chain.option_rows(selected, quotes.with_columns(missing), PRICES, SESSION, AS_OF)

    assert rows.schema == OPTIONS.schema
    assert rows["con_id"].to_list() == [1, 2, 3]
    assert rows["status"].to_list() == ["ok", "missing", "ok"]
    assert rows["bid"].to_list() == [2.0, None, 1.0]
    assert set(rows["underlying_price"]) == {100.0}
    assert set(rows["underlying"]) == {"SPY"}
    assert set(rows["as_of"]) == {AS_OF}


def test_options_of_an_underlying_without_a_price_say_so_with_null() -> None:
    rows = chain.option_rows(
        listing(MONTHLY).head(1), QUOTE_COLUMNS.to_frame(), PRICES.clear(), SESSION, AS_OF
    )

    assert rows["underlying_price"].to_list() == [None]


def test_the_price_is_the_mid_and_for_an_index_the_last() -> None:
    contracts = pl.DataFrame(
        {"con_id": [1, 2, 3, 4, 5, 6], "security_type": ["STK", "IND", "STK", "STK", "FUT", "IND"]}
    )
    contracts = contracts.with_columns(
        pl.lit(None).cast(kind).alias(name)
        for name, kind in CONTRACT_COLUMNS.items()
        if name not in contracts.columns
    )
    quotes = pl.DataFrame(
        [
            quote(1, bid=99.0, ask=101.0, last=98.0),
            quote(2, bid=None, ask=None, last=15.5),
            quote(3, bid=None, ask=101.0, last=100.0),  # one-sided
            quote(4, bid=102.0, ask=101.0, last=100.0),  # crossed
            quote(5, bid=float("nan"), ask=101.0, last=100.0),
        ]
    )
    missing = [pl.lit(None).alias(name) for name in QUOTE_COLUMNS if name not in quotes.columns]

    rows = chain.quote_rows(
        contracts.select(CONTRACT_COLUMNS.names()), quotes.with_columns(missing), SESSION, AS_OF
    )

    assert rows.schema == UNDERLYINGS.schema
    assert rows["price"].to_list() == [100.0, 15.5, None, None, None, None]
    assert rows["status"].to_list()[-1] == "missing"
