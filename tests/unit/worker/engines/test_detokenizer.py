from hypothesis import given
from hypothesis import strategies as st

from worker.engines.detokenizer import Detokenizer

BYTES = tuple(bytes([value]) for value in range(256))
ANY_TEXT = st.text()


@given(ANY_TEXT, st.lists(st.integers(1, 5)))
def test_detokenizer_never_returns_half_a_character(text: str, sizes: list[int]) -> None:
    detokenizer = Detokenizer(BYTES)
    rest = text.encode()
    pieces = []
    for size in [*sizes, len(rest)]:
        pieces.append(detokenizer.feed(rest[:size]))
        rest = rest[size:]
    assert "".join(pieces) == text


@given(ANY_TEXT, st.data())
def test_detokenizer_resumes_inside_a_character(text: str, data: st.DataObject) -> None:
    encoded = text.encode()
    cut = data.draw(st.integers(0, len(encoded)))
    whole, resumed = Detokenizer(BYTES), Detokenizer(BYTES)
    before = whole.feed(encoded[:cut])
    resumed.feed(encoded[:cut])
    assert before + resumed.feed(encoded[cut:]) == text


def test_detokenizer_keeps_the_beginning_of_a_character() -> None:
    detokenizer = Detokenizer(BYTES)
    first, *rest = "€".encode()
    assert detokenizer.feed([first]) == ""
    assert detokenizer.feed(rest) == "€"


def test_detokenizer_replaces_invalid_bytes() -> None:
    detokenizer = Detokenizer(BYTES)
    assert detokenizer.feed([0xE2]) == ""
    assert detokenizer.feed(b"a") == "\ufffda"


def test_detokenizer_returns_no_text_for_special_tokens() -> None:
    assert Detokenizer((b"", b"hi")).feed([0, 1, 0]) == "hi"
