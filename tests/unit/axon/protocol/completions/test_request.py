from typing import Any

import pytest
from openai.types import completion_create_params

from axon.exceptions import RequestError
from axon.protocol.completions.request import (
    HINTS,
    UNSERVED,
    TextRequest,
    parse_text,
    to_create_response,
)
from axon.protocol.objects import Json
from axon.protocol.view_requests import ViewRequest

BODY: Json = {"model": "echo", "prompt": "Once"}
FIELDS = {
    *completion_create_params.CompletionCreateParamsBase.__annotations__,
    *completion_create_params.CompletionCreateParamsStreaming.__annotations__,
}


def created(**fields: Any) -> ViewRequest:
    return to_create_response(parse_text(BODY | fields))


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        created(**fields)
    return caught.value


def test_every_field_of_the_sdk_is_served_or_taken_as_a_hint_or_refused() -> None:
    assert TextRequest.model_fields.keys() | HINTS | UNSERVED.keys() >= FIELDS
    assert not UNSERVED.keys() & (TextRequest.model_fields.keys() | HINTS)


@pytest.mark.parametrize("name", sorted(UNSERVED))
def test_request_with_an_unserved_field_is_refused_by_name(name: str) -> None:
    error = refused(**{name: {"type": "x"}})
    assert (error.code, error.param) == ("unsupported_parameter", name)


@pytest.mark.parametrize("name", sorted(FIELDS - BODY.keys()))
def test_parser_takes_null_for_what_is_absent(name: str) -> None:
    assert created(**{name: None}) == created()


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "best_of": 1, "echo": False, "stop": [], "suffix": "", "user": "u"},
        {"prompt": ["Once"]},
        {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 16},
    ],
)
def test_request_may_say_that_it_wants_nothing_special(fields: Json) -> None:
    assert created(**fields) == created()


def test_request_becomes_one_message_of_the_user() -> None:
    sampling: Json = {
        "temperature": 1,
        "top_p": 0.5,
        "presence_penalty": -1,
        "frequency_penalty": 1,
        "stop": ["END"],
        "seed": 7,
        "top_k": 5,
        "logit_bias": {"17": 1.5},
    }
    expected: Json = {
        "model": "echo",
        "input": [{"role": "user", "content": "Once"}],
        "max_output_tokens": 3,
        "store": False,
        **sampling,
    }
    assert created(max_tokens=3, **sampling) == ViewRequest.model_validate(expected)


def test_request_without_a_length_has_the_default_of_the_api() -> None:
    assert created().max_output_tokens == 16


@pytest.mark.parametrize("prompt", [None, ["a", "b"], [1, 2], [[1, 2]], [], 7])
def test_request_prompt_is_one_text(prompt: Any) -> None:
    error = refused(prompt=prompt)
    assert (error.code, error.param) == ("unsupported_parameter", "prompt")


def test_request_without_a_prompt_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        parse_text({"model": "echo"})
    assert (caught.value.code, caught.value.param) == ("missing_required_parameter", "prompt")
