"""One connection to an IB gateway: its own event loop in its own thread, paced, watched, closed cleanly.

ib_async lives on that loop alone; whoever needs it sends a coroutine function through `IBSession.call`.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from ib_async import IB
from ib_async.wrapper import RequestError

from trading_pipelines.adapters.ib_faults import UnreadableMessages, no_connection, refused
from trading_pipelines.domain.errors import BrokerError, BrokerUnavailable, ConfigError
from trading_pipelines.domain.parameters import BrokerParameters

Answer = TypeVar("Answer")

LOST, RESTORED_EMPTY, RESTORED = 1100, 1101, 1102
"""Connectivity between the gateway and IB: lost, restored without data, restored with data."""
CLOSING_SECONDS = 5.0


class IBSession:
    """A context manager around one unmodified `ib_async.IB`.

    BrokerUnavailable names the cause when no connection comes about. What the gateway sends and
    ib_async cannot read is counted: `check` and a clean exit raise BrokerError for it.
    """

    def __init__(self, parameters: BrokerParameters, role: str) -> None:
        client_id = {str(name): number for name, number in parameters.client_ids.items()}.get(role)
        if client_id is None:
            raise ConfigError(f"no client id for role {role!r}", f"set broker.client_ids.{role}")
        self.parameters = parameters
        self.role = role
        self.client_id = client_id
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ib: IB | None = None
        self._errors: list[tuple[int, int, str]] = []
        self._unreadable = UnreadableMessages()
        self._degraded = False
        self._turn = asyncio.Lock()

    @property
    def ib(self) -> IB:
        """The client; touch it on the session's loop only."""
        if self._ib is None:
            raise BrokerUnavailable(f"the {self.role} session is not connected", "open it with `with`")
        return self._ib

    @property
    def client(self) -> Any:
        """The socket client beneath `ib`, which carries no types; on the session's loop only."""
        return self.ib.client

    @property
    def accounts(self) -> tuple[str, ...]:
        """Accounts the gateway serves."""
        return tuple(self.ib.managedAccounts())

    @property
    def connected(self) -> bool:
        """Whether requests can be sent."""
        return self._ib is not None and bool(self._ib.isConnected())

    @property
    def degraded(self) -> bool:
        """True while the gateway has lost IB (1100): nothing may be sent or modified."""
        return self._degraded

    def errors_of(self, request_id: int) -> tuple[tuple[int, str], ...]:
        """Error codes and texts the gateway sent for one request or order id, oldest first."""
        return tuple((code, text) for about, code, text in self._errors if about == request_id)

    def check(self) -> None:
        """Passes while everything received could be read; BrokerError otherwise."""
        if self._unreadable.count:
            raise BrokerError(
                f"{self._unreadable.count} messages of the gateway could not be read, the last: "
                f"{self._unreadable.last}",
                "nothing this session said can be trusted; compare the gateway's and ib_async's versions",
            )

    def call(self, work: Callable[[], Awaitable[Answer]], *, timeout_seconds: float | None = None) -> Answer:
        """Run `work()` on the session's loop from any thread and return its result.

        Without a limit of its own a call may take `request_timeout_seconds`. BrokerUnavailable when
        there is no answer in time or the connection breaks, PacingViolation when IB refused the
        rate, BrokerError for other refusals. ib_async's own futures are made on the loop, so `work`
        must not be a coroutine made elsewhere.
        """
        limit = self.parameters.request_timeout_seconds if timeout_seconds is None else timeout_seconds
        loop = self._loop
        if loop is None or not loop.is_running():
            raise BrokerUnavailable(f"the {self.role} session is not connected", "open it with `with`")

        async def in_turn() -> Answer:
            # ib_async keys some requests by name: two at once would leave the first without an answer.
            async with self._turn:
                return await work()

        async def bounded() -> Answer:
            return await asyncio.wait_for(in_turn(), limit)

        future = asyncio.run_coroutine_threadsafe(bounded(), loop)
        try:
            # The loop keeps the limit; the margin only guards against a loop that is stuck.
            return future.result(limit + CLOSING_SECONDS)
        except TimeoutError as error:
            future.cancel()
            raise BrokerUnavailable(
                f"the gateway at {self._address} did not answer within {limit:g} s",
                "see whether it is logged in, or raise broker.request_timeout_seconds",
            ) from error
        except RequestError as error:
            raise refused(error) from error
        except ConnectionError as error:
            raise BrokerUnavailable(
                f"the connection to the gateway at {self._address} broke", "restart it and try again"
            ) from error

    async def until(self, condition: Callable[[], bool], timeout_seconds: float) -> bool:
        """Whether `condition` came to hold; looked at after every packet. On the session's loop only.

        False when the time is over or the connection is gone.
        """
        news = asyncio.Event()

        def wake(*_: object) -> None:
            news.set()

        ib = self.ib
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        ib.updateEvent += wake
        ib.disconnectedEvent += wake
        try:
            while not condition():
                remaining = deadline - loop.time()
                if remaining <= 0 or not self.connected:
                    return False
                news.clear()
                try:
                    await asyncio.wait_for(news.wait(), remaining)
                except TimeoutError:
                    return condition()
            return True
        finally:
            ib.updateEvent -= wake
            ib.disconnectedEvent -= wake

    def __enter__(self) -> Self:
        started = threading.Event()
        self._errors.clear()
        self._degraded = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._run, args=(self._loop, started), name=f"ib-{self.role}", daemon=True
        )
        self._thread.start()
        started.wait()
        try:
            future = asyncio.run_coroutine_threadsafe(self._connect(), self._loop)
            future.result()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None:
            self.check()

    def close(self) -> None:
        """Disconnect, end the loop and its thread; a second call does nothing."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._disconnect(), loop).result(CLOSING_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSING_SECONDS)

    @property
    def _address(self) -> str:
        return f"{self.parameters.host}:{self.parameters.port}"

    def _run(self, loop: asyncio.AbstractEventLoop, started: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        self._unreadable.listen()
        loop.call_soon(started.set)
        try:
            loop.run_forever()
        finally:
            self._unreadable.stop()
            leftover = asyncio.all_tasks(loop)
            for task in leftover:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*leftover, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            loop.close()

    async def _connect(self) -> None:
        ib = IB()
        client: Any = ib.client
        ib.RaiseRequestErrors = True
        ib.RequestTimeout = self.parameters.request_timeout_seconds
        # Executions carry times as 20240612-14:30:00, which is UTC; ib_async would take it for local time.
        ib.TimezoneTWS = "UTC"
        rate = self.parameters.messages_per_second
        client.MaxRequests = 1 if rate else 0
        client.RequestsInterval = 1 / rate if rate else 1
        ib.errorEvent += self._on_error
        closed = asyncio.Event()

        def on_close(_: str) -> None:
            closed.set()

        client.conn.disconnected += on_close
        connecting = asyncio.ensure_future(
            ib.connectAsync(
                self.parameters.host,
                self.parameters.port,
                clientId=self.client_id,
                timeout=self.parameters.connect_timeout_seconds,
                raiseSyncErrors=True,
            )
        )
        # ib_async would sit out its timeout after the peer has closed.
        gone = asyncio.ensure_future(closed.wait())
        await asyncio.wait({connecting, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        connecting.cancel()
        outcome = (await asyncio.gather(connecting, gone, return_exceptions=True))[0]
        client.conn.disconnected -= on_close
        if isinstance(outcome, BaseException):
            client.disconnect()
            raise no_connection(outcome, self._errors, self.parameters, self.role) from outcome
        self._ib = ib

    async def _disconnect(self) -> None:
        ib, self._ib = self._ib, None
        if ib is None:
            return
        client: Any = ib.client
        ib.errorEvent -= self._on_error
        if client.isReady():
            ib.disconnect()
        # The transport writes what it still holds and closes in the loop's next turns.
        for _ in range(100):
            if not client.conn.isConnected():
                return
            await asyncio.sleep(0.005)

    def _on_error(self, request_id: int, code: int, text: str, _contract: object) -> None:
        self._errors.append((request_id, code, text))
        if code == LOST:
            self._degraded = True
        elif code in (RESTORED_EMPTY, RESTORED):
            self._degraded = False


class IBClock:
    """ports.Clock: the gateway's clock, which answers in whole seconds."""

    def __init__(self, session: IBSession) -> None:
        self._session = session

    def now(self) -> datetime:
        """The gateway's time in UTC; BrokerUnavailable when it does not answer."""
        return self._session.call(self._session.ib.reqCurrentTimeAsync)
