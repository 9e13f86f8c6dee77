"""Confirmation of what a client has received of a log that may have lost its newest events.

After a failover the log may be shorter than what the client has. Nothing may take the place of an
event that the client knows. The attempt that holds the lost events appends them again; one that
does not needs the word of the relay that delivers the response, or of the client itself: a
checkpoint that was written since. Of a followed response nobody writes one: each follower confirms
its own position, and ends behind the fork that a claim leaves.
"""

import asyncio

from axon.event_log.log import AttemptLog, Claim

CONFIRMATION_S = 5.0
"""Seconds that a relay has to write a checkpoint: it looks for a new generation each second, and a
connection that hangs is given up after 5 s."""
_PAUSE_S = 0.1


async def await_confirmation(log: AttemptLog, response_id: str) -> None:
    """Wait, before a claim, until it is known what the client of an incomplete log has received.

    For those who end a response. Were they to claim first and wait then, two of them, or one and
    an attempt, would fence each other off during each wait, and the response would never end.
    Return at the latest after `CONFIRMATION_S`, and at once where nothing needs to be confirmed or
    nobody can.
    """
    until = asyncio.get_running_loop().time() + CONFIRMATION_S
    while asyncio.get_running_loop().time() < until:
        meta = await log.describe(response_id)
        if meta is None or not meta.incomplete or meta.checkpoint.certain or meta.followed:
            return
        await asyncio.sleep(_PAUSE_S)


async def confirmed_delivery(
    log: AttemptLog, response_id: str, claim: Claim, *, within_s: float = CONFIRMATION_S
) -> int | None:
    """Wait until it is known which events the client of an incomplete log has received.

    Parameters
    ----------
    log : AttemptLog
        The event log.
    response_id : str
        The response that was claimed.
    claim : Claim
        The claim; it is `unsure`.
    within_s : float
        Seconds to wait at most; 0 after `await_confirmation`.

    Returns
    -------
    int | None
        Number of events that the client has, which may be more than the log has; None if nobody
        has said it in that time, or if the response was claimed or lost since.
    """
    until = asyncio.get_running_loop().time() + within_s
    while True:
        meta = await log.describe(response_id)
        if meta is None or meta.epoch != claim.epoch:
            return None
        if meta.checkpoint.certain:
            return meta.checkpoint.next_sequence
        if asyncio.get_running_loop().time() >= until:
            return None
        await asyncio.sleep(_PAUSE_S)


async def claimed_since(log: AttemptLog, response_id: str, claim: Claim) -> bool:
    """Return whether the response was claimed after this claim.

    The claim before shows that Valkey has lost this one, and that nobody has claimed since.
    """
    meta = await log.describe(response_id)
    if meta is None:
        return False
    # A worker of the version before takes an epoch and leaves the nonce as it is.
    return meta.epoch > claim.epoch or meta.nonce not in (claim.nonce, claim.predecessor)
