"""Journal records between the events that they follow."""

from collections.abc import Iterable

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
