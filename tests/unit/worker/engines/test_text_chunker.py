import codecs

from worker.engines.protocol import TokenChunk
from worker.engines.text_chunker import TextChunker

WORDS = ("one", " two", " three")


def words(*known: int, stop: tuple[str, ...] = ()) -> TextChunker:
    return TextChunker(WORDS.__getitem__, stop=stop, generated_token_ids=known)


def test_a_token_that_completes_nothing_waits_for_the_one_that_does() -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    text = TextChunker(lambda byte: decoder.decode(bytes([byte])))
    first, second = "é".encode()
    assert text.take((97, first), None) == TokenChunk("a", (97,))
    assert text.take((second,), None) == TokenChunk("é", (first, second))


def test_what_comes_after_a_stop_string_is_left_out_and_the_end_is_its_own() -> None:
    text = words(stop=("wo",))
    assert text.take((0, 1, 2), "length") == TokenChunk("one t", (0, 1), "stop")
    assert text.finished


def test_a_stop_string_on_the_last_token_goes_before_the_limit() -> None:
    assert words(stop=("two",)).take((0, 1), "length") == TokenChunk("one ", (0, 1), "stop")


def test_a_stop_string_in_what_is_known_leaves_nothing_to_do() -> None:
    assert words(0, 1, stop=("e t",)).finished
    assert not words(0, 1, stop=("tw ",)).finished
    assert not words(0, stop=("e t",)).finished


def test_the_end_lets_out_what_was_held_back() -> None:
    text = words(stop=("two !",))
    assert text.take((0,), None) == TokenChunk("one", (0,))
    assert text.take((1,), None) is None
    assert text.take((), "stop") == TokenChunk(" two", (1,), "stop")
