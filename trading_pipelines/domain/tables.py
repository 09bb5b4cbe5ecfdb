"""The lake's tables: one schema, key, layout and doc each; the one source for IO, tests and docs.

Naming: `as_of` is the scheduled tick (UTC), `session` the NYSE session it belongs to, units stand
in the name where they are not obvious, prices are per share of the underlying unless the name ends
in `_usd`. Delta-safe types only: no Duration, Enum, Categorical, unsigned or zoned-to-New-York types.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

Value = str | int | bool | date | datetime
Extent = Value | tuple[Value, Value] | AbstractSet[Value]
"""Of one column: a value, a range (low, high) without its high end as in `range`, or a set of values."""

UTC_TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True, eq=False)  # a table is itself: schemas have no hash
class Table:
    """One table of the lake.

    `key` identifies a row; `partition_by` is the physical layout (Date or static String columns
    only); `slice_by` names the columns whose values a rewrite replaces, inside the partition.
    A `sealed` table's slice never changes again once an order was decided on it.
    """

    group: str
    name: str
    doc: str
    schema: pl.Schema
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ("session",)
    slice_by: tuple[str, ...] = ("as_of",)
    sealed: bool = True

    @property
    def path(self) -> tuple[str, str]:
        """Asset key and place in the lake: group, name."""
        return (self.group, self.name)

    @property
    def content(self) -> pl.Schema:
        """The schema without the provenance that the shell adds: what the core returns."""
        return pl.Schema({name: kind for name, kind in self.schema.items() if name not in _DERIVED})


_TICK = {"session": pl.Date(), "as_of": UTC_TIME}
_DERIVED = {"run_id": pl.String(), "code_version": pl.String()}
_CONTRACT = {
    "con_id": pl.Int64(),
    "security_type": pl.String(),
    "symbol": pl.String(),
    "local_symbol": pl.String(),
    "trading_class": pl.String(),
    "exchange": pl.String(),
    "currency": pl.String(),
    "multiplier": pl.Float64(),
    "expiry": pl.Date(),
    "strike": pl.Float64(),
    "right": pl.String(),
}
_QUOTE = {
    "bid": pl.Float64(),
    "ask": pl.Float64(),
    "bid_size": pl.Float64(),
    "ask_size": pl.Float64(),
    "last": pl.Float64(),
    "volume": pl.Float64(),
    "previous_close": pl.Float64(),
    "quoted_at": UTC_TIME,
    "market_data_type": pl.Int64(),
    "status": pl.String(),
}
_MODEL_GREEKS = {
    "model_iv": pl.Float64(),
    "model_price": pl.Float64(),
    "model_delta": pl.Float64(),
    "model_gamma": pl.Float64(),
    "model_vega": pl.Float64(),
    "model_theta": pl.Float64(),
    "model_underlying": pl.Float64(),
}

CONTRACT_COLUMNS = pl.Schema(_CONTRACT)
"""What `MarketData` lists: one row per contract. `symbol` is the underlying's ticker, `right` C or P."""

QUOTE_COLUMNS = pl.Schema({"con_id": pl.Int64(), **_QUOTE, **_MODEL_GREEKS})
"""What `MarketData` quotes: one row per contract asked; `status` is `ok` or `missing`, never silence.

Null where the broker sent nothing or its sentinels (−1, −2, max float). `quoted_at` is the broker's
clock when the row was confirmed; `market_data_type` 1 live, 2 frozen, 3 delayed, 4 delayed-frozen.
Model columns are the broker's own Greeks: vega per volatility point, theta per calendar day.
"""

CONTRACTS = Table(
    "snapshots",
    "contracts",
    "What one session's snapshots are taken of: instruments, front futures and option chains, listed once.",
    pl.Schema({**_TICK, **_CONTRACT, "exercise_style": pl.String()}),
    key=("session", "con_id"),
    slice_by=(),
    sealed=False,
)
OPTIONS = Table(
    "snapshots",
    "options",
    "Option quotes at one tick, a row for each contract asked, also those without a quote.",
    pl.Schema(
        {
            **_TICK,
            "underlying": pl.String(),
            **_CONTRACT,
            "exercise_style": pl.String(),
            **_QUOTE,
            **_MODEL_GREEKS,
            "underlying_price": pl.Float64(),
        }
    ),
    key=("as_of", "con_id"),
    slice_by=("underlying", "as_of"),
)
UNDERLYINGS = Table(
    "snapshots",
    "underlyings",
    "Quotes of stocks and indices at one tick; `price` is the mid, or the last trade of an index.",
    pl.Schema({**_TICK, **_CONTRACT, **_QUOTE, "price": pl.Float64()}),
    key=("as_of", "con_id"),
)
FUTURES = Table(
    "snapshots",
    "futures",
    "Quotes of the front futures at one NYSE tick.",
    pl.Schema({**_TICK, **_CONTRACT, **_QUOTE, "price": pl.Float64()}),
    key=("as_of", "con_id"),
)
GLOBEX = Table(
    "snapshots",
    "globex",
    "Quotes of the front futures through the 23-hour session, by CME trade date.",
    pl.Schema({"trade_date": pl.Date(), "as_of": UTC_TIME, **_CONTRACT, **_QUOTE, "price": pl.Float64()}),
    key=("as_of", "con_id"),
    partition_by=("trade_date",),
    sealed=False,
)
ACCOUNT = Table(
    "snapshots",
    "account",
    "Account values at one tick, in account currency.",
    pl.Schema(
        {
            **_TICK,
            "account": pl.String(),
            "at": UTC_TIME,
            "net_liquidation": pl.Float64(),
            "cash": pl.Float64(),
            "buying_power": pl.Float64(),
            "available_funds": pl.Float64(),
            "excess_liquidity": pl.Float64(),
            "initial_margin": pl.Float64(),
            "maintenance_margin": pl.Float64(),
            "daily_pnl": pl.Float64(),
            "realised_pnl": pl.Float64(),
            "unrealised_pnl": pl.Float64(),
        }
    ),
    key=("as_of", "account"),
)
BARS = Table(
    "history",
    "bars",
    "Bars of trades (or of implied volatility, see `what`), stamped with start and end.",
    pl.Schema(
        {
            "session": pl.Date(),
            "as_of": UTC_TIME,
            "started_at": UTC_TIME,
            "resolution": pl.String(),
            "what": pl.String(),
            "security_type": pl.String(),
            "symbol": pl.String(),
            "expiry": pl.Date(),
            "strike": pl.Float64(),
            "right": pl.String(),
            "open": pl.Float64(),
            "high": pl.Float64(),
            "low": pl.Float64(),
            "close": pl.Float64(),
            "volume": pl.Float64(),
            "source": pl.String(),
        }
    ),
    key=("resolution", "what", "security_type", "symbol", "expiry", "strike", "right", "started_at"),
    partition_by=("resolution", "symbol"),
    slice_by=("security_type", "what", "session"),
    sealed=False,
)
QUOTES = Table(
    "history",
    "quotes",
    "Recorded quote bars; a bar may be one-sided, and says nothing before it has ended.",
    pl.Schema(
        {
            "session": pl.Date(),
            "as_of": UTC_TIME,
            "started_at": UTC_TIME,
            "resolution": pl.String(),
            "security_type": pl.String(),
            "symbol": pl.String(),
            "expiry": pl.Date(),
            "strike": pl.Float64(),
            "right": pl.String(),
            "bid_open": pl.Float64(),
            "bid_high": pl.Float64(),
            "bid_low": pl.Float64(),
            "bid_close": pl.Float64(),
            "bid_size": pl.Float64(),
            "ask_open": pl.Float64(),
            "ask_high": pl.Float64(),
            "ask_low": pl.Float64(),
            "ask_close": pl.Float64(),
            "ask_size": pl.Float64(),
            "source": pl.String(),
        }
    ),
    key=("resolution", "security_type", "symbol", "expiry", "strike", "right", "started_at"),
    partition_by=("resolution", "symbol"),
    slice_by=("security_type", "session"),
    sealed=False,
)
OPEN_INTEREST = Table(
    "history",
    "open_interest",
    "Recorded open interest, stamped when it became known.",
    pl.Schema(
        {
            "session": pl.Date(),
            "as_of": UTC_TIME,
            "resolution": pl.String(),
            "security_type": pl.String(),
            "symbol": pl.String(),
            "expiry": pl.Date(),
            "strike": pl.Float64(),
            "right": pl.String(),
            "open_interest": pl.Float64(),
            "source": pl.String(),
        }
    ),
    key=("resolution", "security_type", "symbol", "expiry", "strike", "right", "as_of"),
    partition_by=("resolution", "symbol"),
    slice_by=("security_type", "session"),
    sealed=False,
)
OPTION_GREEKS = Table(
    "statistics",
    "option_greeks",
    "Implied volatility and Greeks per option from the mid; `iv_status` says why a row has none.",
    pl.Schema(
        {
            **_TICK,
            "underlying": pl.String(),
            "con_id": pl.Int64(),
            "expiry": pl.Date(),
            "strike": pl.Float64(),
            "right": pl.String(),
            "bid": pl.Float64(),
            "ask": pl.Float64(),
            "mid": pl.Float64(),
            "spot": pl.Float64(),
            "forward": pl.Float64(),
            "forward_source": pl.String(),
            "years": pl.Float64(),
            "rate": pl.Float64(),
            "dividend_yield": pl.Float64(),
            "iv": pl.Float64(),
            "iv_status": pl.String(),
            "delta": pl.Float64(),
            "gamma": pl.Float64(),
            "vega_per_vol_point": pl.Float64(),
            "theta_per_day": pl.Float64(),
            "rho": pl.Float64(),
            **_DERIVED,
        }
    ),
    key=("as_of", "con_id"),
)
OPTION_STATISTICS = Table(
    "statistics",
    "option_statistics",
    "Implied-volatility level, rank, skew and term slope per underlying at one tick.",
    pl.Schema(
        {
            **_TICK,
            "underlying": pl.String(),
            "spot": pl.Float64(),
            "iv30": pl.Float64(),
            "iv60": pl.Float64(),
            "iv90": pl.Float64(),
            "iv_rank": pl.Float64(),
            "iv_percentile": pl.Float64(),
            "history_sessions": pl.Int64(),
            "skew_25_delta": pl.Float64(),
            "term_slope": pl.Float64(),
            "expected_move_30": pl.Float64(),
            "put_call_volume": pl.Float64(),
            "contracts": pl.Int64(),
            "quoted": pl.Int64(),
            **_DERIVED,
        }
    ),
    key=("as_of", "underlying"),
)
FUTURES_CORRELATIONS = Table(
    "statistics",
    "futures_correlations",
    "Correlation and beta of each underlying with each future, on daily and on session returns.",
    pl.Schema(
        {
            **_TICK,
            "future": pl.String(),
            "underlying": pl.String(),
            "frequency": pl.String(),
            "observations": pl.Int64(),
            "correlation": pl.Float64(),
            "beta": pl.Float64(),
            "p_value": pl.Float64(),
            **_DERIVED,
        }
    ),
    key=("as_of", "future", "underlying", "frequency"),
)
MARKET_REGIME = Table(
    "statistics",
    "market_regime",
    "Trend and volatility regime per underlying with the evidence; null where an input is missing.",
    pl.Schema(
        {
            **_TICK,
            "underlying": pl.String(),
            "outlook": pl.String(),
            "price": pl.Float64(),
            "average_20": pl.Float64(),
            "average_50": pl.Float64(),
            "volatility": pl.String(),
            "iv_rank": pl.Float64(),
            "vix": pl.Float64(),
            "vix3m": pl.Float64(),
            "vix_regime": pl.String(),
            "term_structure": pl.String(),
            "average_correlation": pl.Float64(),
            **_DERIVED,
        }
    ),
    key=("as_of", "underlying"),
)
SESSION_STATISTICS = Table(
    "statistics",
    "session_statistics",
    "One row per underlying and session, once it has closed.",
    pl.Schema(
        {
            **_TICK,
            "underlying": pl.String(),
            "open": pl.Float64(),
            "high": pl.Float64(),
            "low": pl.Float64(),
            "close": pl.Float64(),
            "realised_volatility": pl.Float64(),
            "iv30_open": pl.Float64(),
            "iv30_close": pl.Float64(),
            "iv_rank_close": pl.Float64(),
            "quoted_share": pl.Float64(),
            "snapshots": pl.Int64(),
            "expected": pl.Int64(),
            **_DERIVED,
        }
    ),
    key=("session", "underlying"),
    sealed=False,
)
POSITIONS = Table(
    "portfolio",
    "positions",
    "The broker's positions at one tick, marked to the snapshot, with the strategy that owns each.",
    pl.Schema(
        {
            **_TICK,
            "account": pl.String(),
            **_CONTRACT,
            "quantity": pl.Float64(),
            "average_cost_usd": pl.Float64(),
            "mark": pl.Float64(),
            "market_value_usd": pl.Float64(),
            "unrealised_pnl_usd": pl.Float64(),
            "position_ids": pl.String(),
            **_DERIVED,
        }
    ),
    key=("as_of", "account", "con_id"),
)
STRATEGIES = Table(
    "portfolio",
    "strategies",
    "Our strategy positions at one tick, valued, with the state that rules remember.",
    pl.Schema(
        {
            **_TICK,
            "account": pl.String(),
            "position_id": pl.String(),
            "underlying": pl.String(),
            "strategy": pl.String(),
            "status": pl.String(),
            "units": pl.Int64(),
            "multiplier": pl.Float64(),
            "legs": pl.String(),
            "expiry": pl.Date(),
            "dte": pl.Int64(),
            "opened_session": pl.Date(),
            "entry_price": pl.Float64(),
            "entry_underlying": pl.Float64(),
            "entry_iv30": pl.Float64(),
            "entry_vix": pl.Float64(),
            "max_profit": pl.Float64(),
            "max_loss": pl.Float64(),
            "mark": pl.Float64(),
            "cost_to_close": pl.Float64(),
            "captured_percent": pl.Float64(),
            "peak_captured": pl.Float64(),
            "unrealised_pnl_usd": pl.Float64(),
            "delta": pl.Float64(),
            "gamma": pl.Float64(),
            "vega_per_vol_point": pl.Float64(),
            "theta_per_day": pl.Float64(),
            "short_delta": pl.Float64(),
            "rolls": pl.Int64(),
            "quoted_at": UTC_TIME,
            "data_status": pl.String(),
            **_DERIVED,
        }
    ),
    key=("as_of", "position_id"),
)
RECONCILIATION = Table(
    "portfolio",
    "reconciliation",
    "Our books against the broker's positions, a row for each contract either side knows.",
    pl.Schema(
        {
            **_TICK,
            "account": pl.String(),
            "con_id": pl.Int64(),
            "symbol": pl.String(),
            "local_symbol": pl.String(),
            "expected": pl.Float64(),
            "actual": pl.Float64(),
            "difference": pl.Float64(),
            "kind": pl.String(),
            **_DERIVED,
        }
    ),
    key=("as_of", "account", "con_id"),
)
EVALUATIONS = Table(
    "decisions",
    "evaluations",
    "One row per position and exit rule, and per underlying and entry rule, fired or not.",
    pl.Schema(
        {
            **_TICK,
            "subject": pl.String(),
            "underlying": pl.String(),
            "strategy": pl.String(),
            "rule_number": pl.Int64(),
            "rule": pl.String(),
            "evaluable": pl.Boolean(),
            "fired": pl.Boolean(),
            "value": pl.Float64(),
            "threshold": pl.Float64(),
            "action": pl.String(),
            "detail": pl.String(),
            **_DERIVED,
        }
    ),
    key=("as_of", "subject", "rule", "strategy"),
)
DECISIONS = Table(
    "decisions",
    "decisions",
    "What was decided for each position and each underlying, with its reason and all it was made from.",
    pl.Schema(
        {
            **_TICK,
            "decision_id": pl.String(),
            "account": pl.String(),
            "subject": pl.String(),
            "underlying": pl.String(),
            "strategy": pl.String(),
            "action": pl.String(),
            "rule": pl.String(),
            "reason": pl.String(),
            "units": pl.Int64(),
            "plan": pl.String(),
            "evidence": pl.String(),
            "inputs": pl.String(),
            "config_hash": pl.String(),
            **_DERIVED,
        }
    ),
    key=("as_of", "decision_id"),
)
INTENTS = Table(
    "execution",
    "intents",
    "The orders that decisions ask for, complete; `intent` is the whole model as JSON.",
    pl.Schema(
        {
            **_TICK,
            "order_ref": pl.String(),
            "decision_id": pl.String(),
            "account": pl.String(),
            "position_id": pl.String(),
            "underlying": pl.String(),
            "strategy": pl.String(),
            "action": pl.String(),
            "rule": pl.String(),
            "units": pl.Int64(),
            "limit_price": pl.Float64(),
            "max_loss_usd": pl.Float64(),
            "payload_hash": pl.String(),
            "intent": pl.String(),
            **_DERIVED,
        }
    ),
    key=("as_of", "order_ref"),
)
VERDICTS = Table(
    "risk",
    "verdicts",
    "One row per intent and pre-trade check; `approved` is the verdict of the whole intent.",
    pl.Schema(
        {
            **_TICK,
            "order_ref": pl.String(),
            "decision_id": pl.String(),
            "payload_hash": pl.String(),
            "check": pl.String(),
            "passed": pl.Boolean(),
            "value": pl.Float64(),
            "limit": pl.Float64(),
            "detail": pl.String(),
            "approved": pl.Boolean(),
            "checked_at": UTC_TIME,
            "valid_until": UTC_TIME,
            **_DERIVED,
        }
    ),
    key=("as_of", "order_ref", "check"),
)
ORDERS = Table(
    "execution",
    "orders",
    "The journal's state of every order touched at a tick.",
    pl.Schema(
        {
            **_TICK,
            "order_ref": pl.String(),
            "decision_id": pl.String(),
            "position_id": pl.String(),
            "underlying": pl.String(),
            "strategy": pl.String(),
            "action": pl.String(),
            "state": pl.String(),
            "units": pl.Int64(),
            "limit_price": pl.Float64(),
            "filled": pl.Float64(),
            "average_price": pl.Float64(),
            "perm_id": pl.Int64(),
            "order_id": pl.Int64(),
            "client_id": pl.Int64(),
            "detail": pl.String(),
            "updated_at": UTC_TIME,
            **_DERIVED,
        }
    ),
    key=("as_of", "order_ref"),
    sealed=False,
)
FILLS = Table(
    "execution",
    "fills",
    "Executions of our orders, by IB's execution id; a combo has one row for the whole and one per leg.",
    pl.Schema(
        {
            **_TICK,
            "exec_id": pl.String(),
            "order_ref": pl.String(),
            "decision_id": pl.String(),
            "position_id": pl.String(),
            "perm_id": pl.Int64(),
            "account": pl.String(),
            **_CONTRACT,
            "side": pl.String(),
            "quantity": pl.Float64(),
            "price": pl.Float64(),
            "commission": pl.Float64(),
            "realised_pnl": pl.Float64(),
            "filled_at": UTC_TIME,
            **_DERIVED,
        }
    ),
    key=("exec_id",),
    sealed=False,
)
PLAN = Table(
    "portfolio",
    "plan",
    "Before the open: the rule each position is nearest to, and which entries are allowed.",
    pl.Schema(
        {
            **_TICK,
            "subject": pl.String(),
            "underlying": pl.String(),
            "strategy": pl.String(),
            "nearest_rule": pl.String(),
            "value": pl.Float64(),
            "threshold": pl.Float64(),
            "distance": pl.Float64(),
            "allowed": pl.Boolean(),
            "reason": pl.String(),
            **_DERIVED,
        }
    ),
    key=("as_of", "subject"),
    sealed=False,
)
REPORT = Table(
    "performance",
    "report",
    "After the close: each position's profit and loss of the session by Greek, and its nearest rule.",
    pl.Schema(
        {
            **_TICK,
            "position_id": pl.String(),
            "underlying": pl.String(),
            "strategy": pl.String(),
            "units": pl.Int64(),
            "dte": pl.Int64(),
            "pnl_usd": pl.Float64(),
            "delta_pnl_usd": pl.Float64(),
            "gamma_pnl_usd": pl.Float64(),
            "vega_pnl_usd": pl.Float64(),
            "theta_pnl_usd": pl.Float64(),
            "residual_usd": pl.Float64(),
            "nearest_rule": pl.String(),
            "value": pl.Float64(),
            "threshold": pl.Float64(),
            "distance": pl.Float64(),
            **_DERIVED,
        }
    ),
    key=("as_of", "position_id"),
    sealed=False,
)
PERFORMANCE = Table(
    "performance",
    "session",
    "The session so far: profit and loss, risk, and what was decided, sent and filled.",
    pl.Schema(
        {
            **_TICK,
            "account": pl.String(),
            "net_liquidation": pl.Float64(),
            "net_liquidation_at_open": pl.Float64(),
            "session_pnl_usd": pl.Float64(),
            "unrealised_pnl_usd": pl.Float64(),
            "realised_pnl_usd": pl.Float64(),
            "commissions_usd": pl.Float64(),
            "open_positions": pl.Int64(),
            "delta_usd": pl.Float64(),
            "theta_per_day_usd": pl.Float64(),
            "vega_per_vol_point_usd": pl.Float64(),
            "decisions": pl.Int64(),
            "orders": pl.Int64(),
            "fills": pl.Int64(),
            **_DERIVED,
        }
    ),
    key=("as_of", "account"),
    sealed=False,
)
ALERTS = Table(
    "alerts",
    "alerts",
    "What a person was told, and whether it reached them.",
    pl.Schema(
        {
            **_TICK,
            "key": pl.String(),
            "severity": pl.String(),
            "title": pl.String(),
            "text": pl.String(),
            "at": UTC_TIME,
            "delivered": pl.Boolean(),
            **_DERIVED,
        }
    ),
    key=("as_of", "key"),
    sealed=False,
)

TABLES: tuple[Table, ...] = (
    CONTRACTS,
    OPTIONS,
    UNDERLYINGS,
    FUTURES,
    GLOBEX,
    ACCOUNT,
    BARS,
    QUOTES,
    OPEN_INTEREST,
    OPTION_GREEKS,
    OPTION_STATISTICS,
    FUTURES_CORRELATIONS,
    MARKET_REGIME,
    SESSION_STATISTICS,
    POSITIONS,
    STRATEGIES,
    RECONCILIATION,
    EVALUATIONS,
    DECISIONS,
    INTENTS,
    VERDICTS,
    ORDERS,
    FILLS,
    PLAN,
    REPORT,
    PERFORMANCE,
    ALERTS,
)
"""Every table of the lake."""


def table(group: str, name: str) -> Table:
    """The table at `<lake>/<group>/<name>`; KeyError when there is none."""
    for candidate in TABLES:
        if candidate.path == (group, name):
            return candidate
    raise KeyError(f"no table {group}/{name}")
