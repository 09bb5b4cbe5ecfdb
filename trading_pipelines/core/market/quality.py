"""Whether a snapshot is fit to be decided on: shares per chain, and findings a person can read.

A finding is one sentence with the underlying, the value and the limit; no finding means fit. Blocking
checks are made of these. A tick is fit or not as a whole: a quote of another time, a delayed feed or a
number that is no price shows a fault on the way here, so a single one is a finding. A missing or
one-sided quote is the market's habit, so for those there are shares.
"""

from datetime import datetime

import polars as pl

from trading_pipelines.domain.contracts import Right, SecurityType
from trading_pipelines.domain.parameters import QualityParameters

_LARGEST_PRICE = 1e7
"""No share costs as much; IB's 'unset' is 1.79e308."""
_INDEX_FACTOR = 3.0
"""What an index of volatility may move against its previous close: VIX did ×2.15 on 2018-02-05."""
_TYPES = {1: "live", 2: "frozen", 3: "delayed", 4: "delayed-frozen"}


def with_worthless_bids(quotes: pl.DataFrame, parameters: QualityParameters) -> pl.DataFrame:
    """`quotes` of options with a bid of 0 where there is none under an ask of at most `worthless_ask`.

    Far from the money and near expiry nobody bids, and yet the option can be bought back, or given away
    inside a combo: without this its position could never be valued or closed. A missing bid under any
    other ask stays missing.
    """
    worthless = pl.col("bid").is_null() & (pl.col("ask") > 0) & (pl.col("ask") <= parameters.worthless_ask)
    return quotes.with_columns(bid=pl.when(worthless).then(0.0).otherwise("bid"))


def option_quality(options: pl.DataFrame, as_of: datetime, parameters: QualityParameters) -> pl.DataFrame:
    """How complete and clean each underlying's chain is: one row per underlying of OPTIONS rows.

    Columns: underlying, asked, quoted, and shares of what was asked. `quoted` counts usable quotes: two
    sides above zero, not crossed (locked will do), confirmed around the tick, of a live type, and no
    bid above what exercise could ever bring.
    """
    return (
        options.with_columns(**_row_flags(as_of, parameters))
        .group_by("underlying", maintain_order=True)
        .agg(
            asked=pl.len().cast(pl.Int64),
            quoted=pl.col("usable").sum().cast(pl.Int64),
            quoted_share=pl.col("usable").mean(),
            crossed_share=pl.col("crossed").mean(),
            stale_share=pl.col("stale").mean(),
            not_live_share=pl.col("not_live").mean(),
        )
    )


def option_findings(options: pl.DataFrame, as_of: datetime, parameters: QualityParameters) -> list[str]:
    """What keeps OPTIONS rows of one tick from being decided on; empty when they are fit."""
    if options.is_empty():
        return ["no option was asked for at this tick: there is no chain to decide on"]
    findings = [
        f"{name}: the options have no price of their underlying"
        for name in options.filter(~_is_price("underlying_price"))["underlying"].unique(maintain_order=True)
    ]
    for row in option_quality(options, as_of, parameters).iter_rows(named=True):
        name, asked = row["underlying"], row["asked"]
        if row["quoted_share"] < parameters.min_quoted_share:
            findings.append(
                f"{name}: {row['quoted']} of {asked} options have a usable two-sided quote "
                f"({row['quoted_share']:.1%}), at least {parameters.min_quoted_share:.0%} are needed"
            )
        if row["crossed_share"] > parameters.max_crossed_share:
            findings.append(
                f"{name}: {row['crossed_share']:.1%} of {asked} options have a bid above their ask, "
                f"at most {parameters.max_crossed_share:.0%} may"
            )
    return findings + _fault_findings(options, as_of, parameters, ("bid", "ask", "last", "underlying_price"))


def underlying_findings(frame: pl.DataFrame, as_of: datetime, parameters: QualityParameters) -> list[str]:
    """What keeps UNDERLYINGS or FUTURES rows of one tick from being decided on; empty when they are fit.

    A missing index is none (who needs VIX says so when it decides); an absurd one is.
    """
    if frame.is_empty():
        return ["no underlying was asked for at this tick"]
    is_index = pl.col("security_type") == SecurityType.INDEX
    findings = [
        f"{name}: no price, {status} quote"
        for name, status in frame.filter(~is_index & ~_is_price("price"))
        .select("symbol", "status")
        .iter_rows()
    ]
    findings += [
        f"{name}: bid {bid} is above ask {ask}"
        for name, bid, ask in frame.filter(pl.col("bid") > pl.col("ask"))
        .select("symbol", "bid", "ask")
        .iter_rows()
    ]
    jump = parameters.max_underlying_jump
    low = pl.when(is_index).then(1 / _INDEX_FACTOR).otherwise(1 - jump)
    high = pl.when(is_index).then(_INDEX_FACTOR).otherwise(1 + jump)
    jumped = frame.filter(_is_price("price") & _is_price("previous_close")).with_columns(
        low=low * pl.col("previous_close"), high=high * pl.col("previous_close")
    )
    findings += [
        f"{name}: price {price:g} against a previous close of {close:g}, "
        f"between {lowest:g} and {highest:g} is believed"
        for name, price, close, lowest, highest in jumped.filter(
            ~pl.col("price").is_between("low", "high", closed="both")
        )
        .select("symbol", "price", "previous_close", "low", "high")
        .iter_rows()
    ]
    columns = ("bid", "ask", "last", "price", "previous_close")
    return findings + _fault_findings(frame.with_columns(underlying="symbol"), as_of, parameters, columns)


def _fault_findings(
    frame: pl.DataFrame, as_of: datetime, parameters: QualityParameters, columns: tuple[str, ...]
) -> list[str]:
    """Findings of which one row is enough: another time, another feed, a number that is no price."""
    flagged = frame.with_columns(_is_stale(as_of, parameters), _is_not_live(parameters))
    stale = flagged.filter("stale").group_by("underlying", maintain_order=True)
    other = flagged.filter("not_live").group_by("underlying", maintain_order=True)
    findings = [
        f"{name}: {count} {'quote is' if count == 1 else 'quotes are'} not of this tick "
        f"(the worst {_age(worst)}), at most {parameters.max_age_seconds:g} s away is believed"
        for name, count, worst in stale.agg(
            pl.len(), (pl.lit(as_of) - pl.col("quoted_at")).dt.total_seconds().sort_by(_abs_age(as_of)).last()
        ).iter_rows()
    ]
    allowed = " or ".join(_TYPES.get(kind, str(kind)) for kind in parameters.live_types)
    findings += [
        f"{name}: {count} {'quote is' if count == 1 else 'quotes are'} "
        f"{_TYPES.get(kind, 'of an unknown type')}, only {allowed} is believed"
        for name, count, kind in other.agg(pl.len(), pl.col("market_data_type").first()).iter_rows()
    ]
    for column in columns:
        value = pl.col(column)
        absurd = frame.filter(~value.is_finite() | (value < 0) | (value > _LARGEST_PRICE))
        findings += [
            f"{name}: {column} {number:g} is no price (contract {con_id}), "
            f"0 to {_LARGEST_PRICE:g} is believed"
            for name, number, con_id in absurd.unique("underlying", keep="first", maintain_order=True)
            .select("underlying", column, "con_id")
            .iter_rows()
        ]
    return findings


def _row_flags(as_of: datetime, parameters: QualityParameters) -> dict[str, pl.Expr]:
    bid, ask = pl.col("bid"), pl.col("ask")
    most = pl.when(pl.col("right") == Right.CALL).then("underlying_price").otherwise("strike")
    stale, not_live = _is_stale(as_of, parameters), _is_not_live(parameters)
    possible = (bid <= most).fill_null(True)
    usable = _is_price("bid") & _is_price("ask") & (bid <= ask) & possible & ~stale & ~not_live
    return {
        "usable": (usable & (pl.col("status") == "ok")).fill_null(False),
        "crossed": (_is_price("bid") & _is_price("ask") & (bid > ask)).fill_null(False),
        "stale": stale,
        "not_live": not_live,
    }


def _is_price(column: str) -> pl.Expr:
    value = pl.col(column)
    return (value.is_finite() & (value > 0) & (value <= _LARGEST_PRICE)).fill_null(False)


def _is_stale(as_of: datetime, parameters: QualityParameters) -> pl.Expr:
    """Answered, but before or after the tick by more than the limit, or nobody knows when."""
    near = (_abs_age(as_of) <= parameters.max_age_seconds).fill_null(False)
    return ((pl.col("status") == "ok") & ~near).alias("stale")


def _is_not_live(parameters: QualityParameters) -> pl.Expr:
    live = pl.col("market_data_type").is_in(list(parameters.live_types)).fill_null(False)
    return ((pl.col("status") == "ok") & ~live).alias("not_live")


def _abs_age(as_of: datetime) -> pl.Expr:
    return (pl.lit(as_of) - pl.col("quoted_at")).dt.total_microseconds().abs() / 1e6


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "of unknown time"
    return f"{seconds} s old" if seconds >= 0 else f"{-seconds} s in the future"
