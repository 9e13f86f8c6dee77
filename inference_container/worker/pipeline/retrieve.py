"""retrieve: the turns that a job continues."""

from axon.conversations import Conversations, Turn
from axon.jobs import Job


async def retrieve(job: Job, conversations: Conversations) -> list[Turn]:
    """Return the earlier turns, oldest first.

    Raises
    ------
    RequestError
        The turns existed when the request was accepted, but no longer do.
    """
    return await conversations.turns_before(
        job.previous_response_id, tenant_id=job.tenant_id, connection_id=job.turn_connection_id
    )
