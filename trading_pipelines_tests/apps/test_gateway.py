"""The gateway as a program of its own."""

import signal
import subprocess
from datetime import date
from pathlib import Path

from trading_pipelines.apps import gateway
from trading_pipelines.simulated_gateway.control import GatewayControl
from trading_pipelines_tests.apps.commands import SCRIPT, environment, free_pair


def test_a_gateway_says_where_it_listens_and_ends_in_order_when_asked_to(tmp_path: Path) -> None:
    port = free_pair()
    command = [SCRIPT, "gateway", "--port", str(port), "--log", str(tmp_path / "truth.jsonl")]
    with subprocess.Popen(
        command, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().rstrip() for _ in range(3)]
        with GatewayControl("127.0.0.1", port + 1) as control:
            clock = control.time()
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=20)
    assert said == [
        f"simulated gateway  tcp://127.0.0.1:{port}",
        f"clock control      tcp://127.0.0.1:{port + 1}",
        "clock              2024-06-12 09:25 New York, speed 1",
    ]
    assert clock.isoformat().startswith("2024-06-12T13:25")
    assert (process.returncode, rest) == (0, ("", ""))
    assert (tmp_path / "truth.jsonl").read_text().startswith('{"seq": 1,')
    gateway.refuse_taken(port)


def test_a_command_line_starts_exactly_the_options_it_was_made_from() -> None:
    options = gateway.Options(
        port=5002,
        control_port=6003,
        seed=9,
        replay=Path("recordings"),
        underlyings=("GOOG", "SPY"),
        session=date(2015, 12, 24),
        start="08:00",
        speed=0,
        limits=False,
        log=Path("truth.jsonl"),
    )
    assert " ".join(options.arguments()) == (
        "--port 5002 --control-port 6003 --seed 9 --date 2015-12-24 --start 08:00 --speed 0 --no-limits"
        " --replay recordings --underlying GOOG,SPY --log truth.jsonl"
    )
