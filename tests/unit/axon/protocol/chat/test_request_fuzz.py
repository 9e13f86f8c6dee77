"""Any body is refused in words that name a field, or becomes a job that a worker can read."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from axon.exceptions import RequestError
from axon.ids import new_id
from axon.jobs import Job, new_job
from axon.protocol.chat.errors import chat_error
from axon.protocol.chat.request import parse_chat
from axon.protocol.chat.request import to_create_response as chat_to_response
from axon.protocol.chat.unserved import UNSERVED
from axon.protocol.completions.request import parse_text
from axon.protocol.completions.request import to_create_response as text_to_response
from axon.protocol.objects import Json, response_object
from axon.protocol.requests import CreateResponse
from axon.serialization import dumps
from tests.support.principals import a_principal
from worker.pipeline.messages import Conversation

CALL: Json = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
CHAT: Json = {
    "model": "echo",
    "messages": [
        {"role": "system", "content": "be kind", "name": "n"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": "x", "refusal": "no", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    "stream_options": {"include_usage": True},
    "metadata": {"a": "b"},
    "temperature": 0.5,
    "max_tokens": 5,
    "n": 1,
    "stop": [],
}
TEXT: Json = {"model": "echo", "prompt": ["hi"], "max_tokens": 5, "stream": True, "suffix": None}
WORDS = st.sampled_from(["type", "text", "function", "user", "echo", "\0", "", "x" * 300])
LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def changed(value: Any, data: st.DataObject, *, whole: bool = True) -> Any:
    """Return a copy with one part, at any depth, replaced, removed or added.

    With `whole` false, the value itself is not replaced.
    """
    inner = not whole or data.draw(st.integers(0, 9)) > 0
    if isinstance(value, dict) and value and inner:
        name = data.draw(st.sampled_from([*value, *UNSERVED]))
        if data.draw(st.integers(0, 9)) == 0:
            return {key: part for key, part in value.items() if key != name}
        return value | {name: changed(value.get(name), data)}
    if isinstance(value, list) and value and inner:
        index = data.draw(st.integers(0, len(value) - 1))
        return [*value[:index], changed(value[index], data), *value[index + 1 :]]
    return data.draw(VALUE)


def check(body: Json, translate: Callable[[Json], CreateResponse]) -> None:
    try:
        request = translate(body)
    except RequestError as error:
        status, answer = chat_error(error)
        assert status == 400
        assert answer["error"]["param"]
        assert len(dumps(answer)) < 4096
        return
    job = new_job(
        request,
        response=response_object(request, response_id=new_id("resp"), created_at=1),
        principal=a_principal("tenant-1"),
        connection_id="",
        conversation_id=new_id("conv"),
        created_ms=1,
    )
    assert Job.decode(job.encode()) == job
    assert Conversation.of(job, []).input


@given(data=st.data())
def test_request_of_any_shape_is_refused_by_name_or_becomes_a_job(data: st.DataObject) -> None:
    check(CHAT, lambda body: chat_to_response(parse_chat(body)))
    check(changed(CHAT, data, whole=False), lambda body: chat_to_response(parse_chat(body)))
    check(changed(TEXT, data, whole=False), lambda body: text_to_response(parse_text(body)))
