"""A door before a front that refuses what a Lambda function URL refuses: requests above 6 MB."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

from local.ports import LOOPBACK
from tests.support.function_url import TOO_LARGE, exceeds_invocation, url_event


@contextmanager
def limited(front_url: str) -> Iterator[tuple[str, list[int]]]:
    """Serve a front behind the door; yield its base URL, and the statuses that it answers with."""
    statuses: list[int] = []
    port = urlsplit(front_url).port

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            event = url_event("POST", self.path, headers=dict(self.headers), text=body.decode())
            status, answer = (413, TOO_LARGE) if exceeds_invocation(event) else self._ask(body)
            statuses.append(status)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _ask(self, body: bytes) -> tuple[int, bytes]:
            connection = HTTPConnection(LOOPBACK, port, timeout=30)
            connection.request("POST", self.path, body=body, headers=dict(self.headers))
            answer = connection.getresponse()
            try:
                return answer.status, answer.read()
            finally:
                connection.close()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Door)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/v1", statuses
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
