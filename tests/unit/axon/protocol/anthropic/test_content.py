"""Content of messages, as the input items that it stands for."""

from typing import Any

import pytest

from axon.exceptions import RequestError
from axon.protocol.anthropic.content import instructions_of
from axon.protocol.anthropic.request import parse_message, to_create_response

Json = dict[str, Any]


def items(*messages: Json) -> list[Json]:
    body = {"model": "echo", "max_tokens": 9, "messages": [*messages]}
    request = to_create_response(parse_message(body))
    return [item.model_dump() for item in request.input if not isinstance(item, str)]


def message(role: str, *content: str | Json) -> Json:
    return {"role": role, "content": [_text(each) for each in content]}


def _text(content: str | Json) -> Json:
    return {"type": "text", "text": content} if isinstance(content, str) else content


def item(role: str, *texts: str) -> Json:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text} for text in texts]
    return {"type": "message", "role": role, "content": content}


def call(call_id: str = "toolu_1") -> Json:
    return {"type": "tool_use", "id": call_id, "name": "f", "input": {"a": [1, "ü"]}}


def result(**fields: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": "toolu_1"} | fields


def test_content_keeps_the_order_of_texts_calls_and_results() -> None:
    assert items(
        message("user", "a", "b"),
        message("assistant", "c", call(), call("toolu_2")),
        message("user", result(content="42"), "d"),
    ) == [
        item("user", "a", "b"),
        item("assistant", "c"),
        {
            "type": "function_call",
            "call_id": "toolu_1",
            "name": "f",
            "arguments": '{"a":[1,"ü"]}',
        },
        {
            "type": "function_call",
            "call_id": "toolu_2",
            "name": "f",
            "arguments": '{"a":[1,"ü"]}',
        },
        output("42"),
        item("user", "d"),
    ]


def output(*texts: str) -> Json:
    content = [{"type": "input_text", "text": text} for text in texts]
    return {"type": "function_call_output", "call_id": "toolu_1", "output": content}


def test_content_of_one_role_in_a_row_is_one_message() -> None:
    assert items(
        message("user", "a"), message("user", "b"), message("system", "c"), message("user", "d")
    ) == [item("user", "a", "b"), item("system", "c"), item("user", "d")]


def test_content_keeps_earlier_thinking_that_can_be_read() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "x"}
    hidden = {"type": "redacted_thinking", "data": "x"}
    assert items(
        message("user", "a"), message("assistant", thinking, hidden, "b"), message("user", "c")
    ) == [
        item("user", "a"),
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "hm"}],
        },
        item("assistant", "b"),
        item("user", "c"),
    ]


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({}, [""]),
        ({"content": None}, [""]),
        ({"content": []}, []),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, ["a", "b"]),
        ({"content": "no such file", "is_error": True}, ["Error:", "no such file"]),
    ],
)
def test_content_of_a_result_is_the_output_of_its_call(fields: Json, texts: list[str]) -> None:
    assert items(message("user", result(**fields))) == [output(*texts)]


@pytest.mark.parametrize(
    ("block", "param", "named"),
    [
        ({"type": "image", "source": {}}, "messages.0.content.1.type", "'image'"),
        ({"type": "document"}, "messages.0.content.1.type", "'document'"),
        ({"type": "server_tool_use"}, "messages.0.content.1.type", "'server_tool_use'"),
        (
            result(content=[{"type": "image"}]),
            "messages.0.content.1.content.0.type",
            "'image'",
        ),
        ({"text": "b"}, "messages.0.content.1.type", "Missing"),
        ("b", "messages.0.content.1", "must be an object with a type"),
        (call("x" * 65), "messages.0.content.1.id", "too long"),
    ],
)
def test_content_that_is_not_served_is_refused_by_its_place_and_type(
    block: Any, param: str, named: str
) -> None:
    content = [{"type": "text", "text": "a"}, block]
    with pytest.raises(RequestError) as caught:
        items({"role": "user", "content": content})
    assert (caught.value.param, caught.value.status) == (param, 400)
    assert named in caught.value.message


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (None, None),
        ("", None),
        ("Be brief.", "Be brief."),
        ("x-anthropic-billing-header: cch=1;", None),
        ("x-anthropic-billing-header: cch=1;\nBe brief.", "Be brief."),
        ("Say x-anthropic-billing-header: cch=1;", "Say x-anthropic-billing-header: cch=1;"),
    ],
)
def test_instructions_are_the_system_prompt_without_a_billing_header(
    system: str | None, expected: str | None
) -> None:
    assert instructions_of(system) == expected
