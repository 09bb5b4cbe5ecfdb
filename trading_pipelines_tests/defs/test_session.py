"""A whole day on one gateway: plan, three ticks, report, Globex, the next plan.

Every number is worked out again, in plain Python, from the snapshots and from the gateway's own log.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import dagster as dg
import pytest

from trading_pipelines.domain import tables
from trading_pipelines.domain.positions import StrategyPosition
from trading_pipelines.domain.tables import Table
from trading_pipelines.simulated_gateway.market import SyntheticMarket
from trading_pipelines_tests.defs.floor import (
    BEFORE_OPEN,
    CLOSE,
    DAY,
    NEXT_TICK,
    SESSION,
    TICK,
    Floor,
    opened,
    said,
)

LAST_TICK = datetime(2024, 6, 12, 19, 55, tzinfo=UTC)
AFTER_CLOSE = datetime(2024, 6, 12, 20, 15, tzinfo=UTC)
EVENING = datetime(2024, 6, 12, 22, 5, tzinfo=UTC)  # 18:05 New York: the next trade date
NEXT_SESSION = date(2024, 6, 13)
NEXT_MORNING = datetime(2024, 6, 13, 13, 0, tzinfo=UTC)
TICKS = (TICK, NEXT_TICK, LAST_TICK)

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Day:
    """What the day left behind."""

    floor: Floor
    results: dict[tuple[str, datetime], dg.ExecuteInProcessResult]

    def rows(self, table: Table, **scope: Any) -> Rows:
        return self.floor.lake.read(table, **scope).rows(named=True)

    def text(self, job: str, at: datetime, table: Table) -> list[str]:
        """Lines of the text that an asset left with its materialization."""
        (event,) = [
            each.step_materialization_data.materialization
            for each in self.results[job, at].get_asset_materialization_events()
            if each.asset_key == dg.AssetKey(list(table.path))
        ]
        assert event.metadata["delivered"].value is False  # there is no Slack token
        return str(event.metadata["text"].value).splitlines()


@pytest.fixture(scope="module")
def day(
    tmp_path_factory: pytest.TempPathFactory, market: SyntheticMarket, book: tuple[StrategyPosition, ...]
) -> Iterator[Day]:
    """Every job of a day at its time; rows carry the close where the report is made after it."""
    moments = [("pre_open", BEFORE_OPEN, BEFORE_OPEN, SESSION)]
    moments += [("trading_cycle", tick, tick, SESSION) for tick in TICKS]
    moments += [
        ("end_of_day", AFTER_CLOSE, CLOSE, SESSION),
        ("futures_snapshots", EVENING, EVENING, NEXT_SESSION),
    ]
    moments += [("pre_open", NEXT_MORNING, NEXT_MORNING, NEXT_SESSION)]
    results = {}
    with opened(tmp_path_factory.mktemp("day") / "data", market, book, config=DAY) as floor:
        for job, at, as_of, partition in moments:
            floor.gateway.control.step(at)
            results[job, at] = floor.launch(as_of, job=job, session=partition)
            assert said(results[job, at]) == {}
        yield Day(floor, results)


def of_kind(day: Day, kind: str) -> Rows:
    return day.floor.gateway.gateway.venue.truth.of_kind(kind)


def test_orders_and_fills_are_the_gateways(day: Day) -> None:
    orders, fills = day.rows(tables.ORDERS, session=SESSION), day.rows(tables.FILLS, session=SESSION)
    received = [order["order_ref"] for order in of_kind(day, "order")]
    assert received
    assert sorted({order["order_ref"] for order in orders}) == sorted(received)
    executed = [
        (each["exec_id"], each["side"], each["quantity"], each["price"]) for each in of_kind(day, "fill")
    ]
    assert sorted((row["exec_id"], row["side"], row["quantity"], row["price"]) for row in fills) == sorted(
        executed
    )


def test_every_tick_quotes_what_is_held_and_no_more_than_allowed(
    day: Day, book: tuple[StrategyPosition, ...]
) -> None:
    legs = {leg.contract.con_id for position in book for leg in position.legs}
    for tick in TICKS:
        options = day.rows(tables.OPTIONS, session=SESSION, as_of=tick)
        assert 200 < len(options) <= 300
        held = {row["con_id"] for row in day.rows(tables.POSITIONS, session=SESSION, as_of=tick)}
        assert held <= legs
        assert held <= {row["con_id"] for row in options}
        assert {row["symbol"] for row in day.rows(tables.UNDERLYINGS, session=SESSION, as_of=tick)} == {
            *("SPY", "QQQ", "IWM", "VIX", "VIX3M")
        }
        assert {row["symbol"] for row in day.rows(tables.FUTURES, session=SESSION, as_of=tick)} == {
            "ES",
            "NQ",
            "RTY",
        }


def test_performance_is_the_account_the_fills_and_the_greeks(day: Day) -> None:
    account = {row["as_of"]: row["net_liquidation"] for row in day.rows(tables.ACCOUNT, session=SESSION)}
    fills = [each for each in of_kind(day, "fill") if each["security_type"] != "BAG"]
    performance = {row["as_of"]: row for row in day.rows(tables.PERFORMANCE, session=SESSION)}
    assert set(performance) == set(TICKS)
    for tick in TICKS:
        row = performance[tick]
        price = {
            each["symbol"]: each["price"]
            for each in day.rows(tables.UNDERLYINGS, session=SESSION, as_of=tick)
        }
        held = day.rows(tables.STRATEGIES, session=SESSION, as_of=tick)
        until = [each for each in fills if datetime.fromisoformat(each["at"]) <= tick]
        assert row["net_liquidation"] == account[tick]
        assert row["session_pnl_usd"] == pytest.approx(account[tick] - account[TICK])
        assert row["commissions_usd"] == pytest.approx(sum(each["commission"] for each in until))
        assert row["realised_pnl_usd"] == pytest.approx(sum(each["realised_pnl"] for each in until))
        assert row["fills"] == len(until)
        assert row["orders"] == sum(
            datetime.fromisoformat(each["at"]) <= tick for each in of_kind(day, "order")
        )
        assert row["open_positions"] == len(held)
        assert row["unrealised_pnl_usd"] == pytest.approx(
            sum((each["mark"] - each["entry_price"]) * 100 * each["units"] for each in held)
        )
        assert row["delta_usd"] == pytest.approx(
            sum(each["delta"] * price[each["underlying"]] * 100 * each["units"] for each in held)
        )
        assert row["theta_per_day_usd"] == pytest.approx(
            sum(each["theta_per_day"] * 100 * each["units"] for each in held)
        )


def test_session_statistics_are_those_of_the_ticks(day: Day) -> None:
    statistics = {row["underlying"]: row for row in day.rows(tables.SESSION_STATISTICS, session=SESSION)}
    assert set(statistics) == {"SPY", "QQQ", "IWM", "VIX", "VIX3M"}
    for symbol, row in statistics.items():
        quotes = [each for each in day.rows(tables.UNDERLYINGS, session=SESSION) if each["symbol"] == symbol]
        prices = [each["price"] for each in sorted(quotes, key=lambda each: each["as_of"])]
        assert (row["open"], row["close"]) == (prices[0], prices[-1])
        assert (row["high"], row["low"]) == (max(prices), min(prices))
        assert (row["snapshots"], row["expected"]) == (3, 78)
        returns = [math.log(after / before) for before, after in pairwise(prices)]
        variance = sum(each**2 for each in returns) / len(returns) * 78 * 252
        assert row["realised_volatility"] == pytest.approx(math.sqrt(variance))
        implied = [
            each
            for each in day.rows(tables.OPTION_STATISTICS, session=SESSION)
            if each["underlying"] == symbol
        ]
        if implied:
            levels = [each["iv30"] for each in implied if each["iv30"] is not None]
            assert (row["iv30_open"], row["iv30_close"]) == (levels[0], levels[-1])
            assert row["iv_rank_close"] == [each["iv_rank"] for each in implied if each["iv_rank"]][-1]
            assert row["quoted_share"] == pytest.approx(quoted_share(day, symbol))
        else:
            assert row["iv30_open"] is None
            assert row["quoted_share"] is None


def quoted_share(day: Day, underlying: str) -> float:
    """Mean over the ticks of the options that had two sides, of those asked."""
    shares = []
    for tick in TICKS:
        asked = [
            each
            for each in day.rows(tables.OPTIONS, session=SESSION, as_of=tick)
            if each["underlying"] == underlying
        ]
        shares.append(sum(bool(each["bid"]) and bool(each["ask"]) for each in asked) / len(asked))
    return sum(shares) / len(shares)


def test_the_report_takes_each_position_apart_by_greek(day: Day) -> None:
    report = day.rows(tables.REPORT, session=SESSION)
    first, last = (
        {row["position_id"]: row for row in day.rows(tables.STRATEGIES, session=SESSION, as_of=tick)}
        for tick in (TICK, LAST_TICK)
    )
    assert {row["position_id"] for row in report} == set(last)
    assert {"bull_put", "bear_call"} <= {row["strategy"] for row in report}
    for row in report:
        before, after = first[row["position_id"]], last[row["position_id"]]
        dollars = 100 * after["units"]
        (at_first, at_last) = (market(day, row["underlying"], tick) for tick in (TICK, LAST_TICK))
        step = at_last["price"] - at_first["price"]
        days = (LAST_TICK - TICK).total_seconds() / 86_400
        parts = {
            "delta_pnl_usd": before["delta"] * step * dollars,
            "gamma_pnl_usd": before["gamma"] * step**2 / 2 * dollars,
            "theta_pnl_usd": before["theta_per_day"] * days * dollars,
        }
        if at_first["iv30"] is None or at_last["iv30"] is None:
            assert row["vega_pnl_usd"] is None
        else:
            points = 100 * (at_last["iv30"] - at_first["iv30"])
            parts["vega_pnl_usd"] = before["vega_per_vol_point"] * points * dollars
        assert row["as_of"] == CLOSE
        assert row["pnl_usd"] == pytest.approx((after["mark"] - before["mark"]) * dollars)
        for name, usd in parts.items():
            assert row[name] == pytest.approx(usd), name
        assert row["residual_usd"] == pytest.approx(row["pnl_usd"] - sum(parts.values()))
        (rule,) = [
            each
            for each in day.rows(tables.EVALUATIONS, session=SESSION, as_of=LAST_TICK)
            if (each["subject"], each["rule"]) == (row["position_id"], row["nearest_rule"])
        ]
        assert (row["value"], row["threshold"]) == (rule["value"], rule["threshold"])
        assert abs(row["distance"]) == pytest.approx(abs(rule["threshold"] - rule["value"]))


def market(day: Day, underlying: str, tick: datetime) -> dict[str, Any]:
    (price,) = [
        row["price"]
        for row in day.rows(tables.UNDERLYINGS, session=SESSION, as_of=tick)
        if row["symbol"] == underlying
    ]
    (iv30,) = [
        row["iv30"]
        for row in day.rows(tables.OPTION_STATISTICS, session=SESSION, as_of=tick)
        if row["underlying"] == underlying
    ]
    return {"price": price, "iv30": iv30}


def test_the_report_is_told_in_words(day: Day) -> None:
    report = day.rows(tables.REPORT, session=SESSION)
    head, *lines = day.text("end_of_day", AFTER_CLOSE, tables.REPORT)
    total = sum(row["pnl_usd"] for row in report)
    assert head == f"End of day 2024-06-12: {total:+,.0f} dollars in {len(report)} positions"
    for row, line in zip(report, lines, strict=True):
        assert line.startswith(f"· {row['underlying']} {row['strategy']} ×{row['units']}: ")
        assert f"next is {row['nearest_rule']} at " in line


def test_the_plan_before_anything_is_known_judges_by_dates_alone(
    day: Day, book: tuple[StrategyPosition, ...]
) -> None:
    plan = {row["subject"]: row for row in day.rows(tables.PLAN, session=SESSION)}
    entries = {f"entry:{symbol}" for symbol in ("SPY", "QQQ", "IWM")}
    assert set(plan) == {position.position_id for position in book} | entries
    for position in book:
        assert position.expiry is not None
        row, dte = plan[position.position_id], (position.expiry - SESSION).days
        assert (row["nearest_rule"], row["value"], row["threshold"], row["distance"]) == (
            "dte_roll",
            dte,
            21,
            dte - 21,
        )
    assert [plan[entry]["allowed"] for entry in sorted(entries)] == [False] * 3
    first, second, *rest = day.text("pre_open", BEFORE_OPEN, tables.PLAN)
    assert (first, second) == ("Plan for 2024-06-12", "Positions, nearest to a rule first (3):")
    assert rest[0].startswith("· SPY iron_condor: dte_roll fires at 21.0")  # it is overdue


def test_the_next_plan_rests_on_the_last_marks(day: Day) -> None:
    plan = {row["subject"]: row for row in day.rows(tables.PLAN, session=NEXT_SESSION)}
    valued = {
        row["position_id"]: row for row in day.rows(tables.STRATEGIES, session=SESSION, as_of=LAST_TICK)
    }
    assert {subject for subject in plan if not subject.startswith("entry:")} == set(valued)
    for position_id, known in valued.items():
        row = plan[position_id]
        loss = known["entry_price"] - known["mark"]
        expected = {"take_profit": known["captured_percent"], "stop_loss": loss, "dte_roll": known["dte"] - 1}
        assert row["value"] == pytest.approx(expected[row["nearest_rule"]])
    for entry in ("entry:SPY", "entry:QQQ", "entry:IWM"):
        assert "entries are switched off" in plan[entry]["reason"]
        assert "data_quality" not in plan[entry]["reason"]


def test_the_evening_belongs_to_the_next_trade_date(day: Day) -> None:
    rows = day.rows(tables.GLOBEX)
    assert {(row["trade_date"], row["as_of"]) for row in rows} == {(NEXT_SESSION, EVENING)}
    assert sorted(row["symbol"] for row in rows) == ["ES", "NQ", "RTY"]
    assert all(row["bid"] <= row["price"] <= row["ask"] for row in rows)


def test_a_person_is_told_of_each_thing_once(day: Day) -> None:
    told = day.rows(tables.ALERTS, session=SESSION)
    keys = [row["key"] for row in told]
    assert len(keys) == len(set(keys))
    acted = [
        row
        for row in day.rows(tables.DECISIONS, session=SESSION)
        if row["action"] not in {"hold", "no_entry"}
    ]
    assert {f"decision {row['decision_id']}" for row in acted} <= set(keys)
    assert {f"order {order['order_ref']} filled" for order in of_kind(day, "order")} <= set(keys)


def test_every_derived_row_says_which_run_made_it(day: Day) -> None:
    runs = {result.run_id for result in day.results.values()}
    for table in tables.TABLES:
        if "run_id" in table.schema:
            frame = day.floor.lake.read(table)
            assert set(frame["run_id"]) <= runs, table.name
            assert frame["code_version"].null_count() == 0
            assert frame.height or table is tables.ORDERS
