"""The jobs' dead-letter queue: fails the response of each message, then parks the message."""

import asyncio
import os
from typing import Any

from axon.adapters.aws.sqs import ParkedDeadLetter, SqsParking
from axon.adapters.composition import event_log, sqs_api, terminator
from axon.adapters.observability.function_logs import function_logger
from axon.adapters.observability.telemetry import Telemetry
from axon.adapters.valkey.client import create_valkey
from axon.event_log.log import Status
from axon.formats import UnreadableError
from axon.jobs import Job, response_id_in
from axon.lambdas import Event, run
from axon.settings import DeadLetterSettings

logger = function_logger("dead_letter")
TELEMETRY = Telemetry(service="dead_letter")
SETTINGS = DeadLetterSettings.from_environ(os.environ)
VALKEY = create_valkey(SETTINGS)
LOG = event_log(SETTINGS, valkey=VALKEY)
TERMINATOR = terminator(
    SETTINGS,
    valkey=VALKEY,
    log=LOG,
    history=sqs_api(SETTINGS.history_queue_url, region=SETTINGS.aws_region),
)
PARKING = SqsParking(api=sqs_api(SETTINGS.parked_queue_url, region=SETTINGS.aws_region))

GAVE_UP = {"code": "server_error", "message": "The request failed repeatedly and was given up."}


@TELEMETRY.traced
def handler(event: Event, _context: object) -> dict[str, Any]:
    """Handle each dead letter; one that could not be handled is received again."""
    messages = event["Records"]
    served = run(_handle_all(messages))
    failed = [
        {"itemIdentifier": message["messageId"]}
        for message, done in zip(messages, served, strict=True)
        if not done
    ]
    TELEMETRY.count("dead_letters", len(messages) - len(failed))
    return {"batchItemFailures": failed}


async def _handle_all(messages: list[dict[str, Any]]) -> list[bool]:
    return await asyncio.gather(*map(_handle, messages))


async def _handle(message: dict[str, Any]) -> bool:
    """Fail the response, then park the message; both may be repeated without harm."""
    try:
        response_id, why = await _fail(message["body"])
        parked = ParkedDeadLetter(
            message_id=message["messageId"],
            body=message["body"],
            why=why,
            # This function's own receive is not an attempt.
            attempts=int(message["attributes"]["ApproximateReceiveCount"]) - 1,
            response_id=response_id,
        )
        await PARKING.park(parked)
    except Exception:
        logger.exception(
            "could not handle a dead letter", extra={"message_id": message["messageId"]}
        )
        return False
    return True


async def _fail(body: str) -> tuple[str | None, str]:
    """Fail the response of a dead letter; return its id, if it has one, and the reason."""
    unreadable = _unreadable(body)
    response_id = response_id_in(body)
    if response_id is None:
        return None, unreadable or "not a job: its response has no valid id"
    meta = await LOG.describe(response_id)
    await TERMINATOR.end(response_id, Status.FAILED, error=GAVE_UP)
    if unreadable:
        return response_id, unreadable
    if meta is None:
        return response_id, "failed repeatedly; nobody could be told"
    if meta.status.terminal and meta.status is not Status.FAILED:
        return response_id, f"received repeatedly, though its response is {meta.status}"
    return response_id, "failed repeatedly"


def _unreadable(body: str) -> str | None:
    """Return why a dead letter cannot be read; None if it can."""
    try:
        Job.decode(body)
    except UnreadableError as error:
        TELEMETRY.count("unreadable", format=error.format.value)
        return f"not a job: {error.reason}"
    return None
