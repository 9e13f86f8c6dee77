import pytest

from worker.engines.openvino.answer import OpenVinoAnswer
from worker.engines.protocol import TokenChunk

# The euro sign is the three bytes of tokens 2, 3 and 4; token 0 ends, token 1 is special.
VOCABULARY = (b"", b"", *(bytes([byte]) for byte in "€".encode()), b"hi", b" there")


def answer(*known: int) -> OpenVinoAnswer:
    return OpenVinoAnswer(vocabulary=VOCABULARY, stop_token_ids={0}, generated_token_ids=known)


def test_openvino_answer_returns_text_with_its_ids() -> None:
    chunks = answer()
    assert chunks.take([5], None) == TokenChunk("hi", (5,))
    assert chunks.take([6], "length") == TokenChunk(" there", (6,), "length")
    assert chunks.finished


def test_openvino_answer_keeps_tokens_of_an_incomplete_character() -> None:
    chunks = answer()
    assert chunks.take([2], None) is None
    assert chunks.take([3], None) is None
    assert chunks.take([4], None) == TokenChunk("€", (2, 3, 4))


def test_openvino_answer_returns_special_tokens_with_the_next_text() -> None:
    chunks = answer()
    assert chunks.take([1], None) is None
    assert chunks.take([5], None) == TokenChunk("hi", (1, 5))


def test_openvino_answer_drops_the_stop_token() -> None:
    assert answer().take([5, 0], "stop") == TokenChunk("hi", (5,), "stop")
    assert answer().take([0], "stop") == TokenChunk("", (), "stop")


def test_openvino_answer_drops_a_cut_character_but_counts_its_tokens() -> None:
    assert answer().take([5, 2, 3], "length") == TokenChunk("hi", (5, 2, 3), "length")


@pytest.mark.parametrize("known", [(), (5,), (5, 2), (5, 2, 3), (5, 2, 3, 4)])
def test_openvino_answer_continues_inside_a_character(known: tuple[int, ...]) -> None:
    rest = (5, 2, 3, 4)[len(known) :]
    chunk = answer(*known).take(rest, "length")
    assert chunk is not None
    assert chunk.token_ids == rest
    assert chunk.text == {0: "hi€", 1: "€", 2: "€", 3: "€", 4: ""}[len(known)]
