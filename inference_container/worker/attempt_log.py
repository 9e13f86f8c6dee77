"""The event log as an attempt uses it."""

from collections.abc import Sequence
from typing import Protocol

from axon.event_log.log import Claim, JournalRecord, LoggedEvent, LostResponse, ResponseMeta, Status
from axon.exceptions import FencedError


class EndedError(FencedError):
    """The response was ended from outside: by a client, its absence, or the deadline."""


class DuplicateError(FencedError):
    """A newer attempt runs the same job from another message, so this message is not needed."""


class AttemptLog(Protocol):
    """The calls of the event log that an attempt needs (`axon.event_log.log.EventLog`)."""

    async def claim(
        self, response_id: str, *, in_progress: bytes = b"", message_id: str = ""
    ) -> Claim:
        """Take the next epoch."""
        ...

    async def reclaim(self, response_id: str, claim: Claim, *, message_id: str = "") -> None:
        """Take a claim again that the log has lost."""
        ...

    async def append(
        self,
        response_id: str,
        *,
        epoch: int,
        events: Sequence[LoggedEvent],
        status: Status = Status.IN_PROGRESS,
        journal: Sequence[JournalRecord] = (),
        nonce: str = "",
        predecessor: str = "",
    ) -> str:
        """Append and publish events; a terminal `status` closes the log."""
        ...

    async def read(
        self, response_id: str, *, after: int = -1, limit: int | None = None
    ) -> list[LoggedEvent]:
        """Return events, those after the sequence number `after`."""
        ...

    async def read_journal(self, response_id: str) -> list[JournalRecord]:
        """Return the journal records."""
        ...

    async def describe(self, response_id: str) -> ResponseMeta | None:
        """Return the state of the response, None if the log does not exist."""
        ...

    async def restore(self, response: LostResponse) -> None:
        """Create a lost log again, unless it exists meanwhile."""
        ...
