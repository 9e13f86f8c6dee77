from typing import Any

import pytest
from openai.types.chat import completion_create_params

from axon.exceptions import RequestError
from axon.protocol.chat.request import ChatRequest, parse_chat, to_create_response
from axon.protocol.chat.unserved import HINTS, UNSERVED
from axon.protocol.objects import Json
from axon.protocol.unserved import UNSERVED_IN_TOOLS
from axon.protocol.view_requests import ViewRequest
from tests.unit.axon.protocol.chat.chat_samples import BODY, USER

FIELDS = {
    *completion_create_params.CompletionCreateParamsBase.__annotations__,
    *completion_create_params.CompletionCreateParamsStreaming.__annotations__,
}
TOOL: Json = {"type": "function", "function": {"name": "f"}}


def created(**fields: Any) -> ViewRequest:
    return to_create_response(parse_chat(BODY | fields))


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        created(**fields)
    return caught.value


def test_every_field_of_the_sdk_is_served_or_taken_as_a_hint_or_refused() -> None:
    assert ChatRequest.model_fields.keys() | HINTS | UNSERVED.keys() >= FIELDS
    assert not UNSERVED.keys() & (ChatRequest.model_fields.keys() | HINTS)


@pytest.mark.parametrize("name", sorted(UNSERVED))
def test_request_with_an_unserved_field_is_refused_by_name(name: str) -> None:
    error = refused(**{name: {"type": "x"}})
    assert (error.code, error.param) == ("unsupported_parameter", name)
    assert f"'{name}'" in error.message
    assert created(**{name: None}) == created()


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "stop": [], "logit_bias": {}, "logprobs": False, "top_logprobs": 0},
        {"modalities": ["text"], "functions": [], "function_call": "auto"},
        {"user": "u", "prompt_cache_options": {}, "prompt_cache_retention": "24h"},
        {"prediction": {"type": "content", "content": "x"}, "of_the_future": {"a": 1}},
        {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "echo": False},
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": True}},
        {"regex": "", "mirostat": 0, "xtc_probability": 0, "enable_thinking": False, "options": {}},
        {"reasoning": {"enabled": False}, "thinking": {"type": "disabled"}, "length_penalty": 1},
    ],
)
def test_request_may_say_that_it_wants_nothing_special(fields: Json) -> None:
    assert created(**fields) == created()


@pytest.mark.parametrize("where", ["tools.0.", "tools.0.function."])
@pytest.mark.parametrize("name", sorted(UNSERVED_IN_TOOLS))
def test_request_tool_with_an_unserved_field_is_refused_by_its_place(where: str, name: str) -> None:
    def asked(value: Any) -> Json:
        if where == "tools.0.":
            return TOOL | {name: value}
        return TOOL | {"function": {"name": "f", name: value}}

    error = refused(tools=[asked(["x"])])
    assert (error.code, error.param) == ("unsupported_parameter", where + name)
    assert created(tools=[asked(None)]) == created(tools=[TOOL])


def test_request_without_any_content_is_refused() -> None:
    assert refused(messages=[{"role": "user", "content": []}]).param == "messages"


def test_request_has_as_many_tools_as_openai_allows() -> None:
    assert created(tools=[TOOL] * 128)
    error = refused(tools=[TOOL] * 129)
    assert (error.code, error.param) == ("array_above_max_length", "tools")


def test_request_asks_for_its_sampling() -> None:
    found = created(stop="END", seed=0, top_k=5, logit_bias={"17": -100})
    assert (found.stop, found.seed, found.top_k) == (["END"], 0, 5)
    assert found.logit_bias == {"17": -100.0}
    assert created(stop=["a", "b", "c", "\n"]).stop == ["a", "b", "c", "\n"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ["a", ""]}, "stop.1"),
        ({"stop": [7]}, "stop.0"),
        ({"stop": "x" * 257}, "stop.0"),
        ({"stop": False}, "stop"),
        ({"seed": 2**63}, "seed"),
        ({"seed": True}, "seed"),
        ({"top_k": -2}, "top_k"),
        ({"top_k": False}, "top_k"),
        ({"logit_bias": {"17": 101}}, "logit_bias.17"),
        ({"logit_bias": [17]}, "logit_bias"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
    ],
)
def test_request_with_a_wrong_sampling_parameter_is_refused(fields: Json, param: str) -> None:
    assert refused(**fields).param == param


def test_request_becomes_the_responses_request_that_says_the_same() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    found = created(
        messages=[{"role": "system", "content": "Be brief."}, USER],
        max_completion_tokens=5,
        temperature=1,
        top_p=0.5,
        presence_penalty=-1,
        frequency_penalty=0.25,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": schema, "strict": True, "description": "d"},
        },
        verbosity="low",
        reasoning_effort="high",
        tools=[
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": schema},
            }
        ],
        tool_choice="none",
        parallel_tool_calls=False,
        store=True,
        metadata={"a": "b"},
        service_tier="flex",
        safety_identifier="s",
        prompt_cache_key="k",
    )
    expected: Json = {
        "model": "echo",
        "input": [{"role": "system", "content": "Be brief."}, USER],
        "max_output_tokens": 5,
        "temperature": 1,
        "top_p": 0.5,
        "presence_penalty": -1,
        "frequency_penalty": 0.25,
        "text": {
            "format": {
                "type": "json_schema",
                "name": "n",
                "schema": schema,
                "strict": True,
                "description": "d",
            },
            "verbosity": "low",
        },
        "reasoning": {"effort": "high"},
        "tools": [
            {
                "type": "function",
                "name": "f",
                "description": "d",
                "parameters": schema,
                "strict": False,
            }
        ],
        "tool_choice": "none",
        "parallel_tool_calls": False,
        "store": True,
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
    }
    assert found == ViewRequest.model_validate(expected)


def test_request_is_not_stored_unless_it_says_so() -> None:
    assert not created().stored
    assert not created(store=None).stored
    assert created(store=True).stored


@pytest.mark.parametrize(
    ("given", "kind"), [(None, "text"), ({"type": "text"}, "text"), ({"type": "json_object"},) * 2]
)
def test_request_format_is_that_of_text(given: Any, kind: Any) -> None:
    kind = kind if isinstance(kind, str) else kind["type"]
    assert created(response_format=given).text.format.type == kind


def test_request_schema_may_be_left_out() -> None:
    wanted = created(response_format={"type": "json_schema", "json_schema": {"name": "n"}})
    assert wanted.text.format.model_dump()["schema"] == {}


def test_request_takes_both_names_of_the_token_limit() -> None:
    assert created(max_tokens=3).max_output_tokens == 3
    assert created(max_tokens=3, max_completion_tokens=3).max_output_tokens == 3
    assert refused(max_tokens=3, max_completion_tokens=4).param == "max_tokens"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"model": ""}, "model"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 2.5}, "max_completion_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"tools": [TOOL, {"type": "web_search", "web_search": {}}]}, "tools.1"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": "json"}, "response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {}}},
            "response_format.json_schema.name",
        ),
        ({"metadata": {"a": 1}}, "metadata.a"),
    ],
)
def test_request_with_a_wrong_field_is_refused_by_its_path(fields: Json, param: str) -> None:
    assert refused(**fields).param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {"minLength": -1}},
                }
            },
            "response_format.json_schema.schema.minLength",
        ),
        (
            {
                "tools": [
                    TOOL,
                    {
                        "type": "function",
                        "function": {"name": "f", "parameters": {"minLength": -1}},
                    },
                ]
            },
            "tools.1.function.parameters.minLength",
        ),
    ],
)
def test_request_schema_out_of_bounds_is_refused_by_its_place(fields: Json, param: str) -> None:
    assert refused(**fields).param == param


def test_request_without_a_model_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        parse_chat({"messages": [USER]})
    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", "model")
