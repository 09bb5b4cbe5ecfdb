"""Every threshold and setting, frozen and checked. No field has a default: `config/base.yaml` is the manual.

A missing, unknown, negative or non-finite value refuses to start; `settings.py` names key and file.
"""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from trading_pipelines.domain.contracts import SecurityType
from trading_pipelines.domain.model import Model

# Strict: `yes` must not become a limit of 100 %.
Positive = Annotated[float, Field(gt=0, strict=True)]
NonNegative = Annotated[float, Field(ge=0, strict=True)]
Fraction = Annotated[float, Field(ge=0, le=1, strict=True)]
Percent = Annotated[float, Field(ge=0, le=100, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
PositiveCount = Annotated[int, Field(ge=1, strict=True)]


class Instrument(Model):
    """An underlying or index to watch, as IB names it."""

    symbol: str
    security_type: SecurityType
    exchange: str
    currency: str
    trade_options: bool


class FutureRoot(Model):
    """A futures root to watch; the front contract is chosen by expiry."""

    symbol: str
    exchange: str
    roll_days_before_expiry: Count
    cash: str
    """The ETF whose index the future is on."""


class UniverseParameters(Model):
    """What is watched."""

    underlyings: tuple[Instrument, ...]
    futures: tuple[FutureRoot, ...]
    volatility_index: str
    volatility_index_3m: str


class PartitionParameters(Model):
    """Where the partition calendars begin."""

    first_session: date


class SnapshotParameters(Model):
    """Which options are quoted at a tick."""

    min_dte: Count
    max_dte: PositiveCount
    moneyness: Positive
    """Strikes within this fraction of the underlying's price; 10 takes every strike."""
    max_contracts: PositiveCount
    target_dte: PositiveCount
    """Days to expiry of entries: where contracts must be left out, the expiries near it stay."""
    timeout_seconds: Positive
    history_sessions: PositiveCount


class QualityParameters(Model):
    """What a snapshot must be to be decided on."""

    max_age_seconds: Positive
    min_quoted_share: Fraction
    max_crossed_share: Fraction
    worthless_ask: NonNegative
    max_underlying_jump: Fraction
    live_types: tuple[int, ...]


class PricingParameters(Model):
    """Rates that pricing assumes where the chain does not tell."""

    rate: float
    dividend_yields: dict[str, NonNegative]
    parity_pairs: PositiveCount


class StatisticsParameters(Model):
    """Windows of the statistics."""

    rank_sessions: PositiveCount
    min_rank_sessions: PositiveCount
    correlation_sessions: PositiveCount
    min_correlation_observations: PositiveCount


class RegimeParameters(Model):
    """Outlook and volatility regimes."""

    short_average: PositiveCount
    long_average: PositiveCount
    band: Fraction
    high_iv_rank: Percent
    """IV rank from which volatility is called high; what an entry needs is `entries.sell_premium_above`."""
    vix_low: Positive
    vix_normal: Positive
    vix_high: Positive


class StrikeParameters(Model):
    """How legs are chosen."""

    condor_short_delta: Fraction
    vertical_short_delta: Fraction
    debit_long_delta: Fraction
    delta_tolerance: Fraction
    """How far a chosen leg's delta may lie from its target."""
    width: dict[str, Positive]
    """Distance of the wings in points, per underlying."""
    default_width_percent: Positive
    """For underlyings not listed in `width`: percent of the price."""
    max_width_factor: Positive
    """Where the strike grid has holes, a wing may be this factor wider or narrower than asked."""
    min_credit_share_vertical: Fraction
    min_credit_share_condor: Fraction
    max_debit_share: Fraction
    max_spread_share: Fraction
    max_spread_usd: NonNegative


class ExpiryParameters(Model):
    """Which expiry an entry takes."""

    min_dte: Count
    target_dte: Count
    max_dte: Count


class EntryParameters(Model):
    """When a position may be opened."""

    enabled: bool
    sell_premium_above: Percent
    max_vix: Positive
    quiet_open_minutes: Count
    quiet_close_minutes: Count
    max_positions_per_underlying: Count
    max_entries_per_session: Count
    """Per underlying; a roll counts."""
    min_quality: Fraction
    iv_rank_when_missing: Percent | None
    vix_when_missing: Positive | None
    outlook_when_missing: Literal["bullish", "neutral", "bearish"] | None
    event_dates: tuple[date, ...]
    locked_symbols: tuple[str, ...]


class ExitParameters(Model):
    """Exit rules; percentages of the possible profit unless named otherwise."""

    catastrophe_move: Fraction
    catastrophe_iv_rise: Positive
    catastrophe_minutes: PositiveCount
    stop_loss_credit_multiple: Positive
    stop_loss_max_loss_share: Fraction
    stop_loss_late_credit_multiple: Positive
    stop_loss_late_max_loss_share: Fraction
    late_dte: Count
    stop_loss_debit_share: Fraction
    take_profit_captured: Percent
    take_profit_single: Positive
    time_exit_dte: Count
    expiry_exit_dte: Count
    roll_enabled: bool
    roll_dte: Count
    max_rolls: Count


class SizingParameters(Model):
    """How many units."""

    risk_fraction: Fraction
    max_units: PositiveCount


class RiskParameters(Model):
    """Pre-trade limits; none may be left out."""

    max_units_per_order: PositiveCount
    max_order_risk_share: Fraction
    max_position_loss_share: Fraction
    max_portfolio_loss_share: Fraction
    max_quote_age_seconds: Positive
    max_price_deviation_share: Positive
    max_price_deviation_usd: Positive
    verdict_valid_seconds: Positive
    max_orders_per_minute: PositiveCount
    max_orders_per_day: PositiveCount
    max_daily_loss_share: Fraction
    min_buying_power_share: Fraction


class ExecutionParameters(Model):
    """How orders are priced and followed."""

    time_in_force: Literal["DAY"]
    spread_concession: Fraction
    """Where between mid (0) and the far side of the market (1) a limit is set."""
    urgent_concession: Fraction
    price_increment: Positive
    fill_wait_seconds: NonNegative
    acknowledge_seconds: Positive
    working_minutes: PositiveCount
    absence_rounds: PositiveCount
    absence_seconds: Positive


class AccountParameters(Model):
    """Which account may trade."""

    account: str
    allowed: tuple[str, ...]


class BrokerParameters(Model):
    """How the gateway is reached."""

    host: str
    port: Annotated[int, Field(ge=1, le=65535, strict=True)]
    connect_timeout_seconds: Positive
    request_timeout_seconds: Positive
    messages_per_second: Annotated[float, Field(ge=0, le=50, strict=True)]
    """Even pacing below the broker's 50 a second; 0 switches it off (demo and replay only)."""
    market_data_lines: PositiveCount
    client_ids: dict[Literal["cycle", "execution", "futures", "reconciliation", "tools"], PositiveCount]
    """One per role, so that no two connections ever share an id."""


class AlertParameters(Model):
    """Where people are reached; the token is read from the environment only."""

    slack_channel: str
    slack_base_url: str
    timeout_seconds: Positive


class Parameters(Model):
    """Everything the system decides by."""

    universe: UniverseParameters
    partitions: PartitionParameters
    snapshots: SnapshotParameters
    quality: QualityParameters
    pricing: PricingParameters
    statistics: StatisticsParameters
    regime: RegimeParameters
    strikes: StrikeParameters
    expiry: ExpiryParameters
    entries: EntryParameters
    exits: ExitParameters
    sizing: SizingParameters
    risk: RiskParameters
    execution: ExecutionParameters
    account: AccountParameters
    broker: BrokerParameters
    alerts: AlertParameters
