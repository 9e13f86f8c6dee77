import io
import json
import threading
from collections.abc import Callable, Iterator

import pytest
from websockets.sync.server import ServerConnection, serve

from cli.conversation import Conversation, TurnError
from cli.errors import CommandError

Answer = Callable[[ServerConnection, dict[str, object]], None]


def event(type_: str, **fields: object) -> str:
    return json.dumps({"type": type_, "sequence_number": 0, **fields})


class Server:
    """Answers every request with `answer`; keeps the requests, each with its socket's number."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, dict[str, object]]] = []
        self.sockets = 0
        self.answer: Answer = completed

    def serve(self, socket: ServerConnection) -> None:
        self.sockets += 1
        number = self.sockets
        for message in socket:
            request = json.loads(message)
            self.requests.append((number, request))
            self.answer(socket, request)


def completed(socket: ServerConnection, request: dict[str, object]) -> None:
    socket.send(event("response.output_text.delta", delta="you said "))
    socket.send(event("response.output_text.delta", delta=str(request["input"])))
    socket.send(event("response.completed", response={"id": f"resp_{request['input']}"}))


def refused(socket: ServerConnection, _request: dict[str, object]) -> None:
    error = {"type": "invalid_request_error", "code": "model_not_found", "message": "no\nmodel"}
    socket.send(event("error", status=404, error=error, **error | {"type": "error"}))


def failed(socket: ServerConnection, _request: dict[str, object]) -> None:
    error = {"code": "server_error", "message": "the worker died"}
    socket.send(event("response.failed", response={"id": "resp_x", "error": error}))


def gone(socket: ServerConnection, _request: dict[str, object]) -> None:
    socket.send(event("response.output_text.delta", delta="half"))
    socket.close(1000)


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    state = Server()
    with serve(state.serve, "127.0.0.1", 0) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        port = listening.socket.getsockname()[1]
        yield state, f"http://127.0.0.1:{port}/v1"
        listening.shutdown()
        thread.join()


@pytest.fixture
def conversation(server: tuple[Server, str]) -> Iterator[Conversation]:
    with Conversation(url=server[1], model="m", key="k") as conversation:
        yield conversation


def say(conversation: Conversation, text: str) -> str:
    output = io.StringIO()
    conversation.turn(text, output)
    return output.getvalue()


def test_conversation_continues_turns_on_one_connection(
    server: tuple[Server, str], conversation: Conversation
) -> None:
    assert say(conversation, "a") == "you said a\n"
    assert say(conversation, "b") == "you said b\n"
    first, second = server[0].requests
    assert "previous_response_id" not in first[1]
    assert second[1]["previous_response_id"] == "resp_a"
    assert first[0] == second[0]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(refused, "no model (model_not_found)"), (failed, "the worker died (server_error)")],
)
def test_conversation_goes_on_after_a_failed_turn(
    server: tuple[Server, str], conversation: Conversation, answer: Answer, reason: str
) -> None:
    server[0].answer = answer
    with pytest.raises(TurnError) as raised:
        say(conversation, "a")
    assert str(raised.value) == reason
    server[0].answer = completed
    assert say(conversation, "b") == "you said b\n"
    assert "previous_response_id" not in server[0].requests[-1][1]
    assert server[0].sockets == 1


def test_conversation_reconnects_after_a_broken_answer(
    server: tuple[Server, str], conversation: Conversation
) -> None:
    server[0].answer = gone
    with pytest.raises(TurnError, match="the connection"):
        say(conversation, "a")
    server[0].answer = completed
    assert say(conversation, "b") == "you said b\n"
    assert server[0].sockets == 2


def test_conversation_reports_that_no_server_listens() -> None:
    with (
        pytest.raises(CommandError, match=r"cannot connect to http://127.0.0.1:9/v1: .*refused"),
        Conversation(url="http://127.0.0.1:9/v1", model="m", key="k"),
    ):
        pass


def test_conversation_names_the_limit_of_a_turn_that_the_gateway_would_not_take(
    server: tuple[Server, str], conversation: Conversation
) -> None:
    with pytest.raises(TurnError, match=r"33,0\d\d bytes .* frames of 32,768 at most"):
        say(conversation, "x" * 33_000)
    with pytest.raises(TurnError, match="at most"):  # 12 bytes each, as the SDK writes them
        say(conversation, "\U0001f600" * 3_000)
    assert say(conversation, "x" * 32_600).startswith("you said x")
    assert server[0].sockets == 1  # and the connection is still open
