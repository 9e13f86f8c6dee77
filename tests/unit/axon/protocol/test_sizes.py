from hypothesis import given
from hypothesis import strategies as st

from axon.protocol.sizes import beginning, json_bytes, text_bytes

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
