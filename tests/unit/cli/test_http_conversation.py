import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from cli.conversation import TurnError
from cli.figures import Usage
from cli.http_conversation import CONVERSATIONS, HttpConversation

Events = list[tuple[str, Any]]


def responses(text: str, number: int) -> Events:
    usage = {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 2},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 8,
    }
    ended = {"id": f"resp_{number}", "status": "completed", "usage": usage}
    events: list[dict[str, Any]] = [
        {"type": "response.output_text.delta", "delta": piece} for piece in text
    ]
    events.append({"type": "response.completed", "response": ended})
    return [(event["type"], event) for event in events]


def chat(text: str, _number: int) -> Events:
    chunks = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in text]
    details = {"cached_tokens": 2}
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": details}
    return [("", chunk) for chunk in [*chunks, {"choices": [], "usage": usage}]]


def messages(text: str, _number: int) -> Events:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 0}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": usage}
    block = {"type": "text", "text": ""}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
    ]
    for piece in text:
        delta = {"type": "text_delta", "text": piece}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
    events += [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": usage | {"output_tokens": 3},
        },
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


ANSWERS = {"responses": responses, "chat": chat, "messages": messages}
PATHS = {
    "responses": "/v1/responses",
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
}
ERROR = {"type": "invalid_request_error", "code": "model_not_found", "message": "no\nmodel"}


class ApiStub(HTTPServer):
    """Answers each request with `events`, or with an error; keeps paths and bodies."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.events: Events | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: ApiStub

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, body))
        if (events := self.server.events) is None:
            status, kind, text = 404, "application/json", json.dumps({"error": ERROR})
        else:
            status, kind = 200, "text/event-stream"
            text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[ApiStub]:
    with ApiStub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(params=ANSWERS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def conversation(api: ApiStub, kind: str) -> Iterator[HttpConversation]:
    with CONVERSATIONS[kind](url=api.url, model="m", key="k") as conversation:
        yield conversation


def test_http_conversation_writes_answers_and_continues(
    api: ApiStub, kind: str, conversation: HttpConversation
) -> None:
    for number, (question, answer) in enumerate((("one", "abc"), ("two", "xyz"))):
        api.events = ANSWERS[kind](answer, number)
        output = io.StringIO()
        figures = conversation.turn(question, output)
        assert output.getvalue() == f"{answer}\n"
        assert figures.usage == Usage(input=5, output=3, cached=2)
        assert figures.first_s is not None
    (path, first), (_, second) = api.requests
    assert path == PATHS[kind]
    if kind == "responses":
        assert "previous_response_id" not in first
        assert second["previous_response_id"] == "resp_0"
    else:
        assert [message["content"] for message in second["messages"]] == ["one", "abc", "two"]


def test_http_conversation_says_why_a_request_is_refused(
    api: ApiStub, conversation: HttpConversation
) -> None:
    with pytest.raises(TurnError) as raised:
        conversation.turn("one", io.StringIO())
    assert str(raised.value) == "no model (model_not_found)"


@pytest.mark.parametrize(
    ("kind", "events"),
    [
        (
            "responses",
            [("response.failed", {"type": "response.failed", "response": {"error": ERROR}})],
        ),
        ("responses", [("error", ERROR | {"type": "error", "sequence_number": 0})]),
        ("chat", [("", {"error": ERROR})]),
        ("messages", [("error", {"type": "error", "error": ERROR})]),
    ],
)
def test_http_conversation_forgets_a_turn_that_failed(
    api: ApiStub, kind: str, events: Events, conversation: HttpConversation
) -> None:
    api.events = [*ANSWERS[kind]("half", 0)[:-1], *events]
    with pytest.raises(TurnError, match="no model"):
        conversation.turn("one", io.StringIO())
    api.events = ANSWERS[kind]("abc", 1)
    conversation.turn("two", io.StringIO())
    _, last = api.requests[-1]
    assert "previous_response_id" not in last
    assert len(last.get("messages", [{}])) == 1
