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
