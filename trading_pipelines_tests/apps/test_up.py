"""`up` for real, once: everything answers, and Ctrl-C leaves nothing behind."""

import http.client
import json
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trading_pipelines.adapters.journal import SqliteJournal
from trading_pipelines.apps import gateway, up
from trading_pipelines_tests.apps.commands import SCRIPT, environment, free_pair

JOBS = "{ repositoriesOrError { ... on RepositoryConnection { nodes { schedules { name } } } } }"


def processes(columns: str) -> list[str]:
    """All processes of this machine, a line each."""
    listed = subprocess.run(["ps", "-A", "-o", columns], capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def tree(root: int) -> set[int]:
    """The processes that descend from one, from any session."""
    pairs = [tuple(map(int, line.split())) for line in processes("pid=,ppid=")]
    found, newest = set[int](), {root}
    while newest:
        newest = {child for child, parent in pairs if parent in newest} - found
        found |= newest
    return found


def running(pids: set[int]) -> set[str]:
    """Those that run still, as `ps` shows them; who waits to be reaped does not."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return {" ".join(row) for row in rows if int(row[0]) in pids and not row[1].startswith("Z")}


def schedules(port: int) -> set[str]:
    """What the web server at a port knows of our schedules."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(
        "POST", "/graphql", json.dumps({"query": JOBS}), headers={"Content-Type": "application/json"}
    )
    answer = json.loads(connection.getresponse().read())
    connection.close()
    nodes = answer["data"]["repositoriesOrError"]["nodes"]
    return {schedule["name"] for node in nodes for schedule in node["schedules"]}


def test_up_starts_everything_and_ctrl_c_ends_every_child(tmp_path: Path) -> None:
    data, port, web_port = tmp_path / "data", free_pair(), free_pair()
    with subprocess.Popen(
        [SCRIPT, "up", "--port", str(port), "--web-port", str(web_port)],
        env=environment(data),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line.rstrip())
            if "Ctrl-C" in line:
                break
        family = tree(process.pid)
        known = schedules(web_port)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)  # an impatient second one changes nothing
        rest, complaints = process.communicate(timeout=120)
    assert f"web UI             http://127.0.0.1:{web_port}" in said
    assert f"simulated gateway  tcp://127.0.0.1:{port}" in said
    assert "trading_cycle_schedule" in known
    assert len(family) >= 5  # gateway, dagster, code server, web server, daemon
    assert (process.returncode, rest, complaints) == (0, "stopping\n", "")
    assert running(family) == set()
    for each in (port, port + 1, web_port):
        gateway.refuse_taken(each)
    with SqliteJournal(data / "journal.sqlite") as journal:
        assert journal.positions() != ()  # the account's opening positions are in our books


@pytest.mark.parametrize(
    ("now", "mark"),
    [
        ((10, 30, 1), (10, 35)),
        ((10, 33, 59), (10, 35)),
        ((10, 34, 1), (10, 40)),  # less than a minute is too short to switch a schedule on
    ],
)
def test_the_simulated_open_is_the_next_mark_of_five_minutes_that_leaves_time(
    now: tuple[int, int, int], mark: tuple[int, int]
) -> None:
    assert up.next_mark(datetime(2026, 11, 21, *now, tzinfo=UTC)) == datetime(2026, 11, 21, *mark, tzinfo=UTC)
