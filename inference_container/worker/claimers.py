"""The reasons for which an attempt is fenced off: a newer attempt, or the end of the response."""

import asyncio
from itertools import islice

from axon.event_log.log import AttemptLog
from axon.exceptions import FencedError, MissingResponseError
from axon.retry import backoff

_FENCE_CHECKS = 6
"""Reads of a response's state until its claimer must have shown what it is: 3.5 s at most."""


class EndedError(FencedError):
    """The response was ended from outside: by a client, its absence, or the deadline."""


class DuplicateError(FencedError):
    """A newer attempt runs the same job from another message, so this message is not needed."""


async def claimer_error(
    log: AttemptLog, response_id: str, *, message_id: str, error: FencedError
) -> Exception:
    """Return the error that says who has claimed the response.

    A terminator claims first and ends the response with a second call. Until then its claim
    looks like that of a newer attempt, except that it names no message: so it gets the time
    of a few checks.

    Parameters
    ----------
    log : AttemptLog
        The event log.
    response_id : str
        The response.
    message_id : str
        Id of the attempt's own message.
    error : FencedError
        The refusal that the attempt has met.
    """
    for pause_s in islice(backoff(first_s=0.1, longest_s=1.0), _FENCE_CHECKS):
        meta = await log.describe(response_id)
        if meta is None:
            # Lost after the claim. This attempt is fenced and must not restore the log, and
            # the claimer may know nothing of its events.
            return MissingResponseError(str(error))
        if meta.status.terminal:
            return EndedError(str(error))
        if meta.message_id:
            return error if meta.message_id == message_id else DuplicateError(str(error))
        await asyncio.sleep(pause_s)
    return error
