"""The deployed front function, run as Lambda would: its environment, its role, its Runtime API."""

import asyncio
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.request import Request, urlopen

from axon.uploads import HEADER as UPLOADED
from tests.deploy.client import EVENT, complete, text_of
from tests.deploy.machine import Machine
from tests.deploy.steps import require
from tests.deploy.tasks import Task
from tests.support.function_url import FunctionUrl, UrlAnswer, url_event

ANSWERS_S = 60
OWN_PORTS = {"AXON_HEALTH_PORT": "9464", "AXON_HTTP_PORT": "8080"}
"""The task replaces them by free ones; on Lambda a function needs none for its health."""


def require_streaming_url(machine: Machine, function: str) -> None:
    """Raise StepError unless the function has a URL that streams, and that anybody may ask."""
    url = machine.client("lambda").get_function_url_config(FunctionName=function)
    require(url["InvokeMode"] == "RESPONSE_STREAM", f"the URL is {url}")
    require(url["AuthType"] == "NONE", f"the URL is {url}")


def ask(machine: Machine, function: str, *events: dict[str, Any]) -> list[UrlAnswer]:
    """Run the function, and let it answer one event after the other."""
    return asyncio.run(_ask(machine, function, events))


async def _ask(
    machine: Machine, function: str, events: tuple[dict[str, Any], ...]
) -> list[UrlAnswer]:
    async with FunctionUrl().serve() as url, asyncio.timeout(ANSWERS_S):
        given = OWN_PORTS | {"AWS_LAMBDA_RUNTIME_API": url.address}
        task = Task.of_function(machine, function, module="front", given=given)
        running = await asyncio.to_thread(task.start, machine)
        try:
            answers = [url.invoke(event) for event in events]
            while not all(answer.ended for answer in answers):
                await asyncio.sleep(0.05)
        finally:
            await asyncio.to_thread(running.stop)
        return answers


def upload(machine: Machine, function: str, key: str, body: bytes) -> str:
    """Upload a body, by a URL that the function signs; return its id."""
    asked = {"bytes": len(body), "sha256": sha256(body).hexdigest()}
    (answer,) = ask(machine, function, request(key, "/v1/request_bodies", **asked))
    made = json.loads(answer.body)
    require("upload" in made, f"no upload was begun: {made}")
    given = made["upload"]
    put = Request(given["url"], data=body, headers=given["headers"], method="PUT")
    with urlopen(put, timeout=ANSWERS_S) as taken:
        require(taken.status == 200, f"the upload was answered with {taken.status}")
    identifier: str = made["id"]
    return identifier


def uploaded_request(key: str, path: str, upload_id: str) -> dict[str, Any]:
    """Return the event of a POST whose body was uploaded."""
    headers = {"authorization": f"Bearer {key}", UPLOADED: upload_id}
    return url_event("POST", path, headers=headers)


def request(key: str, path: str, **fields: Any) -> dict[str, Any]:
    """Return the event of a POST with a key; of a GET without fields."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    method, body = ("POST", json.dumps(fields).encode()) if fields else ("GET", b"")
    return url_event(method, path, headers=headers, body=body)


def streamed_text(answer: UrlAnswer) -> str:
    """Return the text of a streamed response; StepError unless it is whole and gapless."""
    require(answer.complete, f"the stream has no end: {answer}")
    require(answer.prelude["statusCode"] == 200, f"the answer was {answer}")
    return text_of(complete(list(_events(answer.body))))


def response_id(answer: UrlAnswer) -> str:
    """Return the id of a streamed response."""
    first: str = next(_events(answer.body)).response.id
    return first


def _events(body: bytes) -> Iterator[Any]:
    for line in body.decode().splitlines():
        if line.startswith("data: "):
            yield EVENT.validate_json(line.removeprefix("data: "))
