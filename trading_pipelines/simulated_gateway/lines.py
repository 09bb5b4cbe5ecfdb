"""One client's market-data lines: snapshots and streams, quoted in batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trading_pipelines.simulated_gateway import ids, replies, ticks
from trading_pipelines.simulated_gateway.clock import GatewayClock
from trading_pipelines.simulated_gateway.contracts import is_valid, look_up
from trading_pipelines.simulated_gateway.ids import GenericTick, Reply
from trading_pipelines.simulated_gateway.requests import MarketDataRequest
from trading_pipelines.simulated_gateway.source import ListedContract, MarketQuote, MarketSource

MAX_LINES = 100
_FROZEN_TYPES = {2, 4}


@dataclass(slots=True)
class _Line:
    request: MarketDataRequest
    listed: ListedContract
    sent: frozenset[bytes] = field(default=frozenset())


class MarketDataLines:
    """Requests are answered at the end of the batch of messages they came in, with one look at the market."""

    def __init__(
        self,
        source: MarketSource,
        clock: GatewayClock,
        send: Callable[[Sequence[bytes]], None],
        limited: bool,
    ) -> None:
        self._source = source
        self._clock = clock
        self._send = send
        self._limited = limited
        self._lines: dict[int, _Line] = {}
        self._new: list[int] = []
        self.data_type = ticks.LIVE

    def __len__(self) -> int:
        return len(self._lines)

    def open(self, request: MarketDataRequest) -> tuple[int, str] | None:
        """Take a request; the error that refuses it, or None. A combo is never quoted: silence."""
        if request.snapshot and request.generic_ticks:
            return ids.INVALID("Snapshot market data subscription is not applicable to generic ticks")
        if request.request_id in self._lines:
            return ids.DUPLICATE_TICKER()
        if self._limited and len(self._lines) >= MAX_LINES:
            return ids.MARKET_DATA_LINES()
        if request.contract.is_combo:
            return None
        found = look_up(self._source, request.contract) if is_valid(request.contract) else []
        if len(found) != 1:
            return ids.NO_SECURITY()
        self._lines[request.request_id] = _Line(request, found[0])
        self._new.append(request.request_id)
        return None

    def close(self, request_id: int) -> None:
        """End a stream; an unknown id is no error, since a snapshot ends by itself."""
        self._lines.pop(request_id, None)

    def serve(self) -> None:
        """Answer what was opened since the last time."""
        new = [self._lines[number] for number in self._new if number in self._lines]
        self._new = []
        quotes = self._quotes(new)
        for line, quote in zip(new, quotes, strict=True):
            request = line.request
            self._send(ticks.tick_parameters(line.listed, request.request_id, self._type_of(line.listed)))
            self._tell(line, quote)
            if request.snapshot:
                self._send([replies.end(Reply.SNAPSHOT_END, request.request_id)])
                del self._lines[request.request_id]

    def requote(self) -> None:
        """Tell every stream what changed in the market."""
        self.serve()
        lines = list(self._lines.values())
        for line, quote in zip(lines, self._quotes(lines), strict=True):
            self._tell(line, quote)

    def _tell(self, line: _Line, quote: MarketQuote) -> None:
        request = line.request
        frames = ticks.ticks(quote, request.request_id)
        if request.generic_ticks:
            volatility = self._volatility(line)
            frames += ticks.generic_ticks(
                line.listed, quote, request.generic_ticks, volatility, request.request_id
            )
        self._send([each for each in frames if each not in line.sent])
        line.sent = frozenset(frames)

    def _volatility(self, line: _Line) -> float | None:
        """The underlying's 30-day implied volatility of the last session, for who asked for it."""
        if GenericTick.IMPLIED_VOLATILITY not in line.request.generic_ticks or line.listed.contract.right:
            return None
        bars = self._source.bars(
            line.listed.contract.con_id,
            what="OPTION_IMPLIED_VOLATILITY",
            seconds=86_400,
            end=self._clock.now(),
            count=1,
        )
        return bars[-1].close if bars else None

    def _quotes(self, lines: Sequence[_Line]) -> list[MarketQuote]:
        if not lines:
            return []
        return self._source.quotes([line.listed.contract.con_id for line in lines], self._clock.now())

    def _type_of(self, listed: ListedContract) -> int:
        """Live while the market is open; after it, frozen for a client that asked for frozen data."""
        is_open = self._source.is_open(listed.contract.con_id, self._clock.now())
        return ticks.FROZEN if self.data_type in _FROZEN_TYPES and not is_open else ticks.LIVE
