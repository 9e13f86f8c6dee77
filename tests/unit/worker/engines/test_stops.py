from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engines.protocol import TokenChunk
from worker.engines.stops import ChunkBuffer, StopScanner

# Few letters: stop strings then occur, begin, overlap, and hold each other.
TEXT = st.text("ab", max_size=30)
STOPS = st.lists(st.text("abc", max_size=4), max_size=4)
SIZES = st.lists(st.integers(0, 4), max_size=40)


def end_of(text: str, stops: Sequence[str]) -> tuple[int, int] | None:
    """Return where the first stop string begins and ends, by a naive search."""
    for end in range(1, len(text) + 1):
        for stop in sorted(filter(None, stops), key=len, reverse=True):
            if text[:end].endswith(stop):
                return end - len(stop), end
    return None


def pieces_of(text: str, sizes: Sequence[int]) -> list[str]:
    pieces = []
    for size in [*sizes, len(text)]:
        pieces.append(text[:size])
        text = text[size:]
    return pieces


def chunks_of(
    pieces: Sequence[str], stops: Sequence[str], *, start: int = 0, reread: bool = True
) -> list[TokenChunk]:
    """The chunks after `start` pieces, of which piece n has the id n."""
    chunks = ChunkBuffer(stops, known="".join(pieces[:start]) if reread else "")
    taken = []
    for number, piece in enumerate(pieces[start:], start=start):
        chunks.add((number,), piece)
        chunk = chunks.take()
        taken += [chunk] if chunk else []
    return [*taken, chunks.last("length")]


def joined(chunks: Sequence[TokenChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def ids_of(chunks: Sequence[TokenChunk]) -> list[int]:
    return [token_id for chunk in chunks for token_id in chunk.token_ids]


@given(TEXT, STOPS, SIZES)
def test_chunk_buffer_ends_before_the_first_stop_string_however_it_is_cut(
    text: str, stops: list[str], sizes: list[int]
) -> None:
    pieces = pieces_of(text, sizes)
    chunks = chunks_of(pieces, stops)
    found = end_of(text, stops)
    begins, ends = found or (len(text), len(text))
    assert joined(chunks) == text[:begins]
    assert chunks[-1].finish_reason == ("stop" if found else "length")
    assert chunks[-1].stop == (text[begins:ends] if found else None)
    made = ids_of(chunks)
    assert made == list(range(len(made)))
    assert "".join(pieces[: len(made)])[:ends] == text[:ends]
    if found:
        assert len("".join(pieces[: len(made) - 1])) < ends


@given(TEXT, STOPS, SIZES)
def test_chunk_buffer_ends_chunks_where_no_stop_string_is_open(
    text: str, stops: list[str], sizes: list[int]
) -> None:
    pieces = pieces_of(text, sizes)
    beginnings = [stop[:length] for stop in stops for length in range(1, len(stop))]
    for chunk in chunks_of(pieces, stops)[:-1]:
        assert chunk.text == "".join(pieces[number] for number in chunk.token_ids)
        assert chunk.text
        assert not chunk.text.endswith(tuple(beginnings))


@given(TEXT, STOPS, SIZES)
def test_chunk_buffer_resumes_after_whole_chunks_without_their_text(
    text: str, stops: list[str], sizes: list[int]
) -> None:
    pieces = pieces_of(text, sizes)
    chunks = chunks_of(pieces, stops)
    for count in range(len(chunks)):
        start = len(ids_of(chunks[:count]))
        for reread in (True, False):
            rest = chunks_of(pieces, stops, start=start, reread=reread)
            assert rest == chunks[count:]


@given(TEXT, STOPS, SIZES, TEXT)
def test_chunk_buffer_never_withdraws_a_whole_chunk(
    text: str, stops: list[str], sizes: list[int], other: str
) -> None:
    chunks = chunks_of(pieces_of(text, sizes), stops)
    for count in range(len(chunks)):
        shown = joined(chunks[:count])
        found = end_of(shown + other, stops)
        assert found is None or found[0] >= len(shown)


@given(TEXT, STOPS, SIZES)
def test_chunk_buffer_resumes_after_any_ids_with_known_text(
    text: str, stops: list[str], sizes: list[int]
) -> None:
    pieces = pieces_of(text, sizes)
    chunks = chunks_of(pieces, stops)
    made = ids_of(chunks)
    for start in range(len(made) + 1):
        rest = chunks_of(pieces, stops, start=start)
        if chunks[-1].finish_reason == "stop" and start == len(made):
            assert rest == [TokenChunk("", (), "stop", stop=chunks[-1].stop)]
        assert ids_of(rest) == made[start:]
        assert rest[-1].finish_reason == chunks[-1].finish_reason
        assert rest[-1].stop == chunks[-1].stop
        assert joined(rest) == joined(chunks)[len("".join(pieces[:start])) :]


def test_stop_scanner_finds_the_first_complete_string_and_of_those_the_longest() -> None:
    assert StopScanner(["abcd", "bc"]).find("abcd") == 1
    assert StopScanner(["c", "bc", "abc"]).find("abcd") == 0


def test_stop_scanner_returns_a_negative_index_for_a_string_begun_earlier() -> None:
    scanner = StopScanner(["abc"])
    assert scanner.find("xa") is None
    assert scanner.open
    assert scanner.find("bc") == -1


def test_stop_scanner_is_not_open_after_a_mismatch() -> None:
    scanner = StopScanner(["aab"])
    assert scanner.find("aaac") is None
    assert not scanner.open
    assert scanner.find("aaab") == 1


def test_chunk_buffer_without_stop_strings_passes_on_everything() -> None:
    chunks = ChunkBuffer(["", ""])
    chunks.add((1,), "a")
    assert chunks.take() == TokenChunk("a", (1,))
    chunks.add((2,), "")
    assert chunks.take() is None
    assert chunks.buffered == 1
    assert chunks.last("stop") == TokenChunk("", (2,), "stop")


@pytest.mark.parametrize(("known", "text"), [("xEN", ""), ("x", ""), ("", "x")])
def test_chunk_buffer_counts_known_text_as_shown(known: str, text: str) -> None:
    chunks = ChunkBuffer(["END"], known=known)
    chunks.add((7,), "xEND"[len(known) :] + " more")
    chunks.add((8,), "and more")
    assert chunks.stopped
    assert chunks.last(None) == TokenChunk(text, (7,), "stop", stop="END")
