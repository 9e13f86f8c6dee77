"""An unmodified OpenAI SDK, given the deployment's URL and a key and nothing else."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from openai import OpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from websockets.exceptions import InvalidStatus

from tests.deploy.machine import Machine
from tests.deploy.names import lead_here
from tests.deploy.steps import StepError, require

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TERMINAL = {"response.completed", "response.failed", "response.incomplete", "error"}


@dataclass(frozen=True, slots=True)
class Client:
    """A connection of the SDK, every event of which is checked."""

    connection: Any

    def send(self, **request: Any) -> None:
        self.connection.send({"type": "response.create", **request})

    def receive(self, *, upto: Callable[[Any], bool] | None = None) -> list[Any]:
        """Return the events of a response up to its last: gapless, valid by the SDK's types.

        Parameters
        ----------
        upto : Callable[[Any], bool] | None
            Return as soon as this is true of an event.
        """
        events: list[Any] = []
        while not events or events[-1].type not in TERMINAL:
            raw = json.loads(self.connection.recv_bytes())
            events.append(EVENT.validate_python(raw))
            if upto is not None and upto(events[-1]):
                break
        return events

    def turn(self, **request: Any) -> list[Any]:
        """Send a request and return all of its events."""
        self.send(**request)
        return complete(self.receive())


def complete(events: list[Any]) -> list[Any]:
    """Return the events; StepError unless they are all of a response, numbered from 0."""
    numbers = [event.sequence_number for event in events]
    require(numbers == list(range(len(events))), f"events are numbered {numbers}")
    return events


def text_of(events: list[Any]) -> str:
    """Join the deltas; StepError unless they make the response's final text."""
    last = events[-1]
    require(last.type == "response.completed", f"a response ended with {last}")
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    require(text == last.response.output_text, f"deltas made {text!r}: {last}")
    return text


@contextmanager
def connected(machine: Machine, url: str, key: str) -> Iterator[Client]:
    """Connect to ``<url>/responses`` as the SDK does."""
    with _names_lead_here(machine):
        sdk = OpenAI(api_key=key, websocket_base_url=url)
        with sdk, sdk.responses.connect() as connection:
            yield Client(connection)


def refusal(machine: Machine, url: str, key: str) -> int:
    """Return the status with which a connection is refused; StepError when it is not."""
    try:
        with connected(machine, url, key):
            raise StepError("a wrong key was let in")
    except InvalidStatus as refused:
        return refused.response.status_code


@contextmanager
def _names_lead_here(machine: Machine) -> Iterator[None]:
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = machine.plan.authorities
    try:
        with lead_here(machine.plan.names_port):
            yield
    finally:
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before
