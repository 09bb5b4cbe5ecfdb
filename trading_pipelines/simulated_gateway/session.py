"""One client's connection: framing, handshake, start and pacing. What it then asks goes to its desk."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from trading_pipelines.domain.errors import SchemaMismatch
from trading_pipelines.simulated_gateway import ids, replies, requests
from trading_pipelines.simulated_gateway.desk import ClientDesk
from trading_pipelines.simulated_gateway.ids import Request
from trading_pipelines.simulated_gateway.venue import Venue
from trading_pipelines.simulated_gateway.wire import Fields, FrameReader, negotiate

MESSAGES_PER_SECOND = 50
_LOG = logging.getLogger(__name__)


class ClientSession(asyncio.Protocol):
    """Speaks with one client. All work is done where its bytes arrive; replies leave in one write."""

    def __init__(self, venue: Venue, connections: set[asyncio.Transport]) -> None:
        self._venue = venue
        self._connections = connections
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._version = 0
        self._client_id = -1
        self._desk: ClientDesk | None = None
        self._unsent: list[bytes] = []
        self._recent: deque[datetime] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(transport)

    def data_received(self, data: bytes) -> None:
        """Serve every complete message, then the market data they asked for, in one batch."""
        try:
            for payload in self._reader.feed(data):
                self._receive(payload)
        except SchemaMismatch as mismatch:
            _LOG.warning("client %s does not speak the API: %s", self._client_id, mismatch)
            self._hang_up()
            return
        if self._desk is not None:
            self._desk.lines.serve()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone; its orders stay."""
        if self._transport is not None:
            self._connections.discard(self._transport)
            self._transport = None
        if self._desk is not None:
            del self._venue.clients[self._client_id]
            self._desk = None

    def _hang_up(self) -> None:
        """Say what is left to say, and close."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def send(self, frames: Sequence[bytes]) -> None:
        """Send frames, together with all else that this turn of the loop says."""
        if frames and not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent += frames

    def _flush(self) -> None:
        if self._unsent and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent = []

    def _error(self, error: tuple[int, str]) -> None:
        self.send([replies.error(-1, error, self._version)])

    def _receive(self, payload: str) -> None:
        if not self._version:
            self._version = negotiate(payload)
            self.send([replies.handshake(self._version, self._venue.clock.now())])
            return
        self._venue.messages += 1
        try:
            fields = Fields(payload)
            number = fields.integer()
            if self._desk is None:
                if number == Request.START_API:
                    self._start(requests.read_versioned_id(fields))
            elif not self._too_fast():
                self._desk.serve(number, fields)
        except SchemaMismatch as mismatch:
            self._error(ids.UNREADABLE(mismatch.problem))

    def _too_fast(self) -> bool:
        """Refuse what is more than 50 messages within a second of the gateway's clock."""
        if not self._venue.limits:
            return False
        now = self._venue.clock.now()
        while self._recent and now - self._recent[0] >= timedelta(seconds=1):
            self._recent.popleft()
        self._recent.append(now)
        if len(self._recent) <= MESSAGES_PER_SECOND:
            return False
        self._error(ids.MESSAGE_RATE(MESSAGES_PER_SECOND, len(self._recent)))
        return True

    def _start(self, client_id: int) -> None:
        if client_id in self._venue.clients:
            self._error(ids.CLIENT_ID_IN_USE())
            self._hang_up()
            return
        self._client_id = client_id
        self._desk = ClientDesk(self._venue, client_id, self._version, self.send)
        self._venue.clients[client_id] = self._desk
        self._desk.greet()
