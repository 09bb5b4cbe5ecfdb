"""From a chain to the candidate of a strategy: its expiry, one class of contracts, then its own builder."""

from collections.abc import Callable
from datetime import date

import polars as pl

from trading_pipelines.core.strategies import verticals
from trading_pipelines.core.strategies.candidates import Offer
from trading_pipelines.core.strategies.iron_condor import iron_condor
from trading_pipelines.core.strategies.strikes import entry_expiry, usable, width
from trading_pipelines.domain.decisions import Candidate, NoCandidate
from trading_pipelines.domain.errors import ConfigError, SchemaMismatch
from trading_pipelines.domain.parameters import Parameters, StrikeParameters

Builder = Callable[[Offer, StrikeParameters], Candidate | NoCandidate]

STRATEGIES: dict[str, Builder] = {
    "iron_condor": iron_condor,
    "bull_put": verticals.bull_put,
    "bear_call": verticals.bear_call,
    "bull_call": verticals.bull_call,
    "bear_put": verticals.bear_put,
}
"""Every strategy that can be opened, by the name it has in tables and decisions."""


def select(
    chain: pl.DataFrame, strategy: str, session: date, parameters: Parameters, *, after: date | None = None
) -> Candidate | NoCandidate:
    """The candidate of a strategy from one underlying's chain (strikes.CHAIN_COLUMNS) of one tick.

    The expiry is the one that config `expiry` chooses; for a roll, of those `after` the held one.
    ConfigError for an unknown strategy, SchemaMismatch for a chain of several underlyings; all that a
    market may lack is a NoCandidate with its reason.
    """
    if strategy not in STRATEGIES:
        raise ConfigError(f"there is no strategy {strategy!r}", f"known are {', '.join(STRATEGIES)}")
    underlyings = chain.get_column("underlying").unique().to_list()
    if len(underlyings) > 1:
        raise SchemaMismatch(
            f"a chain of {len(underlyings)} underlyings", "pass one underlying's chain at a time"
        )
    underlying = underlyings[0] if underlyings else ""

    def refuse(reason: str) -> NoCandidate:
        return NoCandidate(underlying=underlying, strategy=strategy, reason=reason)

    if chain.is_empty():
        return refuse("the chain is empty")
    later = chain if after is None else chain.filter(pl.col("expiry") > after)
    expiry = entry_expiry(later, session, parameters.expiry)
    if expiry is None:
        window = f"of {parameters.expiry.min_dte}–{parameters.expiry.max_dte} days"
        return refuse(f"no expiry {window}{f' after {after}' if after else ''} is listed in the chain")
    rows = _main_class(chain.filter(pl.col("expiry") == expiry))
    spot = rows.get_column("spot").median()
    fit = usable(rows, parameters.strikes)
    if fit.is_empty() or not isinstance(spot, float):
        return refuse(f"no option of {expiry} has a two-sided, tight quote and Greeks")
    points = width(underlying, spot, parameters.strikes)
    return STRATEGIES[strategy](Offer(underlying, strategy, session, spot, fit, points), parameters.strikes)


def _main_class(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of the trading class with the most contracts: adjusted and weekly twins stay out."""
    keys = ["trading_class", "multiplier"]
    main = rows.group_by(keys).len().sort("len", *keys, descending=[True, False, False]).head(1)
    return rows.join(main.select(keys), on=keys, how="semi", nulls_equal=True)
