"""Whatever a person gets wrong is one line that names it, and nothing was made or cleared for it."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_pipelines_tests.adapters.lean_files import write
from trading_pipelines_tests.apps.commands import free_pair, refused, run

DAILY = "20240102 00:00,4700000,4710000,4690000,4705000,5\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder that an earlier simulation left behind, with something in it."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / ".simulated").touch()
    (folder / "journal.sqlite").write_text("what was there")
    return folder


@pytest.fixture(autouse=True)
def _nothing_is_made_or_cleared(data: Path) -> Iterator[None]:
    yield
    assert sorted(path.name for path in data.iterdir()) == [".simulated", "journal.sqlite"]
    assert (data / "journal.sqlite").read_text() == "what was there"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on; the one before it is free."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_pair() + 1))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("command", ["demo", "gateway"])
def test_a_holiday_is_refused_with_the_sessions_around_it(command: str, data: Path) -> None:
    port = () if command == "demo" else ("--port", str(free_pair()))
    line = refused(run(data, command, "--date", "2024-07-04", *port))
    assert "2024-07-04 is not an NYSE session" in line
    assert "2024-07-03 and 2024-07-05" in line


def test_what_is_no_date_is_named(data: Path) -> None:
    assert "'2024-02-30' is not a date" in refused(run(data, "demo", "--date", "2024-02-30"))


def test_a_negative_limit_in_a_named_file_names_key_and_file(data: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("risk:\n  max_orders_per_day: -4\n")
    line = refused(run(data, "demo", "--config", mine))
    assert "risk.max_orders_per_day" in line
    assert str(mine) in line


@pytest.mark.parametrize("command", ["orders", "up"])
def test_a_negative_limit_in_the_environments_file_stops_every_command(
    command: str, data: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("risk:\n  max_daily_loss_share: -0.03\n")
    line = refused(run(data, command, TRADING_PIPELINES_CONFIG=str(mine)))
    assert "risk.max_daily_loss_share" in line
    assert str(mine) in line


def test_a_configuration_file_that_is_not_there_is_named(data: Path, tmp_path: Path) -> None:
    assert str(tmp_path / "none.yaml") in refused(run(data, "demo", "--config", tmp_path / "none.yaml"))


def test_a_replay_without_quotes_of_the_date_names_root_and_date(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "lean"
    write(root, "equity/usa/daily/spy.zip", {"spy.csv": DAILY})
    line = refused(run(data, "gateway", "--replay", root, "--date", "2024-06-12", "--port", str(free_pair())))
    assert str(root) in line
    assert "2024-06-12" in line


def test_a_half_written_zip_is_named_and_the_lake_is_left_alone(data: Path, tmp_path: Path) -> None:
    root = tmp_path / "lean"
    write(root, "equity/usa/daily/qqq.zip", {"qqq.csv": DAILY})
    half = write(root, "equity/usa/daily/spy.zip", {"spy.csv": DAILY * 100})
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    assert "equity/usa/daily/spy.zip" in refused(run(data, "import", "lean", root))


def test_a_missing_folder_cannot_be_imported(data: Path, tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in refused(run(data, "import", "lean", tmp_path / "nowhere"))


def test_a_gateway_refuses_a_taken_port(data: Path, taken: int, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    done = run(data, "gateway", "--port", str(taken), "--control-port", str(free_pair()), "--log", truth)
    assert f"port {taken} on 127.0.0.1 is taken" in refused(done)
    assert not truth.exists()


@pytest.mark.parametrize("whose", ["web UI", "gateway", "clock control"])
def test_up_names_the_port_that_is_taken(whose: str, data: Path, taken: int) -> None:
    port = {"gateway": taken, "clock control": taken - 1}.get(whose, free_pair())
    web_port = taken if whose == "web UI" else free_pair()
    done = run(data, "up", "--port", str(port), "--web-port", str(web_port))
    assert f"port {taken} on 127.0.0.1 is taken" in refused(done)
    assert done.stdout == ""


def test_data_that_no_simulation_made_is_not_cleared(data: Path) -> None:
    (data / ".simulated").unlink()
    line = refused(run(data, "demo"))
    assert str(data) in line
    (data / ".simulated").touch()


def test_an_unknown_order_cannot_be_explained(tmp_path: Path) -> None:
    line = refused(run(tmp_path / "new", "explain", "tp1-nobody"))
    assert "tp1-nobody" in line
    assert not (tmp_path / "new").exists()
