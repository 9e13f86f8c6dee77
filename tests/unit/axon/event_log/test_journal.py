"""Events and journal records in the pieces in which they are written again."""

from hypothesis import given
from hypothesis import strategies as st

from axon.event_log.journal import PIECE_BYTES, PIECE_EVENTS, pieces
from axon.event_log.log import JournalRecord, LoggedEvent


@given(
    first=st.integers(1, 3),
    sizes=st.lists(st.sampled_from([1, 100, PIECE_BYTES]), max_size=2 * PIECE_EVENTS),
    places=st.lists(st.floats(0, 1), max_size=5),
)
def test_pieces_are_the_log_in_order_and_bounded(
    first: int, sizes: list[int], places: list[float]
) -> None:
    events = [LoggedEvent(first + index, b"x" * size) for index, size in enumerate(sizes)]
    last = first + len(events) - 1
    journal = [
        JournalRecord(number=number, after=int(place * last), kind="k", data=b"d")
        for number, place in enumerate(sorted(places))
    ]
    found = pieces(events, journal)
    assert [each for piece, _ in found for each in piece] == events
    assert [each for _, records in found for each in records] == journal
    for piece, records in found:
        assert len(piece) <= PIECE_EVENTS
        assert sum(len(each.data) for each in piece[:-1]) <= PIECE_BYTES
        # Nobody may read a record whose event is still to come.
        assert all(each.after <= (piece[-1].sequence_number if piece else last) for each in records)
