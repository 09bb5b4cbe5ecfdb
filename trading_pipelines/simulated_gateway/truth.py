"""The ground truth: what the gateway received and did, written outside the system under test.

One JSON object a line, with its own sequence number; on disk before the client hears of it.
"""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any


class TruthLog:
    """An append-only log; without a path it is kept in memory only."""

    def __init__(self, path: Path | None = None) -> None:
        self.records: list[dict[str, Any]] = []
        self._file = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")

    def record(self, kind: str, at: datetime, **details: object) -> None:
        """Append one fact; it is flushed to disk when this returns."""
        entry = {"seq": len(self.records) + 1, "at": at.isoformat(), "kind": kind, **details}
        self.records.append(entry)
        if self._file is not None:
            self._file.write(json.dumps(entry) + "\n")
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
