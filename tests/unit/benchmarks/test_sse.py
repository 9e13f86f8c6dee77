import pytest

from benchmarks.sse import HttpStreamError, ResponseParser
from worker.engines.openai.sse import EventReader

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_response_parser_splits_events_at_blank_lines() -> None:
    parser = EventReader()
    assert list(parser.feed(b"data: one\n\ndata:two\r\n\r\n: comment\nevent: x\ndata: th")) == [
        b"one",
        b"two",
    ]
    assert list(parser.feed(b"ree\ndata: lines\n")) == []
    assert list(parser.feed(b"\n")) == [b"three\nlines"]


@pytest.mark.parametrize("size", range(1, 40))
def test_response_parser_reads_a_response_in_any_pieces(size: int) -> None:
    whole = HEAD + chunked(b"data: a\n\n", b"data", b": bcd\n", b"\ndata: [DONE]\n\n")
    parser, events = ResponseParser(), []
    for start in range(0, len(whole), size):
        assert not parser.ended
        events += parser.feed(whole[start : start + size])
    assert events == [b"a", b"bcd", b"[DONE]"]
    assert parser.ended


def test_response_parser_completes_an_event_with_the_end_of_the_body() -> None:
    parser = ResponseParser()
    rest = chunked(b"f\n\n")
    assert parser.feed(HEAD + b"8\r\ndata: ab\r\n") == []
    assert parser.feed(rest) == [b"abf"]


def test_response_parser_reads_several_responses_of_a_connection() -> None:
    parser = ResponseParser()
    for name in (b"1", b"2"):
        assert parser.feed(HEAD) == []
        assert not parser.ended
        assert parser.feed(chunked(b"data: " + name + b"\n\n")) == [name]
        assert parser.ended


def test_response_parser_reads_a_sized_body() -> None:
    parser = ResponseParser()
    assert parser.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ndata:") == []
    assert parser.feed(b" x\n\n") == [b"x"]
    assert parser.ended


def test_response_parser_raises_a_refusal_with_its_whole_body() -> None:
    parser = ResponseParser()
    assert parser.feed(b"HTTP/1.1 429 Slow\r\ncontent-length: 9\r\n\r\ntoo") == []
    with pytest.raises(HttpStreamError, match=r"status 429: b'too much!'"):
        parser.feed(b" much!")


def test_response_parser_refuses_a_body_of_unknown_length() -> None:
    with pytest.raises(HttpStreamError, match="unknown length"):
        ResponseParser().feed(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
