"""Nesting: one limit for every message, below that of every decoder."""

from collections.abc import Callable
from typing import Any

import pytest

from axon.exceptions import RequestError
from axon.protocol.anthropic import request as anthropic_request
from axon.protocol.anthropic.request import parse_message
from axon.protocol.bodies import parse
from axon.protocol.chat import request as chat_request
from axon.protocol.chat.request import parse_chat
from axon.protocol.compaction import CompactRequest
from axon.protocol.items import MAX_ITEMS
from axon.protocol.messages import MAX_DEPTH, parse_object
from axon.protocol.requests import parse_body
from axon.serialization import dumps, loads


def nested(depth: int) -> str:
    return '{"a": [' * (depth // 2) + '{"a": 1}' * (depth % 2) + "]}" * (depth // 2)


@pytest.mark.parametrize("wrapped", ["tools", "text", "metadata", "input", "other"])
def test_parser_refuses_what_is_nested_too_deep(wrapped: str) -> None:
    parse_object(f'{{"{wrapped}": {nested(MAX_DEPTH - 1)}}}')
    with pytest.raises(RequestError, match="at most 64 objects and arrays") as caught:
        parse_object(f'{{"model": "echo", "{wrapped}": {nested(MAX_DEPTH)}}}')
    assert (caught.value.code, caught.value.param) == ("invalid_value", wrapped)


@pytest.mark.parametrize("body", ["[" * 5000 + "]" * 5000, f'{{"a": {nested(5000)}}}'])
def test_parser_refuses_what_no_decoder_takes(body: str) -> None:
    with pytest.raises(RequestError, match="at most 64 objects and arrays") as caught:
        parse_object(body)
    assert (caught.value.code, caught.value.param) == ("invalid_value", None)


@pytest.mark.parametrize(
    "number",
    [
        "1e400",
        "-1E+999",
        "[0, {}, [1e309]]",
        '{"a": 1e999}',
        "9" * 300 + "e10",
        "9" * 210 + "e99",
        "-" + "9" * 299 + ".5E+10",
        "0." + "0" * 308 + "1e700",
    ],
)
def test_parser_refuses_a_number_that_would_come_out_as_null(number: str) -> None:
    with pytest.raises(RequestError, match="beyond the range") as caught:
        parse_object(f'{{"a": 1, "b": {number}}}')
    assert (caught.value.code, caught.value.param) == ("invalid_value", "b")


@pytest.mark.parametrize("number", ["1e308", "1e-400", '"1e999"', "1" * 400, '{"1e400": 1.5}'])
def test_parser_takes_any_other_number(number: str) -> None:
    value = parse_object(f'{{"a": {number}}}')
    assert loads(dumps(value)) == value


@pytest.mark.parametrize(
    "body", [b'{"input":[' + b"{}," * 200_000, b'{"reasoning":{"a":[' + b"1," * 200_000]
)
def test_parser_refuses_too_many_values_before_it_decodes_them(body: bytes) -> None:
    with pytest.raises(RequestError, match="more than 100,000 values") as caught:
        parse_object(body)
    assert (caught.value.code, caught.value.status) == ("request_too_large", 413)


@pytest.mark.parametrize(
    ("read", "field"),
    [(parse_body, "input"), (parse_chat, "messages"), (parse_message, "messages")],
)
def test_requests_refuse_too_many_items_by_name(read: Callable[[Any], object], field: str) -> None:
    item = {"role": "user", "content": "a"}
    body = {"model": "echo", "max_tokens": 1} if field == "messages" else {"model": "echo"}
    read(body | {field: [item] * MAX_ITEMS})
    with pytest.raises(RequestError, match="at most 10000 items") as caught:
        read(body | {field: [item] * (MAX_ITEMS + 1)})
    assert (caught.value.code, caught.value.param) == ("array_above_max_length", field)
    with pytest.raises(RequestError) as caught:  # the first one alone is found wrong
        read(body | {field: [item, {}, {}]})
    assert caught.value.param is not None
    assert caught.value.param.startswith(f"{field}.1")


def test_views_refuse_messages_that_are_too_many_items() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    asked = {"role": "assistant", "tool_calls": [call] * MAX_ITEMS}
    chat = parse_chat({"model": "echo", "messages": [asked, {"role": "user", "content": "a"}]})
    use = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    used = {"role": "user", "content": [use] * (MAX_ITEMS + 1)}
    message = parse_message({"model": "echo", "max_tokens": 1, "messages": [used]})
    items = [{"role": "user", "content": "a"}] * MAX_ITEMS
    compact = parse(CompactRequest, {"model": "echo", "input": items})
    for translate, param in (
        (lambda: chat_request.to_create_response(chat), "messages"),
        (lambda: anthropic_request.to_create_response(message), "messages"),
        (compact.to_ask, "input"),
    ):
        with pytest.raises(RequestError, match="is too long: 10,00") as caught:
            translate()
        assert (caught.value.code, caught.value.param) == ("array_above_max_length", param)
