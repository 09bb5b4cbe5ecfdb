"""Builders on the recorded GOOG chain of 2015-12-24: real contracts, real quotes, numbers recomputed here.

Quotes are read from the recording by this module itself, and the numbers of a candidate are recomputed
from them with the textbook's formulas, so that nothing under test vouches for itself.
"""

import csv
import io
from datetime import UTC, date, datetime
from zipfile import ZipFile

import polars as pl
import pytest

from trading_pipelines.core.statistics.options import greeks
from trading_pipelines.core.strategies.selection import STRATEGIES, select
from trading_pipelines.core.strategies.strikes import chain
from trading_pipelines.domain.contracts import Side
from trading_pipelines.domain.decisions import Candidate
from trading_pipelines.domain.tables import OPTIONS
from trading_pipelines_tests.builders import parameters
from trading_pipelines_tests.market_data import LEAN, needs_market_data

pytestmark = [needs_market_data, pytest.mark.market_data]

DAY = date(2015, 12, 24)
MONTHLY = date(2016, 2, 19)
AS_OF = datetime(2015, 12, 24, 16, 0, tzinfo=UTC)
"""11:00 in New York."""
UNTIL = 11 * 3_600_000
Key = tuple[str, float]


def last_quote(text: str) -> tuple[float | None, float | None]:
    """Bid and ask of the last bar that ended by 11:00; a side without a price stays as it was.

    Rows: start in milliseconds, bid open, high, low, close, size, ask open, high, low, close, size; × 10,000.
    """
    bid = ask = None
    for row in csv.reader(io.StringIO(text)):
        if int(row[0]) + 60_000 > UNTIL:
            break
        bid = int(row[4]) / 10_000 if row[4] else None
        ask = int(row[9]) / 10_000 if row[9] else None
    return bid, ask


@pytest.fixture(scope="module")
def quotes() -> dict[Key, tuple[float | None, float | None]]:
    found = {}
    with ZipFile(LEAN / "option/usa/minute/goog/20151224_quote_american.zip") as archive:
        for name in archive.namelist():
            *_, right, strike, expiry = name.removesuffix(".csv").split("_")
            if expiry == f"{MONTHLY:%Y%m%d}":
                key = (right[0].upper(), int(strike) / 10_000)
                found[key] = last_quote(archive.read(name).decode())
    return found


@pytest.fixture(scope="module")
def spot() -> float:
    with ZipFile(LEAN / "equity/usa/minute/goog/20151224_quote.zip") as archive:
        bid, ask = last_quote(archive.read(archive.namelist()[0]).decode())
    assert bid is not None
    assert ask is not None
    return (bid + ask) / 2


@pytest.fixture(scope="module")
def rows(quotes: dict[Key, tuple[float | None, float | None]], spot: float) -> pl.DataFrame:
    frame = pl.DataFrame(
        [
            {
                "session": DAY,
                "as_of": AS_OF,
                "underlying": "GOOG",
                "con_id": number,
                "security_type": "OPT",
                "symbol": "GOOG",
                "local_symbol": f"GOOG  {MONTHLY:%y%m%d}{right}{int(strike * 1000):08d}",
                "trading_class": "GOOG",
                "exchange": "SMART",
                "currency": "USD",
                "multiplier": 100.0,
                "expiry": MONTHLY,
                "strike": strike,
                "right": right,
                "bid": bid,
                "ask": ask,
                "quoted_at": AS_OF,
                "market_data_type": 1,
                "status": "ok",
                "underlying_price": spot,
            }
            for number, ((right, strike), (bid, ask)) in enumerate(sorted(quotes.items()), start=1)
        ],
        schema=OPTIONS.schema,
    )
    return chain(frame, greeks(frame, AS_OF, parameters().pricing))


def candidate(rows: pl.DataFrame, strategy: str) -> Candidate:
    shares = {
        "strikes__max_spread_share": 0.25,
        "strikes__min_credit_share_vertical": 0.15,
        "strikes__min_credit_share_condor": 0.15,
    }
    found = select(rows, strategy, DAY, parameters(**shares))
    assert isinstance(found, Candidate), found
    return found


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_is_built_from_contracts_that_were_quoted_on_both_sides(
    strategy: str, rows: pl.DataFrame, quotes: dict[Key, tuple[float | None, float | None]]
) -> None:
    found = candidate(rows, strategy)
    assert (found.expiry, found.dte) == (MONTHLY, 57)
    price = natural = 0.0
    for leg in found.legs:
        contract = leg.contract
        assert contract.right is not None
        assert contract.strike is not None
        bid, ask = quotes[contract.right.value, contract.strike]
        assert bid is not None
        assert ask is not None
        assert 0 < bid <= ask
        assert ask - bid <= max(0.25 * (bid + ask) / 2, 0.02)
        bought = leg.side is Side.BUY
        price += (1 if bought else -1) * (bid + ask) / 2
        natural += ask if bought else -bid
    assert (found.price, found.natural) == pytest.approx((price, natural))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_profit_loss_and_break_evens_are_the_textbooks(strategy: str, rows: pl.DataFrame) -> None:
    found = candidate(rows, strategy)
    strikes = [leg.contract.strike or 0.0 for leg in found.legs]
    if strategy == "iron_condor":
        credit = -found.price
        widest = max(strikes[1] - strikes[0], strikes[3] - strikes[2])
        expected = (credit, widest - credit, (strikes[1] - credit, strikes[2] + credit))
    else:
        width = abs(strikes[0] - strikes[1])
        # The first leg is the one nearer to the money; the premium moves the break-even from it.
        anchor, premium = strikes[0], abs(found.price)
        rising = strategy in {"bear_call", "bull_call"}
        even = anchor + premium if rising else anchor - premium
        won, lost = (premium, width - premium) if found.price < 0 else (width - premium, premium)
        expected = (won, lost, (even,))
    assert (found.max_profit, found.max_loss) == pytest.approx(expected[:2])
    assert found.break_evens == pytest.approx(expected[2])


def test_short_strikes_lie_where_their_deltas_say(rows: pl.DataFrame, spot: float) -> None:
    found = candidate(rows, "iron_condor")
    long_put, short_put, short_call, long_call = (leg.contract.strike or 0.0 for leg in found.legs)
    assert long_put < short_put < spot < short_call < long_call
    assert found.short_delta == pytest.approx(0.16, abs=0.03)
