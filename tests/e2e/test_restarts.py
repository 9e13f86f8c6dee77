"""Killed processes are restarted and announced; clients are served again, and lose no event."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from openai import APIConnectionError, OpenAI, Stream
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.e2e.cloud import API_KEY, Cloud, running_cloud

COUNT = 150
"""Number of words in an answer; the engine pauses 20 ms before each."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    data: Path = tmp_path_factory.mktemp("restart-cloud") / "data"
    environ = {"AXON_ECHO_TOKEN_MS": "20"}
    with running_cloud(data, "--engine", "echo", environ=environ) as running:
        yield running


@pytest.fixture
def http_client(cloud: Cloud) -> Iterator[OpenAI]:
    with OpenAI(api_key=API_KEY, base_url=cloud.base_url, max_retries=0) as client:
        yield client


def open_socket(cloud: Cloud) -> Connection:
    return connect(
        cloud.websocket_url,
        additional_headers={"Authorization": f"Bearer {API_KEY}"},
        proxy=None,
        compression=None,
    )


def ask(socket: Connection, text: str) -> None:
    socket.send(json.dumps({"type": "response.create", "model": "echo", "input": text}))


def answer(cloud: Cloud, text: str) -> dict[str, Any]:
    """Return the terminal event of one answer on a new socket."""
    with open_socket(cloud) as socket:
        ask(socket, text)
        while True:
            event: dict[str, Any] = json.loads(socket.recv(timeout=20))
            if event["type"] in ("response.completed", "response.failed", "error"):
                return event


def answered_within(cloud: Cloud, seconds: float) -> dict[str, Any]:
    """Ask until an answer completes; a refused or interrupted request is asked again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            event = answer(cloud, "still there")
            if event["type"] == "response.completed":
                return event
        except (ConnectionClosed, InvalidHandshake, OSError):
            event = {}
        assert time.monotonic() < deadline, event
        time.sleep(0.2)


def kill(cloud: Cloud, name: str) -> None:
    """SIGKILL a process and wait until another has taken its name."""
    victim = cloud.pid(name)
    os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while True:
        try:
            if cloud.pid(name) != victim and psutil.pid_exists(cloud.pid(name)):
                return
        except (FileNotFoundError, ValueError):
            pass
        assert time.monotonic() < deadline, f"{name} was not restarted"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "name", ["worker-0", "relay-0", "front", "gateway", "lambda", "fauxqs", "valkey", "postgres"]
)
def test_killed_process_is_restarted_and_serves(cloud: Cloud, name: str) -> None:
    kill(cloud, name)
    event = answered_within(cloud, 30)
    assert event["response"]["output"][0]["content"][0]["text"] == "still there"
    output = cloud.data.with_suffix(".out").read_text()
    assert any(name in line and "restart" in line for line in output.splitlines()), output


def resume(socket: Connection, events: list[dict[str, Any]]) -> None:
    message = {
        "type": "response.resume",
        "response_id": events[0]["response"]["id"],
        "starting_after": events[-1]["sequence_number"],
    }
    socket.send(json.dumps(message))


def received(cloud: Cloud, disturb: Callable[[], None]) -> list[dict[str, Any]]:
    """Ask, disturb during the answer, resume where it is interrupted; return all events."""
    events: list[dict[str, Any]] = []
    disturbed = False
    socket = open_socket(cloud)
    ask(socket, f"count to {COUNT}")
    deadline = time.monotonic() + 40
    while not (events and events[-1]["type"] in ("response.completed", "response.failed")):
        assert time.monotonic() < deadline, events[-1]
        try:
            event = json.loads(socket.recv(timeout=20))
        except ConnectionClosed:
            socket = open_socket(cloud)
            resume(socket, events)
            continue
        if event["type"] != "error":
            events.append(event)
        elif event["code"] == "server_overloaded":  # no relay has announced itself yet
            time.sleep(0.2)
            resume(socket, events)
        else:
            assert event["code"] == "stream_interrupted", event
        if event["type"] == "response.output_text.delta" and not disturbed:
            disturbed = True
            disturb()
    socket.close()
    return events


def is_whole(events: list[dict[str, Any]]) -> bool:
    numbers = [event["sequence_number"] for event in events]
    text = "".join(event.get("delta", "") for event in events)
    return numbers == list(range(len(events))) and text == " ".join(map(str, range(1, COUNT + 1)))


def test_response_survives_the_death_of_its_relay(cloud: Cloud) -> None:
    events = received(cloud, lambda: kill(cloud, "relay-0"))
    assert is_whole(events)


def http_stream(stream: Stream[Any], disturb: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """Yield the events of an answer over HTTP; disturb after its first text."""
    disturbed = False
    with stream:
        for event in stream:
            yield event.to_dict()
            if event.type == "response.output_text.delta" and not disturbed:
                disturbed = True
                disturb()


def test_http_stream_goes_on_after_the_death_of_the_worker(
    cloud: Cloud, http_client: OpenAI
) -> None:
    stream = http_client.responses.create(model="echo", input=f"count to {COUNT}", stream=True)
    assert is_whole(list(http_stream(stream, lambda: kill(cloud, "worker-0"))))


def test_http_stream_is_resumed_after_the_death_of_the_front(
    cloud: Cloud, http_client: OpenAI
) -> None:
    stream = http_client.responses.create(model="echo", input=f"count to {COUNT}", stream=True)
    events: list[dict[str, Any]] = []
    with pytest.raises(APIConnectionError):
        for event in http_stream(stream, lambda: kill(cloud, "front")):
            events.append(event)
    rest = http_client.responses.retrieve(
        events[0]["response"]["id"], stream=True, starting_after=events[-1]["sequence_number"]
    )
    assert events[-1]["type"] == "response.output_text.delta"
    events += http_stream(rest, lambda: None)
    assert is_whole(events)


def test_request_waits_for_a_worker_that_still_loads_its_model(cloud: Cloud) -> None:
    import redis

    from axon.adapters.valkey import keys

    endpoints = json.loads((cloud.data / "run" / "endpoints.json").read_text())
    worker = psutil.Process(cloud.pid("worker-0"))
    # As it is in the first seconds of a new local cloud: the worker runs, and has registered
    # nothing yet.
    worker.suspend()
    try:
        with redis.Redis.from_url(endpoints["valkey_url"]) as valkey:
            valkey.delete(keys.MODELS, keys.MODELS_LAST_SEEN, keys.MODELS_SERVED_SINCE)
        with open_socket(cloud) as socket:
            ask(socket, "hello")
            first = json.loads(socket.recv(timeout=20))
            assert first["type"] == "response.created", first
            worker.resume()
            while (event := json.loads(socket.recv(timeout=20)))["type"] != "response.completed":
                assert event["type"] not in ("error", "response.failed"), event
    finally:
        worker.resume()


def test_response_survives_the_loss_of_valkeys_data(cloud: Cloud) -> None:
    import redis

    endpoints = json.loads((cloud.data / "run" / "endpoints.json").read_text())

    def flush() -> None:
        with redis.Redis.from_url(endpoints["valkey_url"]) as valkey:
            valkey.flushall()

    with open_socket(cloud) as idle:
        events = received(cloud, flush)
        assert is_whole(events)
        # A connection that was idle meanwhile is served, once model and relay are known again.
        deadline = time.monotonic() + 20
        kind = ""
        while kind != "response.completed":
            assert time.monotonic() < deadline, kind
            ask(idle, "hello")
            while (kind := json.loads(idle.recv(timeout=20))["type"]) not in (
                "response.completed",
                "error",
            ):
                pass
