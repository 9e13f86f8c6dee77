import codecs

from worker.engines.protocol import TokenChunk
from worker.engines.text_chunker import TextChunker

WORDS = ("one", " two", " three")


def words(*known: int, stop: tuple[str, ...] = ()) -> TextChunker:
    return TextChunker(WORDS.__getitem__, stop=stop, generated_token_ids=known)


def test_text_chunker_keeps_a_token_that_completes_no_character() -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    text = TextChunker(lambda byte: decoder.decode(bytes([byte])))
    first, second = "é".encode()
    assert text.take((97, first), None) == TokenChunk("a", (97,))
    assert text.take((second,), None) == TokenChunk("é", (first, second))


def test_text_chunker_drops_text_after_a_stop_string() -> None:
    text = words(stop=("wo",))
    assert text.take((0, 1, 2), "length") == TokenChunk("one t", (0, 1), "stop", stop="wo")
    assert text.finished


def test_text_chunker_prefers_a_stop_string_to_the_limit() -> None:
    found = words(stop=("two",)).take((0, 1), "length")
    assert found == TokenChunk("one ", (0, 1), "stop", stop="two")


def test_text_chunker_is_finished_by_a_stop_string_in_the_known_text() -> None:
    assert words(0, 1, stop=("e t",)).finished
    assert not words(0, 1, stop=("tw ",)).finished
    assert not words(0, stop=("e t",)).finished


def test_text_chunker_returns_buffered_text_at_the_end() -> None:
    text = words(stop=("two !",))
    assert text.take((0,), None) == TokenChunk("one", (0,))
    assert text.take((1,), None) is None
    assert text.take((), "stop") == TokenChunk(" two", (1,), "stop")
