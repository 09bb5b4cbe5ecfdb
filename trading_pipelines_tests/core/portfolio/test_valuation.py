"""Values of positions on the builders' chain, added up by hand.

Mids: puts 460 1.10, 470 2.30, 475 2.75, 485 4.90; calls 500 11.90, 510 6.70, 530 2.20, 540 0.70, each
quoted two cents either side.
"""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from trading_pipelines.core.portfolio.valuation import mark, value
from trading_pipelines.domain.contracts import Contract, Right, SecurityType, Side
from trading_pipelines.domain.positions import PositionStatus, StrategyPosition
from trading_pipelines.domain.tables import FUTURES, POSITIONS, STRATEGIES, UNDERLYINGS
from trading_pipelines_tests.builders import (
    AS_OF,
    SESSION,
    broker_position,
    bull_call,
    bull_put,
    chain,
    con_id,
    condor,
    greek_rows,
    leg,
    option,
    option_rows,
    parameters,
)

DERIVED = {"run_id", "code_version"}


def valued(position: StrategyPosition, options: pl.DataFrame | None = None, **greeks: Any) -> dict[str, Any]:
    quotes = option_rows() if options is None else options
    rows = value([position], quotes, greek_rows(chain(**greeks)), SESSION, AS_OF, parameters().quality)
    return rows.row(0, named=True)


def without(strike: float, column: str = "bid") -> pl.DataFrame:
    gone = pl.when(pl.col("strike") == strike).then(None).otherwise(pl.col(column))
    return option_rows(chain().with_columns(gone.alias(column)))


def test_a_condor_is_worth_its_legs_and_costs_their_far_sides_to_close() -> None:
    row = valued(condor())
    # Held: 1.10 − 2.30 − 2.20 + 0.70 = −2.70. Closing pays 2.32 + 2.22 and gets 1.08 + 0.68.
    assert row["mark"] == pytest.approx(-2.70)
    assert row["cost_to_close"] == pytest.approx(2.78)
    # Sold for 3.00: 0.30 of it is earned, times 100 × 2 units, the multiplier once.
    assert row["captured_percent"] == pytest.approx(10.0)
    assert row["unrealised_pnl_usd"] == pytest.approx(60.0)
    assert row["dte"] == 37
    assert row["short_delta"] == pytest.approx(0.16)
    # −0.08 + 0.16 − 0.16 + 0.07.
    assert row["delta"] == pytest.approx(-0.01)
    assert (row["data_status"], row["quoted_at"]) == ("fresh", AS_OF)


def test_a_credit_captures_of_its_credit_and_a_debit_spread_of_its_possible_profit() -> None:
    # Bull put sold for 2.50, now 2.15: 0.35 of 2.50.
    assert valued(bull_put())["captured_percent"] == pytest.approx(14.0)
    # Bull call bought for 4.00, now 11.90 − 6.70 = 5.20: 1.20 of the 6.00 it can win.
    row = valued(bull_call())
    assert row["captured_percent"] == pytest.approx(20.0)
    assert row["cost_to_close"] == pytest.approx(-5.16)
    assert row["unrealised_pnl_usd"] == pytest.approx(120.0)


def test_a_single_bought_option_captures_of_its_cost() -> None:
    single = bull_call(legs=(leg(Right.CALL, 500, Side.BUY),), strategy="long_call", entry_price=10.0)
    # 11.90 for 10.00.
    assert valued(single)["captured_percent"] == pytest.approx(19.0)


def test_greeks_carry_the_sign_of_each_leg() -> None:
    # Twice the vega on every sold strike: 0.50 − 1.00 − 1.00 + 0.50.
    vega = pl.when(pl.col("strike").is_in([470.0, 530.0])).then(1.0).otherwise(0.5)
    greeks = greek_rows(chain().with_columns(vega_per_vol_point=vega))
    rows = value([condor()], option_rows(), greeks, SESSION, AS_OF, parameters().quality)
    assert rows.item(0, "vega_per_vol_point") == pytest.approx(-1.0)


@pytest.mark.parametrize("column", ["bid", "ask"])
def test_a_leg_without_two_sides_leaves_the_position_without_a_value(column: str) -> None:
    row = valued(condor(), without(530, column))
    assert row["data_status"] == "missing"
    for name in ("mark", "cost_to_close", "captured_percent", "unrealised_pnl_usd"):
        assert row[name] is None, name


@pytest.mark.parametrize(
    "spoilt", [{"bid": 9.0}, {"ask": float("nan")}, {"ask": float("inf")}, {"bid": -1.0}]
)
def test_a_crossed_or_broken_quote_is_no_quote(spoilt: dict[str, float]) -> None:
    (name, broken), *_ = spoilt.items()
    column = pl.when(pl.col("strike") == 530).then(broken).otherwise(pl.col(name))
    row = valued(condor(), option_rows(chain().with_columns(column.alias(name))))
    assert row["data_status"] == "missing"


def test_a_contract_that_is_not_in_the_snapshot_is_missing() -> None:
    assert valued(condor(), option_rows().filter(pl.col("strike") != 530))["data_status"] == "missing"


def test_a_worthless_option_without_a_bid_can_still_be_valued() -> None:
    zero = pl.when(pl.col("strike") == 540).then(0.0).otherwise(pl.col("bid"))
    row = valued(condor(), option_rows(chain().with_columns(zero.alias("bid"))))
    # The 540 call is now worth (0 + 0.72) / 2.
    assert row["mark"] == pytest.approx(-2.70 - 0.70 + 0.36)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"quoted_at": AS_OF - timedelta(seconds=60)}, "fresh"),
        ({"quoted_at": AS_OF - timedelta(seconds=61)}, "stale"),
        ({"quoted_at": None}, "stale"),
        ({"market_data_type": 2}, "stale"),
        ({"market_data_type": None}, "stale"),
    ],
)
def test_old_frozen_and_unstamped_quotes_are_stale(changes: dict[str, Any], status: str) -> None:
    rows = option_rows(**changes)
    row = valued(condor(), rows)
    assert row["data_status"] == status
    assert row["mark"] == pytest.approx(-2.70)


def test_one_old_leg_makes_the_position_stale() -> None:
    old = pl.when(pl.col("strike") == 530).then(pl.lit(AS_OF - timedelta(minutes=5))).otherwise("quoted_at")
    row = valued(condor(), option_rows().with_columns(old.alias("quoted_at").cast(pl.Datetime("us", "UTC"))))
    assert (row["data_status"], row["quoted_at"]) == ("stale", AS_OF - timedelta(minutes=5))


def test_a_peak_is_remembered_and_moves_on_fresh_quotes_only() -> None:
    assert valued(condor(peak_captured=4.0))["peak_captured"] == pytest.approx(10.0)
    assert valued(condor(peak_captured=40.0))["peak_captured"] == 40.0
    stale = option_rows(market_data_type=2)
    assert valued(condor(peak_captured=4.0), stale)["peak_captured"] == 4.0
    assert valued(condor(peak_captured=4.0), without(530))["peak_captured"] == 4.0


def test_the_brokers_greeks_stand_in_for_ours_and_none_means_none() -> None:
    ours = chain().with_columns(delta=pl.when(pl.col("strike") == 530).then(None).otherwise(pl.col("delta")))
    options = option_rows(model_delta=0.20)
    rows = value([condor()], options, greek_rows(ours), SESSION, AS_OF, parameters().quality)
    # −0.08 + 0.16 − 0.20 + 0.07.
    assert rows.item(0, "delta") == pytest.approx(-0.05)
    rows = value([condor()], option_rows(), greek_rows(ours), SESSION, AS_OF, parameters().quality)
    assert rows.item(0, "delta") is None
    assert rows.item(0, "short_delta") is None
    assert rows.item(0, "mark") == pytest.approx(-2.70)


def test_strategies_have_the_tables_columns_and_leave_closed_positions_out() -> None:
    positions = [condor(), bull_put(status=PositionStatus.CLOSED)]
    rows = value(positions, option_rows(), greek_rows(), SESSION, AS_OF, parameters().quality)
    expected = {k: v for k, v in STRATEGIES.schema.items() if k not in DERIVED}
    assert dict(rows.schema) == expected
    assert rows.get_column("position_id").to_list() == ["condor-1"]
    assert (
        dict(value([], option_rows(), greek_rows(), SESSION, AS_OF, parameters().quality).schema) == expected
    )


def stock(name: str = "SPY", con: int = 9) -> Contract:
    return Contract(con_id=con, security_type=SecurityType.STOCK, symbol=name, exchange="SMART")


def test_the_brokers_positions_are_marked_with_their_owners() -> None:
    underlyings = pl.DataFrame([{"con_id": 9, "price": 501.0}], schema_overrides=UNDERLYINGS.schema)
    futures = pl.DataFrame(schema={"con_id": FUTURES.schema["con_id"], "price": FUTURES.schema["price"]})
    held = [
        broker_position(option(Right.PUT, 470), -3, average_cost=250.0),
        broker_position(stock(), 10, average_cost=400.0),
        broker_position(stock("XYZ", 11), 5),
    ]
    ours = [condor(), bull_put(legs=(leg(Right.PUT, 470, Side.SELL),))]
    rows = mark(held, ours, option_rows(), underlyings, futures, SESSION, AS_OF)
    by_id = {row["con_id"]: row for row in rows.iter_rows(named=True)}
    put = by_id[con_id(Right.PUT, 470)]
    # −3 × 2.30 × 100; sold for 250 a contract: 3 × (250 − 230).
    assert put["market_value_usd"] == pytest.approx(-690.0)
    assert put["unrealised_pnl_usd"] == pytest.approx(60.0)
    assert put["position_ids"] == "bull-put-1,condor-1"
    assert by_id[9]["unrealised_pnl_usd"] == pytest.approx(1_010.0)
    assert (by_id[11]["mark"], by_id[11]["market_value_usd"], by_id[11]["position_ids"]) == (None, None, "")
    assert dict(rows.schema) == {k: v for k, v in POSITIONS.schema.items() if k not in DERIVED}
    assert mark([], [], option_rows(), underlyings, futures, SESSION, AS_OF).schema == rows.schema
