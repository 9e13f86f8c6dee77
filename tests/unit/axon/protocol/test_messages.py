"""Nesting: one limit for every message, below that of every decoder."""

import pytest

from axon.exceptions import RequestError
from axon.protocol.messages import MAX_DEPTH, parse_object
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
