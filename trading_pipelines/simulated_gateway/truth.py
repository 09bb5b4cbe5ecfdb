"""The ground truth: what the gateway received and did, written outside the system under test.

One JSON object a line, with its own sequence number; on disk before the client hears of it.
Kinds: start, position, order, modify, what_if, rejected, cancel, cancelled, fill.
"""

import json
import math
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from trading_pipelines.simulated_gateway.order_requests import OrderRequest
from trading_pipelines.simulated_gateway.orders import Execution


class TruthLog:
    """An append-only log; without a path it is kept in memory only. A file that is there is continued."""

    def __init__(self, path: Path | None = None) -> None:
        self.records: list[dict[str, Any]] = []
        self._sequence = 0
        self._file = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+", encoding="utf-8")
            self._file.seek(0)
            self._sequence = sum(1 for _ in self._file)

    def record(self, kind: str, at: datetime, *facts: Mapping[str, object]) -> None:
        """Append facts of one kind; they are on disk when this returns."""
        entries = [
            {"seq": self._sequence + number, "at": at.isoformat(), "kind": kind, **fact}
            for number, fact in enumerate(facts, start=1)
        ]
        self._sequence += len(entries)
        self.records += entries
        if self._file is not None and entries:
            self._file.write("".join(json.dumps(entry, allow_nan=False) + "\n" for entry in entries))
            self._file.flush()
            os.fsync(self._file.fileno())

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The facts of one kind, in sequence."""
        return [record for record in self.records if record["kind"] == kind]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def order_fact(client_id: int, request: OrderRequest) -> dict[str, object]:
    """An order message as it was received."""
    return {
        "client_id": client_id,
        "order_id": request.order_id,
        "order_ref": request.order_ref,
        "account": request.account,
        "security_type": request.contract.security_type,
        "symbol": request.contract.symbol,
        "con_id": request.contract.con_id,
        "legs": [{"con_id": leg.con_id, "ratio": leg.ratio, "side": leg.side.value} for leg in request.legs],
        "side": request.side.value,
        "quantity": _number(request.quantity),
        "order_type": request.order_type,
        "limit": _number(request.limit),
        "tif": request.tif,
    }


def fill_fact(execution: Execution) -> dict[str, object]:
    """One execution as it was sent; a combo as a whole has con_id 0."""
    order, listed = execution.order, execution.listed
    return {
        "exec_id": execution.exec_id,
        "order_ref": order.request.order_ref,
        "perm_id": order.perm_id,
        "client_id": order.client_id,
        "order_id": order.request.order_id,
        "security_type": listed.contract.security_type.value if listed else "BAG",
        "con_id": listed.contract.con_id if listed else 0,
        "local_symbol": listed.contract.local_symbol if listed else "",
        "side": execution.side.value,
        "quantity": execution.quantity,
        "price": execution.price,
        "commission": execution.commission,
        "realised_pnl": execution.realised_pnl,
    }


def _number(value: float | None) -> float | str | None:
    """A number JSON can hold; a client may send NaN and infinity."""
    return value if value is None or math.isfinite(value) else str(value)
