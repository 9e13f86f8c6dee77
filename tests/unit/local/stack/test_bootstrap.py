import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from local.errors import LocalCloudError
from local.stack.bootstrap import migrate


class Lambda(HTTPServer):
    """Answers every invocation with `payload`; `failed` as a function's own failure."""

    payload = b'{"applied": []}'
    failed = False
    invoked: str = ""
    token: str | None = None


class Handler(BaseHTTPRequestHandler):
    server: Lambda

    def do_POST(self) -> None:
        self.server.invoked = self.path
        self.server.token = self.headers["X-Amz-Security-Token"]
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        if self.server.failed:
            self.send_header("X-Amz-Function-Error", "Unhandled")
        self.send_header("Content-Length", str(len(self.server.payload)))
        self.end_headers()
        self.wfile.write(self.server.payload)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Lambda]:
    with Lambda(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_migrate_invokes_the_function(service: Lambda) -> None:
    migrate(f"http://127.0.0.1:{service.server_port}", token="given")
    assert service.token == "given"
    assert service.invoked == "/2015-03-31/functions/migrate/invocations"


def test_migrate_reports_why_the_function_failed(service: Lambda) -> None:
    service.failed, service.payload = True, b'{"errorMessage": "syntax error"}'
    with pytest.raises(LocalCloudError, match="could not be migrated: syntax error"):
        migrate(f"http://127.0.0.1:{service.server_port}")


def test_migrate_reports_that_no_service_answers() -> None:
    with pytest.raises(LocalCloudError, match="could not be migrated: Could not connect"):
        migrate("http://127.0.0.1:9")
