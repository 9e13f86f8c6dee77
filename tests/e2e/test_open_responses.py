"""The cases of the public Open Responses compliance suite, but some.

Images are not served; `tests/e2e/test_tools.py` has calls of tools, and
`tests/unit/front/test_responses.py` compaction.

`tests/clients/test_open_responses_suite.py` runs the suite itself, where there is a copy of it.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from openai import OpenAI
from openai.types.responses import Response
from pydantic import TypeAdapter

from tests.support.sdk_events import ENDS, RESPONSE_FIELDS, validate

Json = dict[str, Any]
RESPONSE: TypeAdapter[Any] = TypeAdapter(Response)
NEVER_NULL = RESPONSE_FIELDS - {
    "completed_at", "error", "incomplete_details", "instructions", "max_output_tokens",
    "max_tool_calls", "previous_response_id", "prompt_cache_key", "reasoning",
    "safety_identifier", "usage",
}  # fmt: skip
"""Fields that the Open Responses schema lets no server leave null; the SDK allows some to be."""


def message(role: str, text: str, **more: Any) -> Json:
    return {"type": "message", "role": role, "content": text, **more}


INPUTS: dict[str, list[Json]] = {
    "one message": [message("user", "three short words")],
    "system message": [message("system", "Talk as a sailor."), message("user", "good morning")],
    "conversation": [
        message("user", "I am Alice."),
        message("assistant", "Good to meet you, Alice."),
        message("user", "Who am I?"),
    ],
    "phases": [
        message("assistant", "I look up the number.", phase="commentary"),
        message("assistant", "It is four.", phase="final_answer"),
        message("user", "the number alone"),
    ],
}


def over_json(client: OpenAI, **request: Any) -> Json:
    """Return the response of a request that is answered by JSON."""
    raw = client.responses.with_raw_response.create(**request)
    decoded: Json = json.loads(raw.http_response.content)
    return decoded


def over_sse(client: OpenAI, **request: Any) -> Json:
    """Return the response at the end of a stream whose events are checked."""
    raw = client.responses.with_raw_response.create(**request, stream=True)
    lines = raw.http_response.iter_lines()
    events = [validate(line[6:].encode()) for line in lines if line.startswith("data: {")]
    return ended(events)


def over_websocket(client: OpenAI, **request: Any) -> Json:
    """Return the response at the end of a connection's events, which are checked."""
    with client.responses.connect() as connection:
        return ended(turn(connection, **request))


def turn(connection: Any, **request: Any) -> list[Json]:
    """Return the events of one request, up to its end or the error that refuses it."""
    connection.send({"type": "response.create", "model": "echo", **request})
    events: list[Json] = []
    while not events or events[-1]["type"] not in ENDS | {"error"}:
        data = connection.recv_bytes()
        events.append(json.loads(data) if b'"type":"error"' in data[:40] else validate(data))
    return events


def ended(events: Sequence[Json]) -> Json:
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["type"] == "response.completed"
    response: Json = events[-1]["response"]
    return response


def refusal(events: Sequence[Json]) -> str:
    """Return the code of the error that is the only event of a refused request."""
    (event,) = events
    assert event["type"] == "error"
    code: str = event["error"]["code"]
    return code


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("ask", [over_json, over_sse, over_websocket])
def test_open_responses_request_is_answered_by_a_response_of_the_schema(
    client: OpenAI, ask: Callable[..., Json], name: str
) -> None:
    response = ask(client, model="echo", input=INPUTS[name])
    assert set(response) == RESPONSE_FIELDS
    RESPONSE.validate_python(response)
    assert not {field for field in NEVER_NULL if response[field] is None}
    assert (response["object"], response["status"]) == ("response", "completed")
    (item,) = response["output"]
    assert item["content"][0]["text"] == INPUTS[name][-1]["content"]


def test_open_responses_connection_serves_one_request_after_the_other(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        for word in ("first", "second"):
            response = ended(turn(connection, input=word, store=False))
            assert response["output"][0]["content"][0]["text"] == word


def test_open_responses_connection_continues_what_is_not_stored(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        first = ended(turn(connection, input="the word is cobalt", store=False))
        second = ended(
            turn(connection, input="which", store=False, previous_response_id=first["id"])
        )
    assert second["previous_response_id"] == first["id"]
    assert second["usage"]["input_tokens"] == 4 + 4 + 1


def test_open_responses_reconnected_client_begins_again(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        first = ended(turn(connection, input="the word is copper", store=False))
    with client.responses.connect() as connection:
        lost = turn(connection, input="which", store=False, previous_response_id=first["id"])
        assert refusal(lost) == "previous_response_not_found"
        assert ended(turn(connection, input=[message("user", "again")], store=False))


def test_open_responses_unknown_response_cannot_be_continued(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        events = turn(connection, input="hi", store=False, previous_response_id="resp_missing_1")
    assert refusal(events) == "previous_response_not_found"


def test_open_responses_failed_continuation_forgets_what_it_continued(client: OpenAI) -> None:
    output = {"type": "function_call_output", "call_id": "call_missing", "output": "nothing"}
    with client.responses.connect() as connection:
        first = ended(turn(connection, input="the word is ember", store=False))
        continued = {"store": False, "previous_response_id": first["id"]}
        assert refusal(turn(connection, input=[output], **continued)) == "tool_call_not_found"
        assert refusal(turn(connection, input="which", **continued)) == (
            "previous_response_not_found"
        )
