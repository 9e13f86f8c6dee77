"""Answering a job: what an attempt at it comes to, and what happens when none is worth while."""

import logging

from axon.endings import OVERDUE
from axon.event_log import Status
from axon.exceptions import FencedError, MissingResponseError, UnavailableError
from axon.jobs import Delivery, Job
from worker.attempt import attempt
from worker.engines.protocol import UnloadedError
from worker.logbook import DuplicateError, EndedError
from worker.metrics import Outcome
from worker.overload import ShedError
from worker.patience import Patience
from worker.pipeline.stage import StageFullError
from worker.services import Services
from worker.shutdown import HandedOverError

LOGGER = logging.getLogger(__name__)

LOST = {
    "code": "server_error",
    "message": "The answer was lost by a failure of the server. Please send the request again.",
}


async def answer(job: Job, delivery: Delivery, *, services: Services) -> Outcome:
    """Bring a job's response to its end, or leave it to another attempt; return which.

    Raises
    ------
    EngineDeadError : the engine cannot go on; another worker can.
    UnavailableError : a service is away, and the worker drains.
    """
    try:
        if services.overdue(job):
            return await _fail_overdue(job, services)
        return await _attempt(job, delivery, services)
    except MissingResponseError:
        return await _fail_lost(job, delivery, services)
    except EndedError:
        return Outcome.CANCELLED
    except DuplicateError:
        return Outcome.DUPLICATE
    except FencedError:
        return Outcome.FENCED
    except HandedOverError:
        return Outcome.RELEASED
    except UnloadedError as unloaded:
        LOGGER.info("%s released: %s", job.response_id, unloaded)
        return Outcome.RELEASED
    except UnavailableError:
        if services.shutdown.draining.is_set():
            raise
        return await _fail_overdue(job, services)


async def _attempt(job: Job, delivery: Delivery, services: Services) -> Outcome:
    try:
        status = await attempt(
            job,
            services,
            untouched=delivery.attempts == 1,
            message_id=delivery.message_id,
            receives=delivery.attempts,
        )
    except StageFullError as full:
        services.metrics.turned_away(full.stage, "released")
        return Outcome.DELAYED
    except ShedError as shed:
        LOGGER.info("%s failed: %s", job.response_id, shed)
        services.metrics.turned_away(shed.stage, shed.reason)
        return Outcome.SHED
    return Outcome.FAILED if status is Status.FAILED else Outcome.COMPLETED


async def _fail_overdue(job: Job, services: Services) -> Outcome:
    LOGGER.warning("%s is past its deadline", job.response_id)
    patience = Patience(exhausted=services.shutdown.draining)
    await patience.insist(lambda: services.ender.end(job.response_id, Status.FAILED, error=OVERDUE))
    return Outcome.OVERDUE


async def _fail_lost(job: Job, delivery: Delivery, services: Services) -> Outcome:
    """Valkey has lost the log, and with it what the client has got: none can go on."""
    if services.overdue(job):
        LOGGER.warning("%s is lost and past its deadline", job.response_id)
        return Outcome.OVERDUE
    if await _has_ended(job, services):
        return Outcome.CANCELLED
    logbook = services.logbook(job, message_id=delivery.message_id)
    transcript = job.transcript()
    failed = await logbook.fail_lost(transcript, LOST)
    if failed is None:
        return Outcome.FENCED
    await services.keep(job, transcript.response, epoch=logbook.epoch, last=failed)
    return Outcome.FAILED


async def _has_ended(job: Job, services: Services) -> bool:
    """Whether the history has an end of it: the client may have been told of that one."""
    try:
        turns = await services.conversations.chain(
            job.response_id, tenant_id=job.tenant_id, connection_id=job.connection_id
        )
    except UnavailableError:
        return False
    return turns is not None
