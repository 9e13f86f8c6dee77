"""What the event log publishes to a relay, on the wire: a header line, then a line an event."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Publication:
    """Events of one response as they were appended: `first` is the number of the first one."""

    response_id: str
    connection_id: str
    first: int
    terminal: bool
    events: Sequence[bytes]

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read the header; the events stay as they are.

        Raises
        ------
        ValueError : not a publication.
        """
        header, *events = payload.split(b"\n")
        response_id, connection_id, first, mark = header.split(b" ")
        return cls(response_id.decode(), connection_id.decode(), int(first), mark == b"T", events)
