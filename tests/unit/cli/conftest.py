"""An HTTP server that plays Lambda's API."""

import json
import threading
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest


class FakeLambda(HTTPServer):
    """Answers every invocation as told, the `answers` one after the other; keeps what was asked."""

    status, payload = 200, b'{"keys": []}'
    headers: dict[str, str]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.headers = {}
        self.answers: deque[dict[str, Any]] = deque()
        self.asked: list[tuple[str, Any]] = []
        self.signed_with = ""

    def answer(self) -> bytes:
        return json.dumps(self.answers.popleft()).encode() if self.answers else self.payload


class Handler(BaseHTTPRequestHandler):
    server: FakeLambda

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path.split("/")[3], json.loads(body)))
        self.server.signed_with = self.headers["Authorization"]
        payload = self.server.answer()
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLambda]:
    with FakeLambda() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
