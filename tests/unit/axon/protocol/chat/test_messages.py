from typing import Any

import pytest

from axon.exceptions import RequestError
from axon.protocol.chat.request import parse_chat, to_create_response
from axon.protocol.objects import Json
from tests.unit.axon.protocol.chat.chat_samples import USER

CALL: Json = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "look_up", "arguments": '{"a":1}'},
}


def items(*messages: Json) -> list[Json]:
    request = to_create_response(parse_chat({"model": "echo", "messages": list(messages)}))
    assert isinstance(request.input, list)
    return [item.model_dump() for item in request.input]


def refused(*messages: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        items(*messages)
    return caught.value


def text_message(role: str, content: Any) -> Json:
    return {"type": "message", "role": role, "content": content}


def test_messages_keep_their_roles_and_order() -> None:
    roles = ["system", "developer", "user", "assistant", "user"]
    found = items(*({"role": role, "content": role, "name": "x"} for role in roles))
    assert found == [text_message(role, role) for role in roles]


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        ("system", "input_text"),
        ("developer", "input_text"),
        ("user", "input_text"),
        ("assistant", "output_text"),
    ],
)
def test_messages_parts_become_those_of_their_side(role: str, kind: str) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert items({"role": role, "content": parts}) == [
        text_message(role, [{"type": kind, "text": text} for text in "ab"])
    ]


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}, {"content": []}])
def test_messages_of_calls_alone_are_calls(content: Json) -> None:
    found = items(
        USER,
        {"role": "assistant", "tool_calls": [CALL, CALL | {"id": "call_2"}], **content},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "2"}]},
    )
    call = {"type": "function_call", "name": "look_up", "arguments": '{"a":1}'}
    output = {"type": "function_call_output"}
    assert found == [
        text_message("user", "hi"),
        call | {"call_id": "call_1"},
        call | {"call_id": "call_2"},
        output | {"call_id": "call_1", "output": "1"},
        output | {"call_id": "call_2", "output": [{"type": "input_text", "text": "2"}]},
    ]


def test_messages_with_text_and_calls_show_the_text_first() -> None:
    found = items({"role": "assistant", "content": "Let me see.", "tool_calls": [CALL]})
    assert [item["type"] for item in found] == ["message", "function_call"]


def test_messages_without_any_content_are_empty() -> None:
    assert items({"role": "assistant", "content": None}) == [text_message("assistant", "")]


@pytest.mark.parametrize("content", ["So: ", [{"type": "text", "text": "So: "}]])
def test_messages_refusal_is_a_part_behind_the_text(content: Any) -> None:
    (found,) = items({"role": "assistant", "content": content, "refusal": "No."})
    assert found["content"] == [
        {"type": "output_text", "text": "So: "},
        {"type": "refusal", "refusal": "No."},
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "text"},
        "text",
    ],
)
def test_messages_parts_other_than_text_are_refused_by_their_place(part: Any) -> None:
    error = refused(USER, {"role": "user", "content": [{"type": "text", "text": "a"}, part]})
    assert (error.param or "").startswith("messages.1.content.1")


@pytest.mark.parametrize("role", ["function", "model", None, 1])
def test_messages_of_another_role_are_refused_with_those_that_are_known(role: Any) -> None:
    error = refused(USER, {"role": role, "content": "x"})
    assert error.param == "messages.1"
    assert "'tool'" in error.message


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (
            {"role": "assistant", "function_call": {"name": "f", "arguments": ""}},
            "messages.0.function_call",
        ),
        ({"role": "assistant", "audio": {"id": "a"}}, "messages.0.audio"),
        ({"role": "assistant", "content": "{", "prefix": True}, "messages.0.prefix"),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "mcp", "mcp": {}}]},
            "messages.0.tool_calls.0",
        ),
    ],
)
def test_messages_with_what_is_not_served_are_refused_with_a_remedy(
    message: Json, param: str
) -> None:
    error = refused(message)
    assert (error.code, error.param) == ("unsupported_parameter", param)


def test_messages_of_a_tool_must_answer_an_earlier_call() -> None:
    output = {"role": "tool", "tool_call_id": "call_1", "content": "1"}
    error = refused(output, {"role": "assistant", "tool_calls": [CALL]})
    assert (error.code, error.param) == ("tool_call_not_found", "messages.0.tool_call_id")
    assert items({"role": "assistant", "tool_calls": [CALL]}, output)
