"""The event log's indexes: what is due, abandoned, running, or to be sent again."""

from typing import Protocol

RESEND_PAUSE_S = 10.0
"""Seconds after a job was sent again until it may be sent once more; doubles with each time."""


class LogIndexes(Protocol):
    """The part of `axon.event_log.log.EventLog` that lists and marks responses."""

    async def take_resend(self, response_id: str) -> bool:
        """Return whether to send the job of an unclaimed response again, for a repeated request.

        True for the first caller, since the process that opened the response may have died before
        it sent the job; then for one caller after `RESEND_PAUSE_S`, after twice that, and so on. A
        job that merely waits would otherwise be queued as often as its client asks for it.
        """
        ...

    async def undo_resend(self, response_id: str) -> None:
        """Undo `take_resend`: the job could not be sent, so the next caller may send it."""
        ...

    async def overdue(self, *, limit: int = 100) -> list[str]:
        """Return ids of responses of which it is time to look whether they are overdue."""
        ...

    async def abandon(self, connection_id: str) -> None:
        """Start the resume window of all responses that a closed connection waits for.

        It is empty for those that are to be cancelled on a disconnect: by their own request
        (`NewResponse.cancel_on_disconnect`), or else by their connection.
        """
        ...

    async def interrupt(self, connection_id: str) -> None:
        """Mark a connection as one that the server closes.

        Its client is asked to resume, so a disconnect cancels nothing before the resume window
        has ended.
        """
        ...

    async def abandoned(self, *, limit: int = 100) -> list[str]:
        """Return ids of responses that were not resumed in time."""
        ...

    async def forget(self, response_id: str) -> None:
        """Take a response whose log is gone out of the indexes."""
        ...

    async def running_for(self, connection_id: str) -> set[str]:
        """Return ids of the responses of a connection that have not ended."""
        ...
