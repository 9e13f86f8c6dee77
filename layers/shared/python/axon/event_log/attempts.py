"""The budget of a response's attempts, as its log keeps it."""

from enum import StrEnum
from typing import Protocol


class AttemptNote(StrEnum):
    """A remark of an attempt in the log, for the claim that follows it.

    RELEASED: it ends without a fault of its request, and is not counted.
    ALONE: it runs alone on its worker from now on. If the worker dies, the request is to blame.
    IN_COMPANY: from now on it runs beside others, and counts: it no longer runs alone, or no longer
    waits for its turn (RELEASED meanwhile).
    FAILED: it ran alone, and its engine died or it raised an unexpected error.
    """

    RELEASED = "released"
    ALONE = "alone"
    IN_COMPANY = "in_company"
    FAILED = "failed"


class AttemptNotes(Protocol):
    """Kept beside the log in Valkey; a fake in `axon.testing`.

    Claims count themselves (`axon.event_log.log.Claim.attempts`); notes correct what they count.
    """

    async def note(
        self, response_id: str, note: AttemptNote, *, epoch: int, incarnation: str
    ) -> None:
        """Write a note of the attempt that holds the claim; repeating it changes nothing.

        Parameters
        ----------
        response_id : str
            The response.
        note : AttemptNote
            What is to be known of the attempt.
        epoch : int
            The epoch of its claim.
        incarnation : str
            The worker's process that runs it (`axon.directory.beats`).

        Raises
        ------
        MissingResponseError
            No such log.
        FencedError
            Another claim came after it.
        """
        ...
