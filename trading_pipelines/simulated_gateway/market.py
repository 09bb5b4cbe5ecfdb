"""The seeded synthetic market, as the gateway asks for it: contracts, quotes and bars at a time."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import cached_property

import numpy as np

from trading_pipelines.core.market import calendar
from trading_pipelines.domain.contracts import Contract, SecurityType
from trading_pipelines.simulated_gateway import fair_values, universe
from trading_pipelines.simulated_gateway.paths import Paths
from trading_pipelines.simulated_gateway.patterns import matches
from trading_pipelines.simulated_gateway.source import Bar, ListedContract, MarketQuote, OptionParameters
from trading_pipelines.simulated_gateway.synthetic_bars import bars_of
from trading_pipelines.simulated_gateway.synthetic_quotes import quotes_of
from trading_pipelines.simulated_gateway.universe import UNDERLYINGS, Integers


class SyntheticMarket:
    """SPY, QQQ, IWM with options, VIX, VIX3M and the futures ES, NQ, RTY, from one seed.

    `session` decides which options and futures are listed; quotes and bars are served for any time. DataError
    when it is none. `paths` spares drawing them again, where they reach that far.
    """

    def __init__(self, seed: int, session: date, paths: Paths | None = None) -> None:
        calendar.session_bounds(session)  # a day without a session has no listing: it says so
        self.seed = seed
        self.session = session
        self._paths = paths or Paths(seed, session)

    def on(self, session: date) -> "SyntheticMarket":
        """The same market with the listing of another session."""
        return SyntheticMarket(self.seed, session, self._paths if session <= self.session else None)

    def contract(self, con_id: int) -> ListedContract | None:
        """One listed contract."""
        if con_id in universe.fixed():
            return universe.fixed()[con_id]
        if con_id in self._future_ids:
            return universe.future(con_id)
        return universe.option(con_id) if con_id in self._option_ids else None

    def find(self, pattern: Contract) -> Sequence[ListedContract]:
        """Contracts that match every field the pattern sets (con_id first), by expiry, strike and right."""
        if pattern.con_id:
            listed = self.contract(pattern.con_id)
            return [listed] if listed else []
        match pattern.security_type:
            case SecurityType.STOCK | SecurityType.INDEX:
                found: Iterable[ListedContract] = universe.fixed().values()
            case SecurityType.FUTURE:
                found = map(universe.future, self._future_ids)
            case SecurityType.OPTION:
                found = map(universe.option, self._narrowed(pattern))
            case _:
                found = ()
        return [listed for listed in found if matches(pattern, listed)]

    def option_parameters(self, underlying_con_id: int) -> Sequence[OptionParameters]:
        """Option classes of an underlying; empty when it has none."""
        for position, underlying in enumerate(UNDERLYINGS):
            if underlying.con_id == underlying_con_id:
                codes = universe.decode_options(self._listed[position])
                expiries = tuple(universe.day_of(int(day)) for day in np.unique(codes.day))
                strikes = tuple(float(strike) for strike in np.unique(codes.strike))
                return [
                    OptionParameters(exchange, underlying.con_id, underlying.symbol, "100", expiries, strikes)
                    for exchange in ("SMART", "CBOE")
                ]
        return []

    def quotes(self, con_ids: Sequence[int], at: datetime) -> list[MarketQuote]:
        """What the market shows at `at`, in the order asked; nothing for what it does not know.

        Out of hours there is no bid and no ask; `last` is the value at the last close.
        """
        return quotes_of(self._paths, con_ids, at)

    def bars(self, con_id: int, *, what: str, seconds: int, end: datetime, count: int) -> list[Bar]:
        """The last `count` bars that ended by `end`, ascending; empty for what there is no series of."""
        return bars_of(self._paths, con_id, what=what, seconds=seconds, end=end, count=count)

    def is_open(self, con_id: int, at: datetime) -> bool:
        """Whether the contract trades at `at`."""
        if universe.is_future(np.array([con_id]))[0]:
            return calendar.trade_date(at) is not None
        tick = calendar.tick_at(at)
        return tick is not None and (
            not universe.is_option(np.array([con_id]))[0] or at < fair_values.expiry_time(con_id)
        )

    @cached_property
    def _listed(self) -> tuple[Integers, ...]:
        """Con_ids of the listed options, an array per underlying, by expiry, strike and right."""
        return tuple(self._list_options(position) for position in range(len(UNDERLYINGS)))

    @cached_property
    def _option_ids(self) -> frozenset[int]:
        return frozenset(int(con_id) for con_ids in self._listed for con_id in con_ids)

    @cached_property
    def _future_ids(self) -> tuple[int, ...]:
        return tuple(
            universe.future_con_id(position, expiry)
            for position in range(len(UNDERLYINGS))
            for expiry in universe.future_expiries(self.session)
        )

    def _list_options(self, position: int) -> Integers:
        parts = []
        for expiry in universe.option_expiries(self.session):
            days = (expiry - self.session).days
            low, high = self._paths.close_range(position, universe.listed_since(expiry), self.session)
            strikes = np.repeat(universe.strikes(low, high, days), 2)
            parts.append(
                universe.option_con_ids(
                    universe.OptionCodes(
                        underlying=np.full(strikes.size, position),
                        day=np.full(strikes.size, universe.day_number(expiry)),
                        strike=strikes,
                        right=np.tile(np.array([1, -1]), strikes.size // 2),
                    )
                )
            )
        return np.concatenate(parts)

    def _narrowed(self, pattern: Contract) -> list[int]:
        """Con_ids of listed options that may match: those of the pattern's symbol, expiry, strike, right."""
        found: list[int] = []
        for position, con_ids in enumerate(self._listed):
            symbol = UNDERLYINGS[position].symbol
            if pattern.symbol not in ("", symbol):
                continue
            codes = universe.decode_options(con_ids)
            keep = np.ones(con_ids.size, dtype=np.bool_)
            if pattern.expiry:
                keep &= codes.day == universe.day_number(pattern.expiry)
            if pattern.strike:
                keep &= codes.strike == pattern.strike
            if pattern.right:
                keep &= codes.right == pattern.right.sign
            found += con_ids[keep].tolist()
        return found
