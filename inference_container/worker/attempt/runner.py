"""Answering a job: what an attempt at it comes to, and what happens when none is worth while."""

import logging

from axon.event_log.log import Status
from axon.exceptions import FencedError, MissingResponseError, UnavailableError
from axon.jobs import Job, ReceivedJob
from axon.responses.finisher import FinishedResponse
from axon.responses.terminator import OVERDUE
from axon.retry import RetryPolicy
from worker.attempt.attempt import attempt
from worker.attempt.context import AttemptContext
from worker.attempt.outcome import AttemptOutcome
from worker.attempt.retry_policy import ShedError
from worker.engines.protocol import UnloadedError
from worker.event_writer import DuplicateError, EndedError
from worker.pipeline.stage import StageFullError
from worker.shutdown import HandedOverError

LOGGER = logging.getLogger(__name__)

LOST = {
    "code": "server_error",
    "message": "The answer was lost by a failure of the server. Please send the request again.",
}


async def answer(job: Job, delivery: ReceivedJob, *, services: AttemptContext) -> AttemptOutcome:
    """Bring a job's response to its end, or leave it to another attempt; return which.

    Raises
    ------
    EngineDeadError
        The engine cannot go on; another worker can.
    UnavailableError
        A service is away, and the worker drains.
    """
    try:
        if services.overdue(job):
            return await _fail_overdue(job, services)
        return await _attempt(job, delivery, services)
    except MissingResponseError:
        return await _fail_lost(job, delivery, services)
    except EndedError:
        return AttemptOutcome.CANCELLED
    except DuplicateError:
        return AttemptOutcome.DUPLICATE
    except FencedError:
        return AttemptOutcome.FENCED
    except HandedOverError:
        return AttemptOutcome.RELEASED
    except UnloadedError as unloaded:
        LOGGER.info("%s released: %s", job.response_id, unloaded)
        return AttemptOutcome.RELEASED
    except UnavailableError:
        if services.shutdown.draining.is_set():
            raise
        return await _fail_overdue(job, services)


async def _attempt(job: Job, delivery: ReceivedJob, services: AttemptContext) -> AttemptOutcome:
    try:
        status = await attempt(
            job,
            services,
            untouched=delivery.receive_count == 1,
            message_id=delivery.message_id,
            receives=delivery.receive_count,
        )
    except StageFullError as full:
        services.metrics.turned_away(full.stage, "released")
        return AttemptOutcome.DELAYED
    except ShedError as shed:
        LOGGER.info("%s failed: %s", job.response_id, shed)
        services.metrics.turned_away(shed.stage, shed.reason)
        return AttemptOutcome.SHED
    return AttemptOutcome.FAILED if status is Status.FAILED else AttemptOutcome.COMPLETED


async def _fail_overdue(job: Job, services: AttemptContext) -> AttemptOutcome:
    LOGGER.warning("%s is past its deadline", job.response_id)
    retry = RetryPolicy(stop=services.shutdown.draining)
    await retry.run(lambda: services.terminator.end(job.response_id, Status.FAILED, error=OVERDUE))
    return AttemptOutcome.OVERDUE


async def _fail_lost(job: Job, delivery: ReceivedJob, services: AttemptContext) -> AttemptOutcome:
    """Valkey has lost the log, and with it what the client has got: none can go on."""
    if services.overdue(job):
        LOGGER.warning("%s is lost and past its deadline", job.response_id)
        return AttemptOutcome.OVERDUE
    if await _has_ended(job, services):
        return AttemptOutcome.CANCELLED
    event_writer = services.event_writer(job, message_id=delivery.message_id)
    transcript = job.transcript()
    failed = await event_writer.fail_lost(transcript, LOST)
    if failed is None:
        return AttemptOutcome.FENCED
    finished = FinishedResponse(
        job=job,
        response=transcript.response,
        event=failed,
        epoch=event_writer.epoch,
        status=Status.FAILED,
    )
    await services.finisher.store(finished, retry=services.retry_policy(job))
    return AttemptOutcome.FAILED


async def _has_ended(job: Job, services: AttemptContext) -> bool:
    """Whether the history has an end of it: the client may have been told of that one."""
    try:
        turns = await services.conversations.chain(
            job.response_id, tenant_id=job.tenant_id, connection_id=job.connection_id
        )
    except UnavailableError:
        return False
    return turns is not None
