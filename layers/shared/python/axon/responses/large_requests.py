"""LargeRequests: opens the responses of requests, whose input may be too large for a message."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from axon.event_log.openings import Opening
from axon.exceptions import RequestError, StoreFullError, UnavailableError
from axon.inputs import INLINE_BYTES, LargeInputs, input_key
from axon.jobs import Job
from axon.responses.request_size import JOB_BYTES, check_queued
from axon.serialization import dumps

logger = logging.getLogger(__name__)

Open = Callable[[Job, bytes], Awaitable[Opening]]
"""Opens the log of a job's response, given the job also as it goes into the queue."""


class LargeRequests:
    """Puts large inputs into the payload store before their responses exist.

    So each accepted response has its input. A payload whose response is not accepted is deleted.

    Parameters
    ----------
    inputs : LargeInputs
        The store's side.
    """

    def __init__(self, *, inputs: LargeInputs) -> None:
        self._inputs = inputs

    async def opened(self, job: Job, open_log: Open) -> tuple[Job, Opening]:
        """Open a response; return its job as it is to be queued, and the opening.

        Raises
        ------
        RequestError
            The job is too large for the queue, or as `open_log`.
        UnavailableError
            The payload store did not take a job's input that the queue could not carry, or as
            `open_log`.
        """
        encoded = b""
        if not self._inputs.available:
            encoded = job.encode()
        elif _surely_large(job.input):
            # Without encoding the job first, which takes 65 ms for 20 MB.
            job = await self._put(job)
        elif len(encoded := job.encode()) > INLINE_BYTES:
            encoded = b""
            job = await self._put(job)
        encoded = encoded or job.encode()
        try:
            check_queued(encoded, has_store=self._inputs.available)
            opening = await open_log(job, encoded)
        except (RequestError, StoreFullError):
            # After any other error the log may have been opened.
            await self._inputs.discard(job)
            raise
        if not opening.opened:
            await self._inputs.discard(job)
        return job, opening

    async def _put(self, job: Job) -> Job:
        content = dumps(job.input)
        if len(content) <= INLINE_BYTES:  # its other fields are large
            return job
        key = input_key(job.tenant_id, job.response_id, stored=job.stored)
        try:
            return await self._inputs.put(job, content, key=key)
        except UnavailableError as error:
            if len(content) > JOB_BYTES or len(job.encode()) > JOB_BYTES:
                raise
            logger.warning("%s carries its input itself: %s", job.response_id, error)
            return job


def _surely_large(items: list[dict[str, Any]]) -> bool:
    """Return True if the texts of messages alone are more than a message of the queue carries.

    Other items, and what else JSON needs, are not counted: False says nothing.
    """
    room = INLINE_BYTES
    for item in items:
        content = item.get("content")
        parts = content if isinstance(content, list) else (item,)
        for part in parts:
            room -= sum(len(value) for value in part.values() if isinstance(value, str))
        if room < 0:
            return True
    return False
