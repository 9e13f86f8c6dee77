"""Requests that schemathesis makes from /openapi.json, to a front that serves on a real socket."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import given
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation.case import Case as AnyCase
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from axon.event_log.log import LoggedEvent
from axon.jobs import Job
from axon.protocol.transcript import Transcript
from tests.unit.axon.responses.service_harness import Attempt
from tests.unit.axon.samples import MODEL
from tests.unit.front.front_harness import KEY, FrontHarness
from tests.unit.front.openapi.document_samples import references

Case = AnyCase[Any]
Operation = APIOperation[Any, Any, Any, Any]

REQUESTS = int(os.environ.get("AXON_FUZZ_REQUESTS", "2"))
"""Requests to each operation that fit its description, and as many that do not."""
SCHEMAS = "#/components/schemas/"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    ignored_auth,
]
SETTINGS = hypothesis.settings(
    max_examples=REQUESTS,
    derandomize=True,  # the same requests each time
    deadline=None,
    database=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


async def test_front_keeps_to_its_document(harness: FrontHarness) -> None:
    worker = asyncio.create_task(answer_all(harness))
    async with harness.client.get("/openapi.json") as answer:
        described = schemathesis.openapi.from_dict(strict(await answer.json()))
    for result in described.get_all_operations():
        assert isinstance(result, Ok), result
        response_id = await ended_response(harness)
        await asyncio.to_thread(fuzz, result.ok(), url=harness.url, response_id=response_id)
    worker.cancel()


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with answers that have no field more than it describes."""
    schemas = document["components"]["schemas"]
    asked = {
        each["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        for path in document["paths"].values()
        for each in path.values()
        if "requestBody" in each
    }
    while more := set(references([_named(schemas, each) for each in asked])) - asked:
        asked |= more
    for name, schema in schemas.items():
        if f"{SCHEMAS}{name}" not in asked and "properties" in schema:
            schema["additionalProperties"] = False
    return document


def _named(schemas: dict[str, Any], reference: str) -> Any:
    return schemas[reference.removeprefix(SCHEMAS)]


async def answer_all(harness: FrontHarness) -> None:
    """Answer each response that is accepted, as a worker does."""
    while True:
        message = await harness.responses.jobs._visible.get()
        attempt = Attempt(harness.responses, Job.decode(message.body))
        await attempt.begin()
        await attempt.append(each_kind_of_item(attempt.transcript))
        await attempt.complete()


def each_kind_of_item(transcript: Transcript) -> list[LoggedEvent]:
    """Return the events of reasoning, a call and a message, so that answers have all there is."""
    reasoning = transcript.begin_reasoning()
    summary, thought = reasoning.add_summary("Why"), reasoning.add_text("Because")
    events = transcript.log([*summary, *thought, *reasoning.close()])
    call = transcript.begin_function_call("look_up")
    events += transcript.log([*call.add_arguments('{"a": 1}'), *call.close()])
    return [*events, *transcript.delta("Hello", [1])]


async def ended_response(harness: FrontHarness) -> str:
    async with await harness.post() as answer:
        return str((await answer.json())["id"])


def fuzz(operation: Operation, *, url: str, response_id: str) -> None:
    """Send requests of an operation, which fit its description and do not, and check the answers.

    What only chance would find is given: the model and a response that exist.
    """
    described = operation.definition.raw
    # What needs no key has nothing that could be wrong. A WebSocket cannot be opened here at all.
    is_refused = described.get("security") != [] and "101" not in described["responses"]
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {KEY}"
        for mode in GenerationMode if is_refused else [GenerationMode.POSITIVE]:
            right = mode is GenerationMode.POSITIVE
            send = partial(send_case, session, url, response_id if right else None)
            with suppress(Unsatisfiable):  # no request can be wrong
                SETTINGS(given(operation.as_strategy(generation_mode=mode))(sender(send)))()


def send_case(session: requests.Session, url: str, response_id: str | None, case: Case) -> None:
    if response_id and "response_id" in case.path_parameters:
        case.path_parameters["response_id"] = response_id
    if isinstance(case.body, dict) and is_model_name(case.body.get("model")):
        case.body["model"] = MODEL
    case.call_and_validate(url, session, checks=CHECKS, timeout=10)


def sender(send: Callable[[Case], None]) -> Callable[[Case], None]:
    """Return a function as hypothesis wants it, of one argument without a default."""
    return lambda case: send(case)


def is_model_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 256
