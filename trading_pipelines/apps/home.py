"""Where a simulated session keeps its data, and how it starts from nothing without taking anything away."""

import fcntl
import os
import shutil
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

from trading_pipelines.domain.errors import ConfigError
from trading_pipelines.settings import OVERRIDE_PREFIX, PROJECT, SIMULATION_MARKER, Mode

KEEP = ".keep"
"""What else a data folder holds, such as imported history: a simulation does not clear it then."""
DAYS_BEFORE = timedelta(days=10)
"""A simulated session's partitions begin shortly before it: a long calendar slows every event."""


def make_anew(data: Path) -> Path:
    """An empty data folder with a Dagster home in it, ours until this process ends.

    ConfigError for a folder that no simulation made, or that one is using.
    """
    marker = data / SIMULATION_MARKER
    kept = (data / KEEP).exists() or not marker.exists()
    # Dagster's own storage comes into being wherever a dagster command is run in the project.
    found = [path for path in data.iterdir() if path.name != "dagster"] if data.exists() else []
    if found and kept:
        raise ConfigError(
            f"{data} holds data that no simulation made, so it is not cleared",
            "set TRADING_PIPELINES_DATA to another folder",
        )
    if marker.exists():
        _hold(marker)
    if data.exists():
        shutil.rmtree(data)
    data.mkdir(parents=True)
    _hold(marker)
    return dagster_home(data)


def _hold(marker: Path) -> None:
    """Lock the marker for the life of this process: the file is left open on purpose."""
    file = os.open(marker, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise ConfigError(
            f"{marker.parent} is in use by a running demo or up",
            "stop it, or set TRADING_PIPELINES_DATA to another folder",
        ) from None
    os.write(file, b"made by a simulation; cleared by the next one\n")


def dagster_home(data: Path) -> Path:
    """Dagster's home under the data folder, with the project's dagster.yaml in it."""
    home = data / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
    return home


def simulated_environment(
    data: Path, home: Path, port: int, session: date, configs: Iterable[Path] = ()
) -> dict[str, str]:
    """The variables under which every process of a simulation runs."""
    files = [str(config) for config in configs]
    given = os.environ.get("TRADING_PIPELINES_CONFIG")
    return {
        "DAGSTER_HOME": str(home.resolve()),
        "TRADING_PIPELINES_MODE": Mode.SIMULATED.value,
        "TRADING_PIPELINES_DATA": str(data.resolve()),
        "TRADING_PIPELINES_LAKE": str((data / "lake").resolve()),
        "TRADING_PIPELINES_CONFIG": os.pathsep.join([*files, *([given] if given else [])]),
        f"{OVERRIDE_PREFIX}BROKER__PORT": str(port),
        f"{OVERRIDE_PREFIX}PARTITIONS__FIRST_SESSION": (session - DAYS_BEFORE).isoformat(),
    }
