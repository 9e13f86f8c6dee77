from dataclasses import replace

import pytest

from axon.event_log.lanes import LanePosition, lane_of
from axon.event_log.publication import Kind, Publication


def test_publication_decodes_header_and_events() -> None:
    payload = b'resp_1 L0SM9cOFvHcCIhw= 41 T\n{"type":"a"}\n{"type":"b c"}'
    assert Publication.decode(payload) == Publication(
        "resp_1", "L0SM9cOFvHcCIhw=", 41, Kind.LAST_EVENTS, [b'{"type":"a"}', b'{"type":"b c"}']
    )


def test_publication_is_not_terminal_without_the_flag() -> None:
    assert not Publication.decode(b"resp_1 c 0 -\n{}").terminal


@pytest.mark.parametrize("checkpoint", [b"-", b"T"])
def test_publication_tells_which_events_are_granted(checkpoint: bytes) -> None:
    publication = Publication.decode(b"resp_1 c 4 " + checkpoint + b"!\n{}")
    assert publication.granted
    assert publication == replace(
        Publication.decode(b"resp_1 c 4 " + checkpoint + b"\n{}"), granted=True
    )


@pytest.mark.parametrize(("checkpoint", "kind"), [(b"R", Kind.RESUMED), (b"M", Kind.MOVED)])
def test_publication_decodes_resumed_and_moved(checkpoint: bytes, kind: Kind) -> None:
    assert Publication.decode(b"resp_1 c 5 " + checkpoint) == Publication(
        "resp_1", "c", 5, kind, []
    )


@pytest.mark.parametrize(
    "payload", [b"", b"resp_1 c 0\n{}", b"resp_1 c x -\n{}", b"resp_1 c 0 X\n{}", b"\xff c 0 -\n"]
)
def test_publication_refuses_anything_else(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Publication.decode(payload)


@pytest.mark.parametrize(
    ("publication", "payload"),
    [
        (Publication("resp_1", "c=", 4, Kind.EVENTS, [b"{}", b"[]"]), b"resp_1 c= 4 -\n{}\n[]"),
        (
            Publication("resp_1", "c=", 0, Kind.LAST_EVENTS, [b"{}"], granted=True),
            b"resp_1 c= 0 T!\n{}",
        ),
        (Publication("resp_1", "c=", 41, Kind.RESUMED, []), b"resp_1 c= 41 R"),
        (Publication("resp_1", "c=", 0, Kind.MOVED, []), b"resp_1 c= 0 M"),
        (Publication("resp_1", "c=", 0, Kind.MOVED, [], to="d="), b"resp_1 c= 0 M v1 to=d="),
        (
            Publication("resp_1", "c", 4, Kind.RESUMED, [], position=LanePosition("a%20b", 7)),
            b"resp_1 c 4 R v1 lane=a%20b order=7",
        ),
        (
            Publication(
                "resp_2", "c", 0, Kind.EVENTS, [b"{}"], position=LanePosition("*", 8, "resp_1")
            ),
            b"resp_2 c 0 - v1 lane=* order=8 before=resp_1\n{}",
        ),
    ],
)
def test_publication_encodes_what_it_decodes(publication: Publication, payload: bytes) -> None:
    assert publication.encode() == payload
    assert Publication.decode(payload) == publication


def test_publication_ignores_fields_that_it_does_not_know() -> None:
    payload = b"resp_1 c 0 - v1 order=8 new=1 lane=* flag\n{}"
    expected = Publication("resp_1", "c", 0, Kind.EVENTS, [b"{}"], position=LanePosition("*", 8))
    assert Publication.decode(payload) == expected


@pytest.mark.parametrize("stream_id", [None, "a", "*", " \n=", "wörld 🌍", "%20"])
def test_lane_has_a_name_without_spaces_for_each_stream_id(stream_id: str | None) -> None:
    lane = lane_of(stream_id)
    assert lane.isascii()
    assert not set(lane) & set(" \n=")
    assert LanePosition(lane).stream_id == stream_id
