import json
from typing import Any

import pytest

from axon.exceptions import RequestError
from axon.protocol.messages import parse_object
from axon.protocol.objects import response_object
from axon.protocol.requests import (
    MAX_INPUT_CHARACTERS,
    CancelResponse,
    CreateResponse,
    parse_event,
    stream_id_of,
)

CREATE: dict[str, Any] = {"type": "response.create", "model": "echo", "input": "hello"}


def refusal(**fields: Any) -> RequestError:
    """Return the error that a request with these fields meets."""
    with pytest.raises(RequestError) as caught:
        parse_event(CREATE | fields)
    assert caught.value.status == 400
    assert len(caught.value.message) < 400
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "hello",
        '{"a": 1',
        '{"a": NaN}',
        "{'a': 1}",
        b'{"a": "\xff"}',
        '{"a": "\\ud800"}',
    ],
)
def test_parser_refuses_malformed_json(body: str | bytes) -> None:
    with pytest.raises(RequestError, match="not valid JSON") as caught:
        parse_object(body)
    assert (caught.value.code, caught.value.param) == ("invalid_json", None)


@pytest.mark.parametrize("body", ["[]", "null", "3", '"text"', "true"])
def test_parser_refuses_json_that_is_no_object(body: str) -> None:
    with pytest.raises(RequestError, match="must be a JSON object") as caught:
        parse_object(body)
    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize("body", [{}, {"type": None}, {"model": "echo", "input": "hello"}])
def test_parser_refuses_a_missing_type(body: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"'type' is missing.*'response\.create'") as caught:
        parse_event(body)
    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", "type")


@pytest.mark.parametrize("kind", ["response.update", "", 3, ["response.create"], "x" * 9999])
def test_parser_refuses_an_unknown_type(kind: object) -> None:
    with pytest.raises(RequestError, match="'type' is unknown") as caught:
        parse_event({"type": kind})
    assert (caught.value.code, caught.value.param) == ("unknown_event_type", "type")
    assert len(caught.value.message) < 200


def test_parser_refuses_a_missing_model() -> None:
    with pytest.raises(RequestError, match="Missing required parameter: 'model'") as caught:
        parse_event({"type": "response.create", "input": "hello"})
    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", "model")


@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("model", 256),
        ("input", MAX_INPUT_CHARACTERS),
        ("instructions", MAX_INPUT_CHARACTERS),
        ("previous_response_id", 64),
        ("stream_id", 64),
        ("safety_identifier", 64),
        ("prompt_cache_key", 64),
    ],
)
def test_parser_refuses_an_over_long_string(field: str, limit: int) -> None:
    parse_event(CREATE | {field: "x" * limit})
    error = refusal(**{field: "x" * (limit + 1)})
    assert (error.code, error.param) == ("string_above_max_length", field)
    assert str(limit) in error.message


@pytest.mark.parametrize(
    ("metadata", "code", "param"),
    [
        ({f"key{n}": "v" for n in range(17)}, "array_above_max_length", "metadata"),
        ({"k" * 30_000: "v"}, "string_above_max_length", "metadata." + "k" * 64),
        ({"key": "v" * 513}, "string_above_max_length", "metadata.key"),
        ({"key": 5}, "invalid_value", "metadata.key"),
        ([], "invalid_value", "metadata"),
    ],
)
def test_parser_refuses_metadata_beyond_its_limits(metadata: object, code: str, param: str) -> None:
    error = refusal(metadata=metadata)
    assert (error.code, error.param) == (code, param)


def test_parser_accepts_metadata_at_its_limits() -> None:
    request = parse_event(CREATE | {"metadata": {f"{n:064}": "v" * 512 for n in range(16)}})
    assert isinstance(request, CreateResponse)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""),
        ("model", 5),
        ("model", None),
        ("input", 5),
        ("input", {"role": "user", "content": "hello"}),
        ("instructions", ["Be brief."]),
        ("previous_response_id", 5),
        ("previous_response_id", ""),
        ("stream_id", 7),
        ("stream_id", ""),
        ("generate", "false"),
        ("generate", None),
        ("store", "false"),
        ("store", 0),
        ("max_output_tokens", 0),
        ("max_output_tokens", -1),
        ("max_output_tokens", 1_000_001),
        ("max_output_tokens", 1.5),
        ("max_output_tokens", "10"),
        ("max_output_tokens", True),
        ("max_tool_calls", 0),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", "0.5"),
        ("temperature", True),
        ("temperature", float("inf")),
        ("top_p", 0),
        ("top_p", 1.1),
        ("presence_penalty", -2.1),
        ("frequency_penalty", 2.1),
        ("truncation", "some"),
        ("text", "plain"),
        ("tools", {}),
        ("parallel_tool_calls", "yes"),
        ("reasoning", "low"),
        ("service_tier", "gold"),
        ("safety_identifier", 5),
    ],
)
def test_parser_refuses_a_wrong_value_or_type(field: str, value: object) -> None:
    error = refusal(**{field: value})
    assert (error.code, error.param) == ("invalid_value", field)
    assert error.message.startswith(f"Invalid '{field}': ")


@pytest.mark.parametrize("named", ["conv_1", {"id": "conv_1"}])
def test_parser_takes_a_conversation_by_its_id_alone_or_as_an_object(named: Any) -> None:
    request = parse_event(CREATE | {"conversation": named, "input": []})
    assert isinstance(request, CreateResponse)
    assert request.conversation is not None
    assert request.conversation.id == "conv_1"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"previous_response_id": "resp_1"}, "mutually_exclusive_parameters", "conversation"),
        ({"store": False}, "invalid_value", "store"),
        ({"conversation": 1}, "invalid_value", "conversation"),
        ({"conversation": {}}, "missing_required_parameter", "conversation.id"),
        ({"conversation": "x" * 65}, "string_above_max_length", "conversation.id"),
    ],
)
def test_parser_refuses_what_a_conversation_excludes(
    fields: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises(RequestError) as refused:
        parse_event(CREATE | {"conversation": "conv_1"} | fields)
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
    ],
)
def test_parser_names_the_remedy_for_an_unsupported_value(
    fields: dict[str, Any], param: str
) -> None:
    error = refusal(**fields)
    assert (error.code, error.param) == ("unsupported_parameter", param)
    assert error.message.startswith(f"Unsupported value for '{param}'. ")
    assert len(error.message) > len(f"Unsupported value for '{param}'. ")


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        ("hello", "invalid_value", "input.0"),
        ({"type": "image_generation_call"}, "invalid_value", "input.0"),
        ({"type": 5}, "invalid_value", "input.0"),
        ({"role": "user"}, "missing_required_parameter", "input.0.content"),
        ({"content": "hello"}, "missing_required_parameter", "input.0.role"),
        ({"role": "robot", "content": "hello"}, "invalid_value", "input.0.role"),
        ({"role": "user", "content": 5}, "invalid_value", "input.0.content"),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "x"}]},
            "invalid_value",
            "input.0.content.0",
        ),
        ({"role": "user", "content": ["text"]}, "invalid_value", "input.0.content.0"),
        (
            {"role": "user", "content": [{"type": "input_text"}]},
            "missing_required_parameter",
            "input.0.content.0.text",
        ),
        (
            {"role": "user", "content": [{"type": "input_text", "text": 5}]},
            "invalid_value",
            "input.0.content.0.text",
        ),
        (
            {"type": "function_call", "name": "f", "arguments": "{}"},
            "missing_required_parameter",
            "input.0.call_id",
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "f" * 129, "arguments": "{}"},
            "string_above_max_length",
            "input.0.name",
        ),
        (
            {"type": "function_call_output", "call_id": "c" * 65, "output": "4"},
            "string_above_max_length",
            "input.0.call_id",
        ),
        (
            {"type": "function_call_output", "call_id": "c", "output": 4},
            "invalid_value",
            "input.0.output",
        ),
    ],
)
def test_parser_refuses_a_wrong_input_item(item: object, code: str, param: str) -> None:
    error = refusal(input=[item])
    assert (error.code, error.param) == (code, param)


def test_parser_names_the_wrong_item_by_index() -> None:
    assert refusal(input=[{"role": "user", "content": "x"}, {}]).param == "input.1.role"


def test_parser_names_unsupported_items_and_contents() -> None:
    assert "supported are message" in refusal(input=[{"type": "web_search_call"}]).message
    content = [{"type": "input_audio"}]
    assert "only text" in refusal(input=[{"role": "user", "content": content}]).message


@pytest.mark.parametrize(
    ("tool", "code", "param"),
    [
        ({"name": "f"}, "missing_required_parameter", "tools.0.type"),
        ({"type": "function"}, "missing_required_parameter", "tools.0.name"),
        ({"type": "function", "name": "a b"}, "invalid_value", "tools.0.name"),
        (
            {"type": "function", "name": "a", "parameters": "{}"},
            "invalid_value",
            "tools.0.parameters",
        ),
        ("function", "invalid_value", "tools.0"),
    ],
)
def test_parser_refuses_a_wrong_tool(tool: object, code: str, param: str) -> None:
    error = refusal(tools=[tool])
    assert (error.code, error.param) == (code, param)


def test_parser_refuses_too_many_tools() -> None:
    error = refusal(tools=[{"type": "function", "name": "f"}] * 129)
    assert (error.code, error.param) == ("array_above_max_length", "tools")


def test_parser_accepts_the_smallest_request() -> None:
    request = parse_event({"type": "response.create", "model": "echo", "input": "a"})
    assert isinstance(request, CreateResponse)
    assert request.generate
    assert request.stored
    assert request.stream_id is None


@pytest.mark.parametrize("nothing", [{}, {"input": None}, {"input": []}, {"input": ""}])
def test_parser_refuses_a_request_without_any_input(nothing: dict[str, Any]) -> None:
    body = {"type": "response.create", "model": "echo"} | nothing
    with pytest.raises(RequestError, match=r"Missing required parameter: 'input'\. Send") as caught:
        parse_event(body)
    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", "input")
    for enough in ({"previous_response_id": "resp_1"}, {"generate": False}):
        request = parse_event(body | enough)
        assert isinstance(request, CreateResponse)
        assert not request.input


@pytest.mark.parametrize(("store", "stored"), [(None, True), (True, True), (False, False)])
def test_request_is_stored_unless_it_says_otherwise(store: bool | None, stored: bool) -> None:
    request = parse_event(CREATE | {"store": store})
    assert isinstance(request, CreateResponse)
    assert request.stored is stored


def test_parser_takes_what_agents_always_include() -> None:
    parse_event(CREATE | {"include": ["reasoning.encrypted_content"], "store": False})


def test_parser_ignores_unknown_fields() -> None:
    request = parse_event(CREATE | {"prompt_cache_retention": "24h", "include": []})
    assert isinstance(request, CreateResponse)


def test_parser_accepts_a_cancel() -> None:
    request = parse_event({"type": "response.cancel", "response_id": "resp_1", "stream_id": "s"})
    assert isinstance(request, CancelResponse)
    assert (request.response_id, request.stream_id) == ("resp_1", "s")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "missing_required_parameter"),
        ({"response_id": ""}, "invalid_value"),
        ({"response_id": 5}, "invalid_value"),
        ({"response_id": "r" * 65}, "string_above_max_length"),
    ],
)
def test_parser_refuses_a_wrong_cancel(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_event({"type": "response.cancel"} | fields)
    assert (caught.value.code, caught.value.param) == (code, "response_id")


@pytest.mark.parametrize(
    ("value", "stream_id"), [({}, None), ({"stream_id": "s"}, "s"), ({"stream_id": 5}, None)]
)
def test_stream_id_is_found_in_any_object(value: dict[str, Any], stream_id: str | None) -> None:
    assert stream_id_of(value) == stream_id


def test_parser_reads_a_message_as_it_is_sent() -> None:
    message = json.dumps(CREATE | {"input": [{"role": "user", "content": "hello"}]})
    request = parse_event(parse_object(message))
    assert isinstance(request, CreateResponse)


@pytest.mark.parametrize(
    "text_format",
    [
        {"type": "text"},
        {"type": "json_object"},
        {
            "type": "json_schema", "name": "n", "schema": {"type": "object"},
            "description": "d", "strict": True,
        },
    ],
)  # fmt: skip
def test_response_object_echoes_the_text_format(text_format: dict[str, Any]) -> None:
    request = parse_event(CREATE | {"text": {"format": text_format}})
    assert isinstance(request, CreateResponse)
    response = response_object(request, response_id="r", created_at=1)
    assert response["text"] == {"format": text_format}


@pytest.mark.parametrize(
    ("text_format", "param"),
    [
        ({"type": "json_schema", "schema": {}}, "text.format.name"),
        ({"type": "json_schema", "name": "n"}, "text.format.schema"),
        ({"type": "json_schema", "name": "a b", "schema": {}}, "text.format.name"),
    ],
)
def test_parser_names_the_field_of_a_wrong_format(text_format: dict[str, Any], param: str) -> None:
    assert refusal(text={"format": text_format}).param == param
