"""Small literal objects for tests: parameters, a chain, positions, valued positions, intents.

The chain is one expiry of SPY at 500 on 2024-06-12, with quotes chosen so that a reader can add them
up: every option is quoted two cents around its mid.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from trading_pipelines.core.risk.facts import LegQuote, RiskFacts
from trading_pipelines.core.strategies.strikes import CHAIN_COLUMNS
from trading_pipelines.domain.contracts import Contract, Right, SecurityType, Side
from trading_pipelines.domain.orders import Action, EntryContext, OpeningTerms, OrderIntent, OrderLeg
from trading_pipelines.domain.parameters import Parameters
from trading_pipelines.domain.positions import BrokerPosition, PositionStatus, StrategyPosition
from trading_pipelines.domain.tables import OPTION_GREEKS, OPTIONS, STRATEGIES

SESSION = date(2024, 6, 12)
AS_OF = datetime(2024, 6, 12, 15, 0, tzinfo=UTC)
"""11:00 in New York: 90 minutes after the open."""
EXPIRY = date(2024, 7, 19)
"""The third Friday of July: 37 days after the session."""
ACCOUNT = "DU1234567"
ENTRY = EntryContext(underlying_price=500.0, iv30=0.20, iv_rank=50.0, vix=18.0)

# By strike: mid and delta.
PUTS = {
    460: (1.10, -0.08),
    465: (1.60, -0.12),
    470: (2.30, -0.16),
    475: (2.75, -0.20),
    480: (3.70, -0.25),
    485: (4.90, -0.30),
    490: (6.20, -0.37),
    495: (7.90, -0.43),
    500: (9.90, -0.49),
}
CALLS = {
    500: (11.90, 0.51),
    505: (9.10, 0.44),
    510: (6.70, 0.37),
    515: (5.00, 0.30),
    520: (3.80, 0.24),
    525: (2.90, 0.20),
    530: (2.20, 0.16),
    535: (1.35, 0.11),
    540: (0.70, 0.07),
}


def parameters(**overrides: Any) -> Parameters:
    """config/base.yaml with single keys replaced: `parameters(exits__roll_enabled=False)`."""
    base = yaml.safe_load((Path(__file__).parents[1] / "config" / "base.yaml").read_text())
    for key, value in overrides.items():
        group, _, name = key.partition("__")
        base[group][name] = value
    return Parameters.model_validate(base)


def con_id(right: Right, strike: float) -> int:
    """The contract id of an option of the chain: 1 or 2 for call or put, then the strike."""
    return int((1 if right is Right.CALL else 2) * 1_000_000 + strike * 100)


def option(right: Right, strike: float, *, expiry: date = EXPIRY, symbol: str = "SPY") -> Contract:
    """One option of the chain."""
    return Contract(
        con_id=con_id(right, strike),
        security_type=SecurityType.OPTION,
        symbol=symbol,
        exchange="SMART",
        local_symbol=f"{symbol}   {expiry:%y%m%d}{right.value}{int(strike * 1000):08d}",
        trading_class=symbol,
        multiplier=100.0,
        expiry=expiry,
        strike=strike,
        right=right,
    )


def leg(right: Right, strike: float, side: Side, *, expiry: date = EXPIRY, symbol: str = "SPY") -> OrderLeg:
    """One contract of the chain, bought or sold."""
    return OrderLeg(contract=option(right, strike, expiry=expiry, symbol=symbol), ratio=1, side=side)


def chain_row(right: Right, strike: float, mid: float, delta: float, **changes: Any) -> dict[str, Any]:
    """One row of the chain; `changes` replace columns."""
    contract = option(right, strike, expiry=changes.get("expiry", EXPIRY)).model_dump(mode="python")
    return {
        "underlying": "SPY",
        **{name: contract[name] for name in CHAIN_COLUMNS if name in contract},
        "security_type": "OPT",
        "right": right.value,
        "bid": round(mid - 0.02, 4),
        "ask": round(mid + 0.02, 4),
        "mid": mid,
        "spot": 500.0,
        "delta": delta,
        "gamma": 0.010,
        "vega_per_vol_point": 0.50,
        "theta_per_day": -0.15,
        **changes,
    }


def chain(**changes: Any) -> pl.DataFrame:
    """The whole chain; `changes` replace columns of every row."""
    puts = [chain_row(Right.PUT, strike, *quote, **changes) for strike, quote in PUTS.items()]
    calls = [chain_row(Right.CALL, strike, *quote, **changes) for strike, quote in CALLS.items()]
    return pl.DataFrame(puts + calls, schema=CHAIN_COLUMNS)


def option_rows(rows: pl.DataFrame | None = None, **changes: Any) -> pl.DataFrame:
    """The chain as OPTIONS rows (snapshot), quoted live at the tick."""
    source = chain() if rows is None else rows
    values = {
        "session": SESSION,
        "as_of": AS_OF,
        "quoted_at": AS_OF,
        "market_data_type": 1,
        "status": "ok",
        "underlying_price": 500.0,
        **changes,
    }
    return _complete(source.with_columns(**{k: pl.lit(v) for k, v in values.items()}), OPTIONS.schema)


def greek_rows(rows: pl.DataFrame | None = None) -> pl.DataFrame:
    """The chain as OPTION_GREEKS rows, without the derived columns."""
    source = chain() if rows is None else rows
    stamped = source.with_columns(session=pl.lit(SESSION), as_of=pl.lit(AS_OF))
    return _complete(stamped, OPTION_GREEKS.schema).drop("run_id", "code_version")


CONDOR_LEGS = (
    leg(Right.PUT, 460, Side.BUY),
    leg(Right.PUT, 470, Side.SELL),
    leg(Right.CALL, 530, Side.SELL),
    leg(Right.CALL, 540, Side.BUY),
)
BULL_PUT_LEGS = (leg(Right.PUT, 485, Side.SELL), leg(Right.PUT, 475, Side.BUY))
BULL_CALL_LEGS = (leg(Right.CALL, 500, Side.BUY), leg(Right.CALL, 510, Side.SELL))


def condor(**changes: Any) -> StrategyPosition:
    """An iron condor sold for 3.00: two units, max loss 7.00 a share."""
    return _position(
        {
            "position_id": "condor-1",
            "strategy": "iron_condor",
            "legs": CONDOR_LEGS,
            "units": 2,
            "entry_price": -3.00,
            "max_profit": 3.00,
            "max_loss": 7.00,
            **changes,
        }
    )


def bull_put(**changes: Any) -> StrategyPosition:
    """A bull put spread sold for 2.50: one unit, max loss 7.50 a share."""
    return _position(
        {
            "position_id": "bull-put-1",
            "strategy": "bull_put",
            "legs": BULL_PUT_LEGS,
            "units": 1,
            "entry_price": -2.50,
            "max_profit": 2.50,
            "max_loss": 7.50,
            **changes,
        }
    )


def bull_call(**changes: Any) -> StrategyPosition:
    """A bull call spread bought for 4.00: one unit, max profit 6.00 a share."""
    return _position(
        {
            "position_id": "bull-call-1",
            "strategy": "bull_call",
            "legs": BULL_CALL_LEGS,
            "units": 1,
            "entry_price": 4.00,
            "max_profit": 6.00,
            "max_loss": 4.00,
            **changes,
        }
    )


def broker_position(contract: Contract, quantity: float, average_cost: float = 100.0) -> BrokerPosition:
    """What the broker says it holds."""
    return BrokerPosition(account=ACCOUNT, contract=contract, quantity=quantity, average_cost=average_cost)


def valued(**changes: Any) -> dict[str, Any]:
    """A STRATEGIES row of a healthy iron condor: sold for 3.00, now worth 2.50, 37 days to go."""
    return {
        "session": SESSION,
        "as_of": AS_OF,
        "account": ACCOUNT,
        "position_id": "condor-1",
        "underlying": "SPY",
        "strategy": "iron_condor",
        "status": "open",
        "units": 2,
        "multiplier": 100.0,
        "legs": "[]",
        "expiry": EXPIRY,
        "dte": 37,
        "opened_session": date(2024, 6, 3),
        "entry_price": -3.00,
        "entry_underlying": 500.0,
        "entry_iv30": 0.20,
        "entry_vix": 18.0,
        "max_profit": 3.00,
        "max_loss": 7.00,
        "mark": -2.50,
        "cost_to_close": 2.60,
        "captured_percent": 100 * 0.5 / 3,
        "peak_captured": 20.0,
        "unrealised_pnl_usd": 100.0,
        "delta": 0.02,
        "gamma": -0.002,
        "vega_per_vol_point": -0.30,
        "theta_per_day": 0.08,
        "short_delta": 0.18,
        "rolls": 0,
        "quoted_at": AS_OF,
        "data_status": "fresh",
        **changes,
    }


def valued_frame(*rows: dict[str, Any]) -> pl.DataFrame:
    """STRATEGIES rows, without the derived columns."""
    schema = {k: v for k, v in STRATEGIES.schema.items() if k not in {"run_id", "code_version"}}
    return pl.DataFrame(list(rows), schema=schema)


def opening_intent(**changes: Any) -> OrderIntent:
    """An order that opens one condor for a credit of 2.67: max loss 7.33 a share, 733 dollars."""
    values: dict[str, Any] = {
        "order_ref": "tp1-opening",
        "decision_id": "decision-open",
        "account": ACCOUNT,
        "session": SESSION,
        "as_of": AS_OF,
        "attempt": 1,
        "position_id": "condor-new",
        "underlying": "SPY",
        "strategy": "iron_condor",
        "action": Action.OPEN,
        "rule": "regime",
        "legs": CONDOR_LEGS,
        "units": 1,
        "limit_price": -2.67,
        "tif": "DAY",
        "multiplier": 100.0,
        "opens": OpeningTerms(max_profit=2.67, max_loss=7.33, entry=ENTRY, rolls=0),
        **changes,
    }
    return OrderIntent(**values)


def closing_intent(**changes: Any) -> OrderIntent:
    """An order that closes two condors for a debit of 2.72."""
    return opening_intent(
        **{
            "order_ref": "tp1-closing",
            "decision_id": "decision-close",
            "position_id": "condor-1",
            "action": Action.CLOSE,
            "rule": "take_profit",
            "legs": tuple(leg.model_copy(update={"side": leg.side.opposite}) for leg in CONDOR_LEGS),
            "units": 2,
            "limit_price": 2.72,
            "opens": None,
            **changes,
        }
    )


def leg_quotes(**changes: Any) -> tuple[LegQuote, ...]:
    """The condor's legs quoted live one second before the tick, as the execution op asks them."""
    rows = chain().filter(pl.col("con_id").is_in([leg.contract.con_id for leg in CONDOR_LEGS]))
    return tuple(
        LegQuote(
            **{
                "con_id": con_id,
                "bid": bid,
                "ask": ask,
                "quoted_at": AS_OF - timedelta(seconds=1),
                "market_data_type": 1,
                **changes,
            }
        )
        for con_id, bid, ask in rows.select("con_id", "bid", "ask").iter_rows()
    )


def risk_facts(**changes: Any) -> RiskFacts:
    """A healthy account of 100,000 dollars in the middle of a session, nothing at work, one condor held."""
    values: dict[str, Any] = {
        "mode": "simulated",
        "account": ACCOUNT,
        "halted": None,
        "session_open": datetime(2024, 6, 12, 13, 30, tzinfo=UTC),
        "session_close": datetime(2024, 6, 12, 20, 0, tzinfo=UTC),
        "net_liquidation": 100_000.0,
        "free_funds": 60_000.0,
        "margin_change": 1_000.0,
        "open_max_loss_usd": 1_400.0,
        "daily_pnl_usd": -200.0,
        "orders_today": 3,
        "orders_last_minute": 0,
        "known_refs": frozenset(),
        "unresolved": (),
        "differences": (),
        "held": condor(),
        "quotes": leg_quotes(),
        **changes,
    }
    return RiskFacts(**values)


def _position(values: dict[str, Any]) -> StrategyPosition:
    defaults = {
        "account": ACCOUNT,
        "underlying": "SPY",
        "multiplier": 100.0,
        "opened_session": date(2024, 6, 3),
        "opened_at": datetime(2024, 6, 3, 15, 0, tzinfo=UTC),
        "entry": ENTRY,
        "status": PositionStatus.OPEN,
    }
    return StrategyPosition(**{**defaults, **values})


def _complete(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The columns of a schema in its order; null where the frame has none."""
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in schema.items()
    )
