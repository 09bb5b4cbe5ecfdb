"""What goes wrong between us and a gateway, in our terms: no connection, refusals, unreadable messages."""

import logging
import socket
import threading
from collections.abc import Sequence
from typing import Final

from ib_async.wrapper import RequestError

from trading_pipelines.domain.errors import BrokerError, BrokerUnavailable, PacingViolation
from trading_pipelines.domain.parameters import BrokerParameters

CLIENT_ID_IN_USE: Final = 326
PACING_CODES: Final = frozenset({100, 101, 420})
"""100 message rate, 101 market-data lines, 420 pacing of real-time requests."""


def no_connection(
    error: BaseException,
    told: Sequence[tuple[int, int, str]],
    parameters: BrokerParameters,
    role: str,
) -> BrokerUnavailable:
    """Why no connection came about: ib_async's error, and what the gateway told before it hung up.

    `told` are (request id, code, text).
    """
    address = f"{parameters.host}:{parameters.port}"
    if any(code == CLIENT_ID_IN_USE for _, code, _ in told):
        client_id = {str(name): number for name, number in parameters.client_ids.items()}[role]
        return BrokerUnavailable(
            f"client id {client_id} is in use",
            f"end the other process of role {role}, or change broker.client_ids.{role}",
        )
    if isinstance(error, ConnectionError) and error.args and isinstance(error.args[0], list):
        return BrokerUnavailable(
            f"the gateway at {address} is not ready: {', '.join(error.args[0])}",
            "wait until it has synchronised with IB, then try again",
        )
    # Several addresses of one host give a plain OSError, an unknown host a gaierror.
    if isinstance(error, ConnectionRefusedError | socket.gaierror) or type(error) is OSError:
        return BrokerUnavailable(
            f"no gateway at {address}",
            "start one with `trading-pipelines gateway`, or set broker.port",
        )
    return BrokerUnavailable(
        f"what listens at {address} did not answer as an IB gateway",
        "see what uses the port, or set broker.port",
    )


def refused(error: RequestError) -> BrokerError:
    """IB's refusal of a request in our terms."""
    if error.code in PACING_CODES:
        return PacingViolation(
            f"IB refused the pace: {error.code} {error.message}", "lower broker.messages_per_second"
        )
    return BrokerError(f"IB refused a request: {error.code} {error.message}")


class UnreadableMessages(logging.Handler):
    """Counts what ib_async's decoder swallowed in one thread: it only logs what it cannot read."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0
        self.last = ""
        self._thread_id: int | None = None
        self._logger = logging.getLogger("ib_async.Decoder")

    def listen(self) -> None:
        """Count from now on, for the calling thread."""
        self.count = 0
        self._thread_id = threading.get_ident()
        self._logger.addHandler(self)

    def stop(self) -> None:
        """Count no more."""
        self._logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Remember one record when it is about this session."""
        if record.thread == self._thread_id:
            self.count += 1
            self.last = record.getMessage()[:200]
