"""Contracts and quotes from an IB gateway, within its pace and its market-data lines."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from math import isnan
from typing import Any, Final, TypeVar

import ib_async as ib
import polars as pl
from ib_async.wrapper import RequestError

from trading_pipelines.adapters import ib_contracts
from trading_pipelines.adapters.ib_faults import PACING_CODES
from trading_pipelines.adapters.ib_session import IBSession
from trading_pipelines.domain.contracts import Contract, SecurityType
from trading_pipelines.domain.errors import MissingData

Answer = TypeVar("Answer")

UNKNOWN_CONTRACT: Final = 200
REQUESTS_IN_FLIGHT: Final = 40
"""Contract requests open at once: enough to hide the round trip, few enough not to flood."""
SWEEP_SECONDS: Final = 0.5
"""A snapshot that is complete this long without its end message gives its line back."""


class IBMarketData:
    """ports.MarketData over one session."""

    def __init__(self, session: IBSession) -> None:
        self._session = session

    def resolve(self, contracts: Sequence[Contract]) -> tuple[Contract, ...]:
        """The same contracts with con_id and every field the broker knows; MissingData names the unknown."""
        found = self._details([ib_contracts.to_ib(contract) for contract in contracts])
        resolved, problems = [], []
        for asked, details in zip(contracts, found, strict=True):
            matches = [item.contract for item in details if item.contract]
            if len(matches) != 1:
                problems.append(f"{_name(asked)} ({'unknown' if not matches else f'{len(matches)} match'})")
                continue
            answer = ib_contracts.from_ib(matches[0])
            if not ib_contracts.same_contract(asked, answer):
                told = f"con_id {answer.con_id}, multiplier {answer.multiplier:g}"
                problems.append(f"{_name(asked)} (the broker answers {told})")
                continue
            resolved.append(answer)
        if problems:
            raise MissingData(
                f"the broker does not list {', '.join(problems)}", "check symbol, exchange, expiry and strike"
            )
        return tuple(resolved)

    def list_options(self, underlying: Contract) -> pl.DataFrame:
        """CONTRACT_COLUMNS + exercise_style of every listed option, by expiry and strike; may be empty.

        IB's chain parameters give the union of strikes over all expiries, so only their expiries are
        used, and each class and expiry is asked for the strikes that exist.
        """
        ib_underlying = ib_contracts.to_ib(underlying)

        async def chains() -> list[ib.OptionChain]:
            try:
                return await self._session.ib.reqSecDefOptParamsAsync(
                    ib_underlying.symbol, "", ib_underlying.secType, ib_underlying.conId
                )
            except RequestError as error:
                if error.code == UNKNOWN_CONTRACT:
                    return []
                raise

        listed = self._session.call(chains)
        smart = [chain for chain in listed if chain.exchange == "SMART"] or listed
        wanted = sorted(
            {
                (chain.tradingClass, chain.multiplier, expiry, chain.exchange)
                for chain in smart
                for expiry in chain.expirations
            }
        )
        details = self._details(
            [
                ib.Contract(
                    secType=SecurityType.OPTION.value,
                    symbol=underlying.symbol,
                    exchange=exchange,
                    currency=underlying.currency,
                    tradingClass=trading_class,
                    multiplier=multiplier,
                    lastTradeDateOrContractMonth=expiry,
                )
                for trading_class, multiplier, expiry, exchange in wanted
            ]
        )
        frame = ib_contracts.contracts_frame([item for answer in details for item in answer])
        return frame.unique("con_id", maintain_order=True).sort("expiry", "trading_class", "strike", "right")

    def list_futures(self, symbol: str, exchange: str) -> tuple[Contract, ...]:
        """Listed futures of one root, nearest expiry first."""
        root = ib.Contract(
            secType=SecurityType.FUTURE.value, symbol=symbol, exchange=exchange, currency="USD"
        )
        (details,) = self._details([root])
        contracts = [ib_contracts.from_ib(item.contract) for item in details if item.contract]
        dated = [(contract.expiry, contract.con_id, contract) for contract in contracts if contract.expiry]
        return tuple(contract for _, _, contract in sorted(dated, key=lambda item: item[:2]))

    def quotes(self, contracts: pl.DataFrame, *, timeout_seconds: float) -> pl.DataFrame:
        """QUOTE_COLUMNS, a row for each contract asked, in its order; what did not answer is `missing`.

        `quoted_at` is the gateway's clock when the batch began, so no quote looks younger than it is.
        """
        asked = [
            ib.Contract(secType=kind, conId=con_id, symbol=symbol, exchange=exchange, currency=currency)
            for kind, con_id, symbol, exchange, currency in contracts.select(
                "security_type", "con_id", "symbol", "exchange", "currency"
            ).iter_rows()
        ]
        if not asked:
            return ib_contracts.quotes_frame([], [], datetime.min.replace(tzinfo=UTC))

        async def batch() -> tuple[datetime, list[ib.Ticker | None]]:
            began = await self._session.ib.reqCurrentTimeAsync()
            lines = self._session.parameters.market_data_lines
            return began, await _Snapshots(self._session.ib, asked, lines).collect(timeout_seconds)

        limit = timeout_seconds + self._session.parameters.request_timeout_seconds
        quoted_at, tickers = self._session.call(batch, timeout_seconds=limit)
        return ib_contracts.quotes_frame(contracts["con_id"].to_list(), tickers, quoted_at)

    def _details(self, contracts: Sequence[ib.Contract]) -> list[list[ib.ContractDetails]]:
        """What the broker lists for each pattern; an unknown contract is an empty list."""

        async def one(contract: ib.Contract) -> list[ib.ContractDetails]:
            try:
                return await self._session.ib.reqContractDetailsAsync(contract)
            except RequestError as error:
                if error.code == UNKNOWN_CONTRACT:
                    return []
                raise

        rate = self._session.parameters.messages_per_second
        limit = self._session.parameters.request_timeout_seconds + (len(contracts) / rate if rate else 0.0)
        work = [partial(one, contract) for contract in contracts]
        return self._session.call(lambda: _at_most(REQUESTS_IN_FLIGHT, work), timeout_seconds=limit)


class _Snapshots:
    """One batch of snapshot requests with a limited number of lines open.

    A snapshot costs one message, where a stream costs a second one to end it. What is complete
    without IB's end message, which may take eleven seconds, is cancelled to free its line.
    """

    def __init__(self, client: ib.IB, contracts: Sequence[ib.Contract], lines: int) -> None:
        self._wrapper: Any = client.wrapper
        self._client: Any = client.client
        self._lines = lines
        self._waiting: Iterator[tuple[int, ib.Contract]] = enumerate(contracts)
        self._tickers: list[ib.Ticker | None] = [None] * len(contracts)
        self._open: dict[int, tuple[int, ib.Ticker]] = {}
        self._complete: set[int] = set()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def collect(self, timeout_seconds: float) -> list[ib.Ticker | None]:
        """Tickers in the order asked; None for what was refused or did not answer in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        self._fill_lines()
        while not self._done.done() and (remaining := deadline - loop.time()) > 0:
            await asyncio.wait([self._done], timeout=min(SWEEP_SECONDS, remaining))
            self._release_complete()
        if self._done.done():
            self._done.result()
        for request_id in list(self._open):
            self._cancel(request_id)
        return self._tickers

    def _fill_lines(self) -> None:
        while len(self._open) < self._lines:
            index, contract = next(self._waiting, (None, None))
            if index is None or contract is None:
                if not self._open and not self._done.done():
                    self._done.set_result(None)
                return
            self._ask(index, contract)

    def _ask(self, index: int, contract: ib.Contract) -> None:
        request_id = self._client.getReqId()
        # A ticker of its own: IB.ticker() would hand back the last snapshot's numbers.
        ticker = ib.Ticker(contract=contract)
        self._open[request_id] = (index, ticker)
        self._wrapper.reqId2Ticker[request_id] = ticker
        future: asyncio.Future[Any] = self._wrapper.startReq(request_id, contract)
        future.add_done_callback(partial(self._answered, request_id))
        self._client.reqMktData(request_id, contract, "", True, False, [])

    def _answered(self, request_id: int, future: "asyncio.Future[Any]") -> None:
        opened = self._open.pop(request_id, None)
        if opened is None or self._done.done():
            return
        index, ticker = opened
        self._wrapper.reqId2Ticker.pop(request_id, None)
        error = None if future.cancelled() else future.exception()
        if error is None:
            self._tickers[index] = ticker if _anything(ticker) else None
        elif not isinstance(error, RequestError) or error.code in PACING_CODES:
            self._done.set_exception(error)
            return
        self._fill_lines()

    def _release_complete(self) -> None:
        """Take what was complete a sweep ago and has had no end message since."""
        if self._done.done():
            return
        complete = {request_id for request_id, (_, ticker) in self._open.items() if _complete(ticker)}
        for request_id in complete & self._complete:
            index, ticker = self._open[request_id]
            self._tickers[index] = ticker
            self._cancel(request_id)
        self._complete = complete
        self._fill_lines()

    def _cancel(self, request_id: int) -> None:
        del self._open[request_id]
        self._client.cancelMktData(request_id)
        # The ticker stays registered: ticks that are under way would be logged as errors.
        self._wrapper._endReq(request_id)


def _anything(ticker: ib.Ticker) -> bool:
    """Whether any price arrived, be it IB's word that there is none."""
    return not (isnan(ticker.bid) and isnan(ticker.ask) and isnan(ticker.last))


def _complete(ticker: ib.Ticker) -> bool:
    """Both sides are known, for an option also the model's Greeks."""
    option = ticker.contract is not None and ticker.contract.secType in ("OPT", "FOP")
    sides = not isnan(ticker.bid) and not isnan(ticker.ask)
    return sides and (not option or ticker.modelGreeks is not None)


async def _at_most(limit: int, work: Sequence[Callable[[], Awaitable[Answer]]]) -> list[Answer]:
    """Every result, in order, with at most `limit` under way."""
    gate = asyncio.Semaphore(limit)

    async def gated(one: Callable[[], Awaitable[Answer]]) -> Answer:
        async with gate:
            return await one()

    return await asyncio.gather(*(gated(one) for one in work))


def _name(contract: Contract) -> str:
    """A contract in words."""
    details = [
        contract.expiry and f"{contract.expiry}",
        contract.strike and f"{contract.strike:g}",
        contract.right,
    ]
    named = contract.local_symbol or " ".join([contract.symbol, *(str(part) for part in details if part)])
    return f"{contract.security_type.value} {named} at {contract.exchange}"
