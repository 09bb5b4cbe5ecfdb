"""LEAN's files read in plain Python, to check the replay against something that shares no code with it."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

MILLISECONDS = 60_000
OPEN = (9 * 60 + 30) * MILLISECONDS
HALF_DAY_CLOSE = 13 * 60 * MILLISECONDS


def rows(path: Path) -> Iterator[tuple[str, list[list[str]]]]:
    """Every member's name with its rows as text."""
    with ZipFile(path) as archive:
        for name in archive.namelist():
            yield name, list(csv.reader(io.TextIOWrapper(archive.open(name), encoding="ascii")))


def option_key(member: str) -> tuple[str, float, str]:
    """Right, strike and expiry (yyyyMMdd) of a member's name."""
    right, strike, expiry = member.removesuffix(".csv").split("_")[-3:]
    return right[0].upper(), int(strike) / 10_000, expiry


def last_before(found: list[list[str]], at: int, close: int) -> list[str] | None:
    """The last row whose minute had ended `at` milliseconds after midnight and began within the session."""
    known = [row for row in found if OPEN <= int(row[0]) < close and int(row[0]) + MILLISECONDS <= at]
    return known[-1] if known else None


def price(text: str) -> float | None:
    """A price in ten-thousandths, None where the field is empty."""
    return int(text) / 10_000 if text else None
