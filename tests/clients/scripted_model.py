"""A server with OpenAI's API whose model tells from the conversation alone what was said before.

Axon's worker asks it as an upstream. It finds its question anywhere in the last message of the
user, so that the text which agents put around a prompt does not matter.
"""

import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

MODEL = "scripted"
CONTEXT_WINDOW = 262_144
"""Tokens; agents refuse to begin with a small one."""
PAUSE_S = 0.03
"""Time between two words, long enough that a short answer leaves the worker in several deltas."""

INTRODUCTION = "My name is Ada."
QUESTION = "What is my name?"
GREETING = "Hello Ada. I will remember your name, and tell you what it is as soon as you ask me."
ANSWER = "Your name is Ada, as you told me before I greeted you in the first answer that I gave."
UNKNOWN = "Nobody told me."
_NAME = re.compile(r"My name is (\w+)\.")


def answer(messages: Sequence[dict[str, Any]]) -> str:
    """Return what the model says next; the name is known from an earlier turn only."""
    last = next(m["content"] for m in reversed(messages) if m["role"] == "user")
    if QUESTION in last:
        greeted = any(m["role"] == "assistant" and GREETING in m["content"] for m in messages)
        return ANSWER if greeted and _told(messages) else UNKNOWN
    return GREETING if _NAME.search(last) else UNKNOWN


def _told(messages: Sequence[dict[str, Any]]) -> bool:
    return any(m["role"] == "user" and _NAME.search(m["content"]) for m in messages)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply(200, {"data": [{"id": MODEL, "max_model_len": CONTEXT_WINDOW}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.endswith("/chat/completions"):
            self._reply(404, {"error": {"message": "There is no such route."}})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in _events(body["messages"]):
            data = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def _reply(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def _events(messages: Sequence[dict[str, Any]]) -> Iterator[str]:
    words = answer(messages).split(" ")
    for index, word in enumerate(words):
        delta = {"content": f" {word}" if index else word}
        yield json.dumps({"choices": [{"delta": delta, "finish_reason": None}]})
        time.sleep(PAUSE_S)
    yield json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    size = sum(len(message["content"].split()) for message in messages)
    usage = {"prompt_tokens": size, "completion_tokens": len(words)}
    yield json.dumps({"choices": [], "usage": usage})
    yield "[DONE]"


@contextmanager
def scripted_model() -> Iterator[str]:
    """Serve it in a thread; yield its base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join(10)
