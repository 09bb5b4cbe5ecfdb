"""A local server that answers as Slack does, and keeps what it was told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qs


class SlackServer(HTTPServer):
    """Answers every call with one status and body, and keeps path, authorization and fields of each."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.body = status, body
        self.requests: list[tuple[str, str, dict[str, str]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: SlackServer

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
        is_json = self.headers["Content-Type"].startswith("application/json")
        fields = json.loads(raw) if is_json else {k: v[0] for k, v in parse_qs(raw).items()}
        self.server.requests.append((self.path, self.headers["Authorization"], fields))
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.send_header("Retry-After", "30")
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class names it
        pass


@contextmanager
def slack_server(status: int = 200, body: bytes = b'{"ok": true}') -> Iterator[SlackServer]:
    """Slack on a free loopback port, while the block lasts."""
    server = SlackServer(status, body)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
