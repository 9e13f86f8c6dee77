"""The unmodified OpenAI SDK over both WebSockets: API Gateway's stand-in, and the front's own."""

import json
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from openai.resources.responses.responses import ResponsesConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.e2e.cloud import API_KEY, Cloud
from tests.support.eventually import wait_until

TERMINAL = {"response.completed", "response.failed", "response.incomplete"}
ONE_EVENT = {"error", "response.cancelled", "response.deleted"}
ID = re.compile(r"\b(?:resp|msg|conv)_[0-9a-f]{32}\b")
CREATE = {"type": "response.create", "model": "echo"}
LONG = " ".join(f"word{number}" for number in range(12_000))


@pytest.fixture
def front(cloud: Cloud) -> Iterator[OpenAI]:
    """A client of the front's own address."""
    endpoints = json.loads((cloud.data / "run" / "endpoints.json").read_text())
    with OpenAI(api_key=API_KEY, base_url=endpoints["front_url"]) as openai:
        yield openai


class Asking:
    """A client on one connection; `seen` has its events, as they are alike on both addresses."""

    def __init__(self, connection: ResponsesConnection) -> None:
        self._connection = connection
        self._names: dict[str, str] = {}
        self.seen: list[dict[str, Any]] = []
        self.last_id = ""

    def ask(self, *, until: str = "", **message: Any) -> None:
        """Send a message; receive to the end of its answer, or to the first event of a type."""
        self._connection.send(message)  # type: ignore[arg-type]
        while True:
            event = json.loads(self._connection.recv_bytes())
            self._see(event)
            if "response" in event:
                self.last_id = event["response"]["id"]
            if event["type"] in (TERMINAL | ONE_EVENT if not until else {until}):
                return

    def _see(self, event: dict[str, Any]) -> None:
        event.pop("sequence_number", None)
        if delta := event.pop("delta", None):
            # How tokens are joined depends on times.
            if self.seen and "delta" in self.seen[-1]:
                self.seen[-1]["delta"] += delta
                return
            event["delta"] = delta
        text = ID.sub(lambda found: self._name(found[0]), json.dumps(event))
        text = re.sub(r'"(created_at|completed_at)": \d+', r'"\1": 0', text)
        self.seen.append(json.loads(text))

    def _name(self, found: str) -> str:
        kind = found.partition("_")[0]
        return self._names.setdefault(found, f"{kind}-{len(self._names)}")


def conversation(client: OpenAI) -> list[dict[str, Any]]:
    """Return what a client sees that uses all of the protocol."""
    with client.responses.connect() as connection:
        asking = Asking(connection)
        asking.ask(**CREATE, input="count to 5", stream_id="s", metadata={"a": "b"})
        first = asking.last_id
        asking.ask(**CREATE, input="and more", previous_response_id=first)
        asking.ask(type="response.resume", response_id=asking.last_id, starting_after=2)
        asking.ask(**CREATE, input="secret", store=False)
        asking.ask(**CREATE, input="again", previous_response_id=asking.last_id, store=False)
        asking.ask(**CREATE, input="ready", generate=False)
        asking.ask(**CREATE, input="go", previous_response_id=asking.last_id)
        asking.ask(**CREATE, input="count to 9", max_output_tokens=3)
        key = {"input": "once", "idempotency_key": f"key-{id(client)}", "stream_id": "k"}
        asking.ask(**CREATE, **key)
        asking.ask(**CREATE, **key)
        asking.ask(type="response.create", model="gpt-6", input="x", stream_id="unknown")
        asking.ask(**CREATE, input="x", previous_response_id="resp_unknown")
        asking.ask(**CREATE, stream_id="nothing asked")
        asking.ask(type="response.nothing", stream_id="t")
        asking.ask(type="response.resume", response_id=first, starting_after=99)
        asking.ask(type="response.delete", response_id=first, stream_id="d")
        asking.ask(type="response.cancel", response_id=first)
        asking.ask(**CREATE, input="count to 20000", until="response.in_progress")
        asking.ask(type="response.cancel", response_id=asking.last_id)
        asking.ask(type="response.cancel", response_id=asking.last_id, stream_id="c")
    # How far it came before it was cancelled depends on times.
    return [event for event in asking.seen if "count to 20000" not in json.dumps(event)]


def test_websockets_of_gateway_and_front_send_the_same_events(
    client: OpenAI, front: OpenAI
) -> None:
    through_gateway, from_front = conversation(client), conversation(front)
    cut = [index for index, each in enumerate(through_gateway) if each["type"] in TERMINAL][-1]
    assert through_gateway[cut]["response"]["status"] == "cancelled"
    assert [event["type"] for event in from_front][-1] == "response.cancelled"
    for theirs, ours in zip(through_gateway, from_front, strict=False):
        if theirs["type"] == "response.incomplete" and theirs["response"]["status"] == "cancelled":
            break
        assert ours == theirs


def test_front_takes_a_request_over_its_websocket_that_the_gateway_closes_for(
    client: OpenAI, front: OpenAI
) -> None:
    with client.responses.connect() as connection, pytest.raises(ConnectionClosed) as caught:
        Asking(connection).ask(**CREATE, input=LONG)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1009
    with front.responses.connect() as connection:
        asking = Asking(connection)
        asking.ask(**CREATE, input=LONG, max_output_tokens=20)
    assert asking.seen[-1]["response"]["output"][0]["content"][0]["text"].endswith("word19")


def test_front_that_is_killed_has_its_websockets_resumed_exactly(
    front: OpenAI, cloud: Cloud
) -> None:
    received: list[dict[str, Any]] = []

    def receive(connection: ResponsesConnection) -> bool:
        received.append(json.loads(connection.recv_bytes()))
        return received[-1]["type"] in TERMINAL

    with front.responses.connect() as connection:
        connection.send({**CREATE, "input": "count to 600", "stream_id": "s"})  # type: ignore[arg-type]
        while len(received) < 6:
            receive(connection)
        os.kill(cloud.pid("front"), signal.SIGKILL)
        with pytest.raises(ConnectionClosed):
            while True:
                receive(connection)
    response_id = received[0]["response"]["id"]

    def resumed() -> bool:
        try:
            manager = front.responses.connect().enter()
        except (OSError, WebSocketException):
            # The supervisor restarts it. Meanwhile a client may even connect to itself, as the
            # port is one of those that the kernel gives to clients.
            return False
        after = received[-1]["sequence_number"]
        resume = {"type": "response.resume", "response_id": response_id, "starting_after": after}
        manager.send({**resume, "stream_id": "s"})  # type: ignore[arg-type]
        while not receive(manager):
            pass
        manager.close()
        return True

    wait_until(resumed)
    assert [event["sequence_number"] for event in received] == list(range(len(received)))
    assert {event["stream_id"] for event in received} == {"s"}
    text = "".join(event.get("delta", "") for event in received)
    assert text == " ".join(map(str, range(1, 601)))
    assert received[-1]["response"]["output"][0]["content"][0]["text"] == text
