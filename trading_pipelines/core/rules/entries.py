"""When a position may be opened, and which: conditions that forbid it, then outlook × volatility.

Everything a condition needs stands in one frame, a row per underlying (`inputs`). A missing input
forbids the entry; where the config names a value to assume instead, every detail says that it was.
"""

from collections.abc import Collection
from datetime import date, datetime, timedelta

import polars as pl

from trading_pipelines.core.market.calendar import session_bounds
from trading_pipelines.core.rules.rule import Condition
from trading_pipelines.domain.parameters import Parameters
from trading_pipelines.domain.tables import UTC_TIME

OUTLOOKS: dict[tuple[str, str], str | None] = {
    ("bullish", "high"): "bull_put",
    ("neutral", "high"): "iron_condor",
    ("bearish", "high"): "bear_call",
    ("bullish", "low"): "bull_call",
    ("neutral", "low"): None,
    ("bearish", "low"): "bear_put",
}
"""What is opened by outlook and implied volatility; None: no trade."""


def inputs(
    regime: pl.DataFrame,
    option_quality: pl.DataFrame,
    strategies: pl.DataFrame,
    reconciliation: pl.DataFrame,
    unresolved: Collection[str],
    parameters: Parameters,
    session: date,
    as_of: datetime,
) -> pl.DataFrame:
    """One row per underlying whose options are traded, with all that the entry rules look at.

    `option_quality` has underlying and quoted_share; `unresolved` names underlyings with an order that
    may still work at the broker.
    """
    entries = parameters.entries
    opened, closes = session_bounds(session)
    traded = [item.symbol for item in parameters.universe.underlyings if item.trade_options]
    known = regime.select(
        "underlying", "outlook", iv_rank=pl.col("iv_rank").fill_nan(None), vix=pl.col("vix").fill_nan(None)
    )
    differences = reconciliation.filter(pl.col("kind") != "match").group_by(underlying="symbol")
    frame = pl.DataFrame({"underlying": traded}, schema={"underlying": pl.String})
    for part in (
        known,
        option_quality.select("underlying", pl.col("quoted_share").fill_nan(None)),
        strategies.group_by("underlying").agg(
            open_positions=pl.len(), opened_today=(pl.col("opened_session") == session).sum()
        ),
        differences.agg(differences=pl.len()),
    ):
        frame = frame.join(part, on="underlying", how="left")
    used = {
        "outlook": entries.outlook_when_missing,
        "iv_rank": entries.iv_rank_when_missing,
        "vix": entries.vix_when_missing,
    }
    return frame.with_columns(
        pl.col("open_positions", "opened_today", "differences").fill_null(0),
        *(pl.coalesce(name, pl.lit(value)).alias(f"{name}_used") for name, value in used.items()),
        session=pl.lit(session),
        as_of=pl.lit(as_of, dtype=UTC_TIME),
        subject=pl.lit("entry:") + pl.col("underlying"),
        strategy=pl.lit(""),
        unresolved=pl.col("underlying").is_in(list(unresolved)).cast(pl.Int64),
        locked=pl.col("underlying").is_in(entries.locked_symbols).cast(pl.Int64),
        minutes_open=pl.lit((as_of - opened).total_seconds() / 60),
        minutes_left=pl.lit((closes - as_of).total_seconds() / 60),
    )


def disabled(parameters: Parameters) -> Condition:
    """Entries are switched off."""
    enabled = parameters.entries.enabled
    return _flag(
        pl.lit(int(not enabled)), pl.lit("entries are on" if enabled else "entries are switched off")
    )


def quiet_window(parameters: Parameters) -> Condition:
    """The first or the last minutes of the session: [open, open + quiet) and [close − quiet, close)."""
    entries = parameters.entries
    first, last = entries.quiet_open_minutes, entries.quiet_close_minutes
    quiet = (pl.col("minutes_open") < first) | (pl.col("minutes_left") <= last)
    return _flag(
        quiet.cast(pl.Int64),
        pl.format(
            f"{{}} minutes after the open and {{}} before the close; no entries in the first {first} "
            f"and the last {last}",
            pl.col("minutes_open").round(0).cast(pl.Int64),
            pl.col("minutes_left").round(0).cast(pl.Int64),
        ),
    )


def event_date(parameters: Parameters) -> Condition:
    """An event of the calendar is today or tomorrow."""
    events = sorted(parameters.entries.event_dates)
    session = pl.col("session")
    near = pl.any_horizontal(
        pl.lit(False), *(session.is_in([day, day - timedelta(days=1)]) for day in events)
    )
    listed = ", ".join(day.isoformat() for day in events) or "none"
    return _flag(
        near.cast(pl.Int64), pl.lit(f"no entries on event dates and the day before; listed: {listed}")
    )


def locked_symbol(parameters: Parameters) -> Condition:
    """The underlying is locked."""
    listed = ", ".join(parameters.entries.locked_symbols) or "none"
    return _flag(pl.col("locked"), pl.lit(f"locked symbols: {listed}"))


def missing_inputs(parameters: Parameters) -> Condition:
    """Outlook, IV rank or VIX is not known, and the config names nothing to assume."""
    names = ("outlook", "iv_rank", "vix")
    absent = [pl.col(f"{name}_used").is_null() for name in names]
    listed = pl.concat_str(
        [pl.when(is_absent).then(pl.lit(name)) for name, is_absent in zip(names, absent, strict=True)],
        separator=", ",
        ignore_nulls=True,
    )
    return _flag(
        pl.sum_horizontal(absent),
        pl.format("not known: {}", pl.when(listed == "").then(pl.lit("nothing")).otherwise(listed)),
    )


def vix_limit(parameters: Parameters) -> Condition:
    """VIX is above the limit."""
    return Condition(
        value=pl.col("vix_used"),
        threshold=pl.lit(parameters.entries.max_vix),
        why_not=pl.lit("VIX is not known"),
        detail=pl.format(
            f"VIX {{}}{{}}, limit {parameters.entries.max_vix:g}",
            pl.col("vix_used").round(2),
            _assumed("vix"),
        ),
    )


def data_quality(parameters: Parameters) -> Condition:
    """Too few two-sided quotes in the underlying's chain; no figure counts as none."""
    share = pl.col("quoted_share").fill_null(0.0)
    return Condition(
        value=share,
        threshold=pl.lit(parameters.entries.min_quality),
        detail=pl.format(
            f"{{}} % of the chain has a two-sided quote, wanted are {parameters.entries.min_quality:.0%}",
            (share * 100).round(1),
        ),
    )


def reconciliation(parameters: Parameters) -> Condition:
    """Our books and the broker's differ in the underlying."""
    return _flag(
        pl.col("differences"),
        pl.format("{} contracts differ between our books and the broker's", "differences"),
    )


def unresolved_order(parameters: Parameters) -> Condition:
    """An order in the underlying may still work at the broker."""
    return _flag(
        pl.col("unresolved"),
        pl.when(pl.col("unresolved") > 0)
        .then(pl.lit("an order may still work at the broker"))
        .otherwise(pl.lit("no order may still work at the broker")),
    )


def max_positions(parameters: Parameters) -> Condition:
    """As many positions as allowed are held in the underlying."""
    limit = parameters.entries.max_positions_per_underlying
    return Condition(
        value=pl.col("open_positions"),
        threshold=pl.lit(limit),
        detail=pl.format(f"{{}} positions held, at most {limit}", "open_positions"),
    )


def entered_today(parameters: Parameters) -> Condition:
    """As many positions as allowed were opened in the underlying this session, rolls among them."""
    limit = parameters.entries.max_entries_per_session
    return Condition(
        value=pl.col("opened_today"),
        threshold=pl.lit(limit),
        detail=pl.format(f"{{}} positions opened this session, at most {limit}", "opened_today"),
    )


def regime(parameters: Parameters) -> Condition:
    """Outlook × volatility names a strategy. Value and threshold: the IV rank and where premium is sold."""
    limit = parameters.entries.sell_premium_above
    high = pl.col("iv_rank_used") >= limit
    volatility = pl.when(high).then(pl.lit("high")).otherwise(pl.lit("low"))
    key = pl.concat_str("outlook_used", volatility, separator="|")
    names = {"|".join(key): strategy or "" for key, strategy in OUTLOOKS.items()}
    strategy = key.replace_strict(names, default="", return_dtype=pl.String)
    return Condition(
        value=pl.col("iv_rank_used"),
        threshold=pl.lit(limit),
        fired=strategy != "",
        strategy=strategy.fill_null(""),
        why_not=pl.lit("outlook or IV rank is not known"),
        evaluable=pl.col("outlook_used").is_not_null(),
        detail=pl.format(
            f"{{}} outlook{{}}, IV rank {{}}{{}} is {{}} (premium is sold from {limit:g}): {{}}",
            "outlook_used",
            _assumed("outlook"),
            pl.col("iv_rank_used").round(1),
            _assumed("iv_rank"),
            volatility,
            pl.when(strategy == "").then(pl.lit("no trade")).otherwise(strategy),
        ),
    )


def _flag(count: pl.Expr, detail: pl.Expr) -> Condition:
    """A condition that holds from one on."""
    return Condition(value=count, threshold=pl.lit(1), detail=detail)


def _assumed(name: str) -> pl.Expr:
    return pl.when(pl.col(name).is_null()).then(pl.lit(" (assumed)")).otherwise(pl.lit(""))
