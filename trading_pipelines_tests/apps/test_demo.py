"""The demo as a person runs it: the same seed gives the same session, and a recording is shown as it was."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from trading_pipelines.apps.summary import ground_truth
from trading_pipelines_tests.market_data import LEAN, needs_market_data
from trading_pipelines_tests.simulated_gateway.plain_lean import (
    HALF_DAY_CLOSE,
    MILLISECONDS,
    last_before,
    option_key,
    price,
    rows,
)

COMMAND = Path(sys.executable).with_name("trading-pipelines")
PER_RUN = ("run_id",)


def demo(data: Path, *arguments: str) -> str:
    """What the demo printed; it must have ended well."""
    done = subprocess.run(
        [str(COMMAND), "demo", *arguments],
        env=os.environ
        | {
            "TRADING_PIPELINES_DATA": str(data),
            "TRADING_PIPELINES__SNAPSHOTS__HISTORY_SESSIONS": "80",  # drawing two years takes seconds
            "COLUMNS": "120",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def table(data: Path, group: str, name: str, key: Sequence[str]) -> pl.DataFrame:
    frame = pl.read_delta(str(data / "lake" / group / name))
    return frame.drop(PER_RUN, strict=False).sort(key)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three ticks of three sessions, two of them with the same seed."""
    seeds = {"first": "7", "again": "7", "other": "8"}
    folders = {name: tmp_path_factory.mktemp(name) / "data" for name in seeds}
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(demo, folders[name], "--seed", seed, "--ticks", "3") for name, seed in seeds.items()
        ]
        printed = [run.result() for run in runs]
    assert all("equal the gateway's ground truth" in text for text in printed)
    return folders


def test_the_same_seed_gives_the_same_decisions_orders_and_fills(sessions: dict[str, Path]):
    for group, name, key in (
        ("snapshots", "options", ("as_of", "con_id")),
        ("decisions", "evaluations", ("as_of", "subject", "rule", "strategy")),
        ("execution", "intents", ("as_of", "order_ref")),
        ("execution", "fills", ("exec_id",)),
        ("portfolio", "strategies", ("as_of", "position_id")),
    ):
        first, again = (table(sessions[run], group, name, key) for run in ("first", "again"))
        assert first.equals(again), (group, name)
    decided = [
        table(sessions[run], "decisions", "decisions", ("as_of", "decision_id")).drop("inputs", "config_hash")
        for run in ("first", "again")
    ]
    assert decided[0].equals(decided[1])
    truths = [ground_truth(sessions[run] / "gateway" / "truth.jsonl") for run in ("first", "again")]
    assert truths[0] == truths[1]


def test_another_seed_is_another_market(sessions: dict[str, Path]):
    mids = [
        table(sessions[run], "snapshots", "underlyings", ("as_of", "con_id"))["price"].to_list()
        for run in ("first", "other")
    ]
    assert all(one != other for one, other in zip(*mids, strict=True))


def test_a_rule_closes_a_position_of_the_opening_book(sessions: dict[str, Path]):
    orders = table(sessions["first"], "execution", "orders", ("as_of", "order_ref"))
    assert orders.filter((pl.col("action") == "close") & (pl.col("state") == "filled")).height
    assert ground_truth(sessions["first"] / "gateway" / "truth.jsonl")


@needs_market_data
@pytest.mark.market_data
def test_every_recorded_contract_is_snapshotted_with_the_quote_of_its_files(tmp_path: Path):
    """Through gateway, wire, ib_async and Delta: values equal to the zip files, read here in plain Python."""
    data, ticks = tmp_path / "data", 3
    arguments = ("--replay", str(LEAN), "--date", "2015-12-24", "--underlying", "GOOG", "--ticks", str(ticks))
    demo(data, *arguments)
    recorded = {
        option_key(member): found
        for member, found in rows(LEAN / "option/usa/minute/goog/20151224_quote_american.zip")
    }
    snapshots = table(data, "snapshots", "options", ("as_of", "con_id"))
    opened = datetime(2015, 12, 24, 14, 30, tzinfo=UTC)
    assert snapshots["as_of"].unique().sort().to_list() == [
        opened + timedelta(minutes=5 * k) for k in range(ticks)
    ]
    for (as_of,), tick in snapshots.group_by("as_of"):
        assert isinstance(as_of, datetime)
        assert tick.height == len(recorded) == 2192
        at = (9 * 60 + 30) * MILLISECONDS + int((as_of - opened).total_seconds() * 1000)
        for row in tick.iter_rows(named=True):
            expiry: date = row["expiry"]
            known = last_before(recorded[row["right"], row["strike"], f"{expiry:%Y%m%d}"], at, HALF_DAY_CLOSE)
            expected = (price(known[4]), price(known[9])) if known else (None, None)
            assert (row["bid"], row["ask"]) == expected, row
    reasons = table(data, "decisions", "decisions", ("as_of", "decision_id"))
    assert reasons["reason"].str.len_chars().min() > 0
