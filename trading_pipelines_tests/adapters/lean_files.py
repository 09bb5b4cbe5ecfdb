"""Small recordings in LEAN's layout, written by the test that reads them."""

from collections.abc import Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile


def write(root: Path, path: str, members: Mapping[str, str]) -> Path:
    """A zip at `path` under `root` with these members; returns where it lies."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target
