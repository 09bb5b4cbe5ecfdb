"""Implied volatility and Greeks per option, and what an underlying's chain says as a whole."""

import math
from datetime import date, datetime, timedelta

import polars as pl

from trading_pipelines.core.market import black_scholes, calendar
from trading_pipelines.core.statistics.volatility import iv_percentile, iv_rank
from trading_pipelines.domain.contracts import Right
from trading_pipelines.domain.parameters import PricingParameters, StatisticsParameters
from trading_pipelines.domain.tables import OPTION_GREEKS, OPTION_STATISTICS

YEAR = timedelta(days=365)
_SHORTEST = timedelta(minutes=1)
_MIN_PAIRS = 2
"""Fewer call–put pairs do not outvote a bad quote."""
_MAX_CARRY = 0.10
"""A parity forward farther from the spot than this (a year, or in one year) is not believed."""
_ATM_REACH = 0.10
"""Strikes farther than this fraction from the forward say nothing about at-the-money volatility."""
_SKEW_DAYS, _SKEW_REACH_DAYS, _SKEW_DELTA = 30, 15, 0.25


def greeks(options: pl.DataFrame, as_of: datetime, parameters: PricingParameters) -> pl.DataFrame:
    """OPTION_GREEKS rows (without provenance), one per row of OPTIONS and in its order.

    Volatility is implied by the mid of a two-sided quote, European, time to the close of the expiry's
    session over 365 days, at least a minute. The forward of an expiry is the median of what put–call
    parity says at the `parity_pairs` strikes nearest to the money (`forward_source` parity), else spot
    and the configured dividend yield (carry); the `dividend_yield` of a row is the one that gives its
    forward, so spot, rate, yield and IV price the mid again. An option deep in the money whose mid has
    no time value takes the volatility of the opposite right at its strike (parity makes them equal),
    with `iv_status` opposite_right: a held leg must not lose its delta. With any other status but ok, IV
    and Greeks are null: no_quote, no_underlying_price, or one of `black_scholes.STATUS_NAMES`.
    """
    bid, ask, spot = pl.col("bid"), pl.col("ask"), pl.col("underlying_price")
    two_sided = (pl.col("status") == "ok") & (bid > 0) & (ask >= bid) & ask.is_finite()
    priced = options.join(_years(options["expiry"], as_of), on="expiry", how="left", maintain_order="left")
    priced = priced.with_columns(
        mid=pl.when(two_sided).then((bid + ask) / 2),
        spot=pl.when(spot.is_finite() & (spot > 0)).then(spot),
        rate=pl.lit(parameters.rate),
    )
    yields = pl.col("underlying").replace_strict(
        parameters.dividend_yields, default=0.0, return_dtype=pl.Float64
    )
    carry = pl.col("spot") * ((pl.col("rate") - yields) * pl.col("years")).exp()
    priced = (
        priced.join(
            _parity_forwards(priced, parameters.parity_pairs),
            on=["underlying", "expiry"],
            how="left",
            maintain_order="left",
        )
        .with_columns(
            forward=pl.coalesce("parity", carry),
            forward_source=pl.when(pl.col("parity").is_not_null())
            .then(pl.lit("parity"))
            .otherwise(pl.when(pl.col("spot").is_not_null()).then(pl.lit("carry"))),
        )
        .with_columns(
            dividend_yield=pl.col("rate") - (pl.col("forward") / pl.col("spot")).log() / pl.col("years")
        )
    )
    return _with_model(priced).select(pl.col(name).cast(kind) for name, kind in OPTION_GREEKS.content.items())


def _years(expiries: pl.Series, as_of: datetime) -> pl.DataFrame:
    days: list[date] = expiries.unique().drop_nulls().to_list()
    left = [max(calendar.closing_time(day) - as_of, _SHORTEST) / YEAR for day in days]
    return pl.DataFrame({"expiry": days, "years": left}, schema={"expiry": pl.Date, "years": pl.Float64})


def _parity_forwards(priced: pl.DataFrame, pairs: int) -> pl.DataFrame:
    """Columns underlying, expiry, parity: the median of K + (C − P)·e^(rT) over the strikes at the money."""
    key = ["underlying", "trading_class", "expiry", "strike"]
    quoted = priced.filter(pl.col("mid").is_not_null() & pl.col("spot").is_not_null())
    calls = quoted.filter(pl.col("right") == Right.CALL).select(*key, "spot", "rate", "years", call="mid")
    puts = quoted.filter(pl.col("right") == Right.PUT).select(*key, put="mid")
    growth = (pl.col("rate") * pl.col("years")).exp()
    believed = _MAX_CARRY * pl.max_horizontal(pl.col("years"), 1.0)
    return (
        calls.join(puts, on=key, nulls_equal=True)
        .sort((pl.col("strike") - pl.col("spot")).abs(), "strike")
        .with_columns(parity=pl.col("strike") + growth * (pl.col("call") - pl.col("put")))
        .group_by("underlying", "expiry", maintain_order=True)
        .agg(
            pl.col("parity").head(pairs).median(),
            pl.col("parity").head(pairs).count().alias("voted"),
            pl.col("spot", "years").first(),
        )
        .filter(
            (pl.col("voted") >= min(_MIN_PAIRS, pairs))
            & (pl.col("parity") > 0)
            & ((pl.col("parity") / pl.col("spot")).log().abs() <= believed)
        )
        .select("underlying", "expiry", "parity")
    )


def _with_model(priced: pl.DataFrame) -> pl.DataFrame:
    """The rows with iv, iv_status and Greeks."""
    inputs = {name: priced[name].to_numpy() for name in ("spot", "strike", "years", "rate", "dividend_yield")}
    inputs["right"] = priced["right"].replace_strict({"C": 1.0, "P": -1.0}, default=None).to_numpy()
    implied = black_scholes.implied_volatility(price=priced["mid"].to_numpy(), **inputs)
    names = dict(enumerate(black_scholes.STATUS_NAMES))
    rows = _with_opposite(
        priced.with_columns(
            pl.Series("iv", implied.volatility).fill_nan(None),
            iv_status=pl.when(pl.col("spot").is_null() & pl.col("mid").is_not_null())
            .then(pl.lit("no_underlying_price"))
            .otherwise(pl.Series(implied.status).replace_strict(names, return_dtype=pl.String)),
        )
    )
    model = black_scholes.greeks(volatility=rows["iv"].to_numpy(), **inputs)
    return rows.with_columns(
        pl.Series(name, values).fill_nan(None)
        for name, values in zip(
            ("delta", "gamma", "vega_per_vol_point", "theta_per_day", "rho"), model, strict=True
        )
    )


def _with_opposite(rows: pl.DataFrame) -> pl.DataFrame:
    """Gives an option whose mid is below intrinsic the volatility of the opposite right, if it has one."""
    key = ["underlying", "trading_class", "expiry", "strike", "right"]
    opposite = (
        rows.filter(pl.col("iv").is_not_null())
        .select(*key[:-1], pl.col("right").replace({"C": "P", "P": "C"}), opposite="iv")
        .unique(key)
    )
    borrowed = (pl.col("iv_status") == "below_intrinsic") & pl.col("opposite").is_not_null()
    return rows.join(opposite, on=key, how="left", nulls_equal=True, maintain_order="left").with_columns(
        iv=pl.when(borrowed).then("opposite").otherwise("iv"),
        iv_status=pl.when(borrowed).then(pl.lit("opposite_right")).otherwise("iv_status"),
    )


def statistics(
    options: pl.DataFrame,
    option_greeks: pl.DataFrame,
    iv_history: pl.DataFrame,
    parameters: StatisticsParameters,
) -> pl.DataFrame:
    """OPTION_STATISTICS rows (without provenance), one per underlying of one tick's OPTIONS.

    `iv30`, `iv60`, `iv90`: at-the-money volatility, interpolated in total variance between the expiries
    around each horizon, null where the chain has none on one side. `iv_rank` and `iv_percentile` place
    IV30 in the `rank_sessions` of `iv_history` (BARS of what=implied_volatility) before the session,
    null below `min_rank_sessions`. `skew_25_delta`: volatility of the 25-delta put less the call's, at
    the expiry nearest to 30 days and within 15 of it. `term_slope`: IV60 less IV30. `expected_move_30`:
    one standard deviation over 30 days, in price. `put_call_volume`: put volume over call volume.
    """
    if options.is_empty():
        return OPTION_STATISTICS.content.to_frame()
    session = options["session"][0]
    rows = (
        _totals(options, option_greeks)
        .join(_horizons(option_greeks), on="underlying", how="left", maintain_order="left")
        .join(_skew(option_greeks), on="underlying", how="left", maintain_order="left")
    )
    ranks = _ranks(rows.select("underlying", "iv30"), iv_history, session, parameters)
    rows = rows.join(ranks, on="underlying", how="left", maintain_order="left").with_columns(
        pl.col("history_sessions").fill_null(0),
        term_slope=pl.col("iv60") - pl.col("iv30"),
        expected_move_30=pl.col("spot") * pl.col("iv30") * math.sqrt(timedelta(days=30) / YEAR),
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in OPTION_STATISTICS.content.items())


def _totals(options: pl.DataFrame, option_greeks: pl.DataFrame) -> pl.DataFrame:
    """Per underlying: tick, spot, how much was asked and quoted, put/call volume."""
    volume = pl.when(pl.col("volume").is_finite() & (pl.col("volume") > 0)).then("volume")
    puts = volume.filter(pl.col("right") == Right.PUT).sum()
    calls = volume.filter(pl.col("right") == Right.CALL).sum()
    quoted = option_greeks.group_by("underlying").agg(quoted=pl.col("mid").count())
    return (
        options.group_by("underlying", maintain_order=True)
        .agg(
            pl.col("session", "as_of").first(),
            spot=pl.col("underlying_price").first(),
            contracts=pl.len(),
            put_call_volume=pl.when(calls > 0).then(puts / calls),
        )
        .join(quoted, on="underlying", how="left", maintain_order="left")
    )


def _horizons(option_greeks: pl.DataFrame) -> pl.DataFrame:
    """Per underlying: iv30, iv60, iv90 from the at-the-money volatility of each expiry."""
    strikes = (
        option_greeks.filter(
            pl.col("iv").is_not_null() & ((pl.col("strike") / pl.col("forward") - 1).abs() <= _ATM_REACH)
        )
        .group_by("underlying", "expiry", "strike")
        .agg(pl.col("iv").mean(), pl.col("forward", "years").first())  # call and put err in opposite ways
        .sort("underlying", "expiry", "strike")
    )
    terms = (
        strikes.group_by("underlying", "expiry", maintain_order=True)
        .agg(
            iv=_interpolated(pl.col("iv"), pl.col("strike"), pl.col("forward").first()),
            years=pl.col("years").first(),
        )
        .filter(pl.col("iv").is_not_null())
        .sort("underlying", "years")
    )
    variance = pl.col("iv") ** 2 * pl.col("years")
    horizons = {days: timedelta(days=days) / YEAR for days in (30, 60, 90)}
    return terms.group_by("underlying", maintain_order=True).agg(
        (_interpolated(variance, pl.col("years"), pl.lit(years)) / years).sqrt().alias(f"iv{days}")
        for days, years in horizons.items()
    )


def _skew(option_greeks: pl.DataFrame) -> pl.DataFrame:
    """Per underlying: skew_25_delta at the expiry nearest to thirty days that has both wings."""
    away = (pl.col("years") - timedelta(days=_SKEW_DAYS) / YEAR).abs()
    out_of_the_money = pl.col("delta").abs().is_between(0.0, 0.5, closed="none")
    wings = (
        option_greeks.filter(out_of_the_money & (away <= timedelta(days=_SKEW_REACH_DAYS) / YEAR))
        .sort("underlying", "expiry", "right", pl.col("delta").abs())
        .group_by("underlying", "expiry", "right", "years", maintain_order=True)
        .agg(iv=_interpolated(pl.col("iv"), pl.col("delta").abs(), pl.lit(_SKEW_DELTA)))
        .filter(pl.col("iv").is_not_null())
    )
    put = wings.filter(pl.col("right") == Right.PUT)
    call = wings.filter(pl.col("right") == Right.CALL).select("underlying", "expiry", call="iv")
    return (
        put.join(call, on=["underlying", "expiry"])
        .sort("underlying", away)
        .group_by("underlying", maintain_order=True)
        .agg(skew_25_delta=(pl.col("iv") - pl.col("call")).first())
    )


def _ranks(
    today: pl.DataFrame, iv_history: pl.DataFrame, session: date, parameters: StatisticsParameters
) -> pl.DataFrame:
    """Per underlying with history: history_sessions, iv_rank, iv_percentile."""
    first = calendar.sessions_before(session, parameters.rank_sessions)[0]
    past, iv30 = pl.col("close"), pl.col("iv30").first()
    return (
        iv_history.filter(
            (pl.col("what") == "implied_volatility")
            & pl.col("session").is_between(first, session, closed="left")
            & past.is_finite()
            & (past > 0)
        )
        .unique(["symbol", "session"], keep="last")
        .join(today, left_on="symbol", right_on="underlying")
        .group_by(underlying="symbol")
        .agg(
            history_sessions=past.count(),
            iv_rank=iv_rank(past, iv30, parameters.min_rank_sessions),
            iv_percentile=iv_percentile(past, iv30, parameters.min_rank_sessions),
        )
    )


def _interpolated(y: pl.Expr, x: pl.Expr, target: pl.Expr) -> pl.Expr:
    """`y` at x = target in a group ascending in x, linear between the neighbours; null outside them."""
    below, above = x <= target, x >= target
    x0, x1 = x.filter(below).last(), x.filter(above).first()
    y0, y1 = y.filter(below).last(), y.filter(above).first()
    return pl.when(x1 > x0).then(y0 + (target - x0) / (x1 - x0) * (y1 - y0)).when(x1 == x0).then(y0)
