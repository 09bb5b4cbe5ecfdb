"""A simulation starts from nothing, and never takes away what is not its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from trading_pipelines.apps import home
from trading_pipelines.domain.errors import ConfigError

HOLD = """
import sys
from pathlib import Path
from trading_pipelines.apps import home
home.make_anew(Path(sys.argv[1]))
print("holds it", flush=True)
sys.stdin.read()
"""


def test_what_a_simulation_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    data = tmp_path / "data"
    home.make_anew(data)
    (data / "journal.sqlite").touch()
    dagster_home = home.make_anew(data)
    assert not (data / "journal.sqlite").exists()
    assert (dagster_home / "dagster.yaml").read_text() == (home.PROJECT / "dagster.yaml").read_text()


def test_a_folder_that_no_simulation_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").touch()
    with pytest.raises(ConfigError, match="holds data that no simulation made"):
        home.make_anew(tmp_path)
    assert (tmp_path / "journal.sqlite").exists()


def test_what_a_dagster_command_left_behind_does_not_stop_a_simulation(tmp_path: Path) -> None:
    (tmp_path / "dagster" / "storage").mkdir(parents=True)
    home.make_anew(tmp_path)


def test_imported_history_is_not_cleared_even_in_a_simulations_folder(tmp_path: Path) -> None:
    home.make_anew(tmp_path / "data")
    (tmp_path / "data" / home.KEEP).touch()
    with pytest.raises(ConfigError, match="not cleared"):
        home.make_anew(tmp_path / "data")


def test_a_folder_in_use_is_refused_until_its_user_ends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as user:
        assert user.stdin is not None
        assert user.stdout is not None
        assert user.stdout.readline() == "holds it\n"
        (data / "journal.sqlite").touch()
        with pytest.raises(ConfigError, match="in use by a running demo or up"):
            home.make_anew(data)
        assert (data / "journal.sqlite").exists()
        user.stdin.close()
        user.wait(timeout=10)
    home.make_anew(data)
    assert not (data / "journal.sqlite").exists()
