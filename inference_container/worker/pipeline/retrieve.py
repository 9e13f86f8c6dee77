"""retrieve: the turns that a job continues."""

from axon.conversations import Conversations, Turn
from axon.exceptions import RequestError
from axon.jobs import Job


async def retrieve(job: Job, conversations: Conversations) -> list[Turn]:
    """Return the earlier turns, oldest first.

    Raises
    ------
    RequestError
        They were there when the request was accepted, but are gone.
    """
    previous = job.previous_response_id
    if previous is None:
        return []
    turns = await conversations.chain(
        previous, tenant_id=job.tenant_id, connection_id=job.connection_id
    )
    if turns is None:
        raise RequestError(
            f"Previous response with id '{previous}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    return turns
