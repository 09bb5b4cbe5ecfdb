"""Volatility of one series as expressions: rank and percentile of implied, level of realised.

To be used in `group_by(...).agg(...)`: `history` is a column of past values, ascending.
"""

import math

import polars as pl

SESSIONS_A_YEAR = 252


def iv_rank(history: pl.Expr, today: pl.Expr, min_sessions: int) -> pl.Expr:
    """Where `today` lies between the lowest and the highest of history and today, 0 to 100.

    Null below `min_sessions` past values, without a value today, or when all are equal.
    """
    lowest, highest = pl.min_horizontal(history.min(), today), pl.max_horizontal(history.max(), today)
    enough = (history.count() >= min_sessions) & (highest > lowest)
    return pl.when(enough).then(100.0 * ((today - lowest) / (highest - lowest)))


def iv_percentile(history: pl.Expr, today: pl.Expr, min_sessions: int) -> pl.Expr:
    """Share of the past values below `today`, in %; null below `min_sessions` values or without today."""
    return pl.when(history.count() >= min_sessions).then(100.0 * (history < today).mean())


def realised_volatility(closes: pl.Expr, sessions: int) -> pl.Expr:
    """Annualised standard deviation of the last `sessions` daily log returns, a fraction.

    Close to close, about their mean, 252 sessions a year; null with fewer returns.
    """
    returns = closes.log().diff().tail(sessions)
    return pl.when(returns.count() >= max(sessions, 2)).then(returns.std() * math.sqrt(SESSIONS_A_YEAR))
