import pytest

from worker.engines.openai.sse import EventReader

STREAM = (
    b': ping\n\nevent: x\ndata: {"a": "\xf0\x9f\x98\x80"}\n\ndata:1\r\n\r\ndata: 2\ndata: 3\n\n\n'
)
EVENTS = [b'{"a": "\xf0\x9f\x98\x80"}', b"1", b"2\n3"]


@pytest.mark.parametrize("size", [1, 2, 7, len(STREAM)])
def test_event_reader_reads_events_in_any_pieces(size: int) -> None:
    reader = EventReader()
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert [event for piece in pieces for event in reader.feed(piece)] == EVENTS


def test_event_reader_keeps_an_incomplete_event() -> None:
    assert list(EventReader().feed(b"data: 1\n")) == []


def test_event_reader_refuses_a_line_that_never_ends() -> None:
    reader = EventReader()
    with pytest.raises(ValueError, match="1 MiB"):
        for _ in range(100):
            list(reader.feed(b"x" * 65_536))


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_event_reader_ends_lines_as_the_standard_says(newline: bytes, size: int) -> None:
    stream = b"\xef\xbb\xbfdata: 1\n\n: x\ndata\n\nid\ndata:2\ndata: 3\n\n".replace(b"\n", newline)
    reader = EventReader()
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert [event for piece in pieces for event in reader.feed(piece)] == [b"1", b"2\n3"]
    assert reader.rest() is None
    assert not reader.foreign


@pytest.mark.parametrize("end", [b"data: 2", b"data: 2\n", b"data: 2\r"])
def test_event_reader_returns_the_event_that_the_end_cuts(end: bytes) -> None:
    reader = EventReader()
    assert list(reader.feed(b"data: 1\n\n" + end)) == [b"1"]
    assert reader.rest() == b"2"


@pytest.mark.parametrize("body", [b"<html>\n", b'{"error": 1}', b"OK\n\n"])
def test_event_reader_recognizes_what_is_no_stream_of_events(body: bytes) -> None:
    reader = EventReader()
    assert list(reader.feed(body)) == []
    assert reader.rest() is None
    assert reader.foreign


def test_event_reader_refuses_an_event_that_never_ends() -> None:
    reader = EventReader()
    with pytest.raises(ValueError, match="1 MiB"):
        for _ in range(100):
            list(reader.feed(b"data: " + b"x" * 65_536 + b"\n"))


@pytest.mark.parametrize("stream", [b"x: 1\n\ndata: 1\n\n", b"data: 1\n\nx\n", b"x\ndata: 1"])
def test_event_reader_takes_a_stream_with_an_event_and_unknown_fields_for_its_own(
    stream: bytes,
) -> None:
    reader = EventReader()
    events = [*reader.feed(stream), reader.rest()]
    assert [event for event in events if event] == [b"1"]
    assert not reader.foreign
