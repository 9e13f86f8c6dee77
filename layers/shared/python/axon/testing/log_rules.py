"""The rules of appending as the log in memory applies them."""

from collections.abc import Sequence
from dataclasses import replace

from axon.event_log.checkpoint import DeliveryCheckpoint
from axon.event_log.log import Claim, JournalRecord, LoggedEvent, Status
from axon.exceptions import FencedError
from axon.testing.relay_directory import FakeLog


def has_gap(log: FakeLog, events: Sequence[LoggedEvent], journal: Sequence[JournalRecord]) -> bool:
    """Return whether the log lacks something that came before an append."""
    if events and log.meta.next_sequence != events[0].sequence_number:
        return True
    if journal and len(log.journal) != journal[0].number:
        return True
    return bool(journal and not events and log.meta.next_sequence <= journal[-1].after)


def compare(log: FakeLog, events: Sequence[LoggedEvent], journal: Sequence[JournalRecord]) -> None:
    """Compare a repeated append with what the log has under its numbers.

    Raises
    ------
    FencedError
        The log has other events or journal records.
    """
    held = {event.sequence_number: event.data for event in log.events}
    if any(held.get(event.sequence_number, event.data) != event.data for event in events):
        raise FencedError("other events under these numbers")
    records = {record.number: record for record in log.journal}
    if any(records.get(record.number, record) != record for record in journal):
        raise FencedError("other journal records under these numbers")


def has(log: FakeLog, events: Sequence[LoggedEvent], journal: Sequence[JournalRecord]) -> bool:
    """Return whether an append is in the log already."""
    if events:
        return log.meta.next_sequence >= events[0].sequence_number + len(events)
    return not journal or len(log.journal) >= journal[0].number + len(journal)


def may_leave_gap(
    checkpoint: DeliveryCheckpoint, log: FakeLog, events: Sequence[LoggedEvent], status: Status
) -> bool:
    """Return whether a failure takes the number that the client expects, after lost events."""
    return (
        status in (Status.FAILED, Status.CANCELLED)
        and len(events) == 1
        and checkpoint.certain
        and checkpoint.next_sequence == events[0].sequence_number > log.meta.next_sequence
    )


def has_grown(log: FakeLog, claim: Claim) -> bool:
    """Return whether the attempt before a lost claim has appended since the loss."""
    return log.meta.next_sequence > claim.next_sequence or len(log.journal) > claim.next_record


def ends_in_hole(log: FakeLog, first: int) -> bool:
    """Return whether the log has failed and lacks events from `first` to the failure."""
    end = log.meta.next_sequence - 1
    if log.meta.status is not Status.FAILED or first >= end:
        return False
    tail = [event.sequence_number for event in log.events if event.sequence_number > end - 2]
    return bool(tail) and tail[0] == end


def keep_forks(log: FakeLog, forks: str) -> None:
    """Note the forks of a log; those of a followed response stay known once it is resumed."""
    if not forks:
        return
    log.meta = replace(log.meta, forks=forks)
    if log.meta.followed and log.followed_fork is None:
        log.followed_fork = int(forks.split(":", 1)[0])
