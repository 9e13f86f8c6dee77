from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axon.exceptions import RequestError
from axon.protocol.errors import error_frame
from axon.protocol.requests import MAX_ECHOED_CHARACTERS, parse_event, stream_id_of
from axon.protocol.sizes import MESSAGE_BYTES, beginning, json_bytes, text_bytes
from axon.serialization import loads

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(TEXTS, TEXTS)
def test_text_bytes_of_joined_texts_are_their_sum(first: str, second: str) -> None:
    assert text_bytes(first) + text_bytes(second) == text_bytes(first + second)
    assert text_bytes(first) == json_bytes([first]) - 4


@given(TEXTS, st.integers(-3, 120))
def test_beginning_is_the_longest_that_fits(text: str, limit: int) -> None:
    fits = beginning(text, limit)
    assert text.startswith(fits)
    assert text_bytes(fits) <= max(limit, 0)
    assert fits == text or text_bytes(text[: len(fits) + 1]) > limit


LONG = "\x00" * 21_000
"""As long as a message can be: each character has six bytes there."""
CREATE = {"type": "response.create", "model": "m", "input": "x"}


@pytest.mark.parametrize(
    "message",
    [
        CREATE | {"stream_id": LONG},
        CREATE | {"stream_id": LONG[:MAX_ECHOED_CHARACTERS]},
        {"type": LONG, "stream_id": "s"},
        CREATE | {"model": LONG, "stream_id": "s"},
        CREATE | {"metadata": {LONG: 1}, "stream_id": "s"},
        CREATE | {"tools": [{"type": LONG}], "stream_id": "s"},
        CREATE | {"input": [{"type": LONG}], "stream_id": "s"},
        {"type": "response.cancel", "response_id": LONG, "stream_id": "s"},
    ],
    ids=lambda message: ",".join(message),
)
def test_error_about_a_wrong_message_fits_into_a_message(message: dict[str, Any]) -> None:
    stream_id = stream_id_of(message)
    with pytest.raises(RequestError) as refused:
        parse_event(message)
    frame = error_frame(refused.value, stream_id=stream_id)
    assert len(frame) <= MESSAGE_BYTES
    echoed = len(message["stream_id"]) <= MAX_ECHOED_CHARACTERS
    assert loads(frame).get("stream_id") == (message["stream_id"] if echoed else None)
