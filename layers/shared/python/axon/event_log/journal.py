"""Journal records between the events that they follow."""

from collections.abc import Iterable, Sequence

from axon.event_log.log import JournalRecord, LoggedEvent


def in_order(
    events: Iterable[LoggedEvent], journal: Iterable[JournalRecord]
) -> list[LoggedEvent | JournalRecord]:
    """Return events and journal records as they were written, one after the other."""
    following: dict[int, list[JournalRecord]] = {}
    for record in journal:
        following.setdefault(record.after, []).append(record)
    entries: list[LoggedEvent | JournalRecord] = []
    for event in events:
        entries += [event, *following.get(event.sequence_number, ())]
    return entries


PIECE_EVENTS = 256
PIECE_BYTES = 500_000
"""Most events and bytes that one call writes again: the script takes 1 ms then
(`python -m benchmarks scripts`)."""

Piece = tuple[Sequence[LoggedEvent], Sequence[JournalRecord]]
"""Events, and the journal records that follow one of them or one before them."""


def pieces(events: Sequence[LoggedEvent], journal: Sequence[JournalRecord]) -> list[Piece]:
    """Return consecutive events and records in pieces that a script writes quickly; one at least.

    Records that follow an event before the first one go into the first piece.
    """
    earlier = [each for each in journal if not events or each.after < events[0].sequence_number]
    found: list[tuple[list[LoggedEvent], list[JournalRecord]]] = [([], earlier)]
    size = sum(len(record.data) for record in earlier)
    for entry in in_order(events, journal):
        if isinstance(entry, JournalRecord):
            size += len(entry.data)
            found[-1][1].append(entry)
            continue
        # A record's piece has the event that it follows, so a piece ends only before an event.
        if found[-1][0] and (len(found[-1][0]) == PIECE_EVENTS or size > PIECE_BYTES):
            found.append(([], []))
            size = 0
        size += len(entry.data)
        found[-1][0].append(entry)
    return list(found)
