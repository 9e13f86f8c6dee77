"""The text of an answer's logged tokens as the model wrote it: what a parser is rebuilt from.

A client gets the text without markers, and not every engine can decode the ids of another attempt.
So a batch of events brings the raw text of its token ids along, in a journal record of the same
step. There is none where a batch is one delta with that very text, as nearly all batches are.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from axon.event_log.log import JournalRecord, LoggedEvent
from axon.serialization import dumps, loads

RAW_TEXT = "raw_text"
"""Kind of the records."""


class RawText(NamedTuple):
    """The raw text of some tokens, and the characters that each of them completes."""

    text: str
    lengths: Sequence[int]

    def record(self) -> tuple[str, bytes]:
        """Return the record of the batch that has the tokens' ids."""
        return RAW_TEXT, dumps({"text": self.text, "lengths": self.lengths})


def needs_record(raw: RawText, events: Sequence[LoggedEvent]) -> bool:
    """Return whether these events, which have the tokens' ids, do not say what their text is."""
    if len(events) != 1:
        return True
    delta: str | None = loads(events[0].data).get("delta")
    return delta != raw.text


def logged_text(
    events: Sequence[LoggedEvent], journal: Sequence[JournalRecord]
) -> Iterator[RawText]:
    """Return the raw text of the token ids in a log, batch by batch.

    Raises
    ------
    LookupError
        A batch has lost its record.
    """
    # A batch that was lost with a failover may have left its record: the later one counts.
    records = {record.after: record.data for record in journal if record.kind == RAW_TEXT}
    for event in events:
        if not event.token_ids:
            continue
        data = records.get(event.sequence_number - 1)
        if data is not None:
            yield RawText(**loads(data))
        else:
            delta = loads(event.data)["delta"]
            yield RawText(delta, [*(0 for _ in event.token_ids[1:]), len(delta)])
