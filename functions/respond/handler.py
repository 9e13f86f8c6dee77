"""``$default``: a client's message. What is refused is answered at once, by the route response."""

import os
from typing import Any

from aws_lambda_powertools import Logger

from axon.adapters.aws.sqs import SqsHistorySender, SqsJobSender
from axon.adapters.composition import event_log, sqs_api, workers
from axon.adapters.observability.telemetry import Telemetry
from axon.adapters.postgres.pool import create_pool
from axon.adapters.postgres.stores import PostgresTurnStore
from axon.adapters.valkey.caches import ValkeyTurnCache
from axon.adapters.valkey.client import create_valkey
from axon.conversations import Conversations
from axon.exceptions import RequestError
from axon.lambdas import Event, run, trace_header
from axon.protocol.errors import error_event
from axon.protocol.requests import (
    CancelResponse,
    CreateResponse,
    ResumeResponse,
    parse_event,
    parse_object,
    stream_id_of,
)
from axon.responses.finisher import ResponseFinisher
from axon.responses.service import ResponseService
from axon.responses.terminator import ResponseTerminator
from axon.serialization import dumps
from axon.settings import RespondSettings
from axon.tenants.principal import Principal

LOGGER = Logger(service="respond")
TELEMETRY = Telemetry(service="respond")
SETTINGS = RespondSettings.from_environ(os.environ)
VALKEY = create_valkey(SETTINGS)
LOG = event_log(SETTINGS, valkey=VALKEY, models=SETTINGS.models)
HISTORY = SqsHistorySender(
    api=sqs_api(SETTINGS.history_queue_url, region=SETTINGS.aws_region), trace_header=trace_header
)
TURNS = ValkeyTurnCache(valkey=VALKEY, ttl_s=SETTINGS.conversation_cache_s)
FINISHER = ResponseFinisher(history=HISTORY, turns=TURNS)
ENDER = ResponseTerminator(event_log=LOG, finisher=FINISHER)
SERVICE = ResponseService(
    event_log=LOG,
    conversations=Conversations(
        cache=TURNS, database=PostgresTurnStore(pool=create_pool(SETTINGS, max_size=1))
    ),
    jobs=SqsJobSender(
        api=sqs_api(SETTINGS.jobs_queue_url, region=SETTINGS.aws_region), trace_header=trace_header
    ),
    finisher=FINISHER,
    terminator=ENDER,
    workers=workers(SETTINGS, valkey=VALKEY),
    aliases=SETTINGS.model_aliases,
)


@TELEMETRY.traced
def handler(event: Event, _context: object) -> dict[str, Any]:
    """Handle one message; whatever happens, the client is told."""
    stream_id = None
    try:
        value = parse_object(event.get("body") or "")
        stream_id = stream_id_of(value)
        response_id = run(_respond(value, event["requestContext"]))
    except RequestError as error:
        return _refuse(error, stream_id)
    except Exception as error:
        LOGGER.exception("message failed")
        return _refuse(error, stream_id)
    if response_id is not None:
        TELEMETRY.count("accepted")
        TELEMETRY.annotate(response_id=response_id)
    return {"statusCode": 200}


async def _respond(value: dict[str, Any], context: dict[str, Any]) -> str | None:
    """Do what the message asks for; return the id of a response that it began."""
    request = parse_event(value)
    principal = Principal.from_context(context["authorizer"])
    connection_id = context["connectionId"]
    match request:
        case CreateResponse():
            return await SERVICE.submit(request, principal=principal, connection_id=connection_id)
        case ResumeResponse():
            await SERVICE.resume(request, principal=principal, connection_id=connection_id)
        case CancelResponse():
            await SERVICE.cancel(request, principal=principal)
    return None


def _refuse(error: Exception, stream_id: str | None) -> dict[str, Any]:
    event = error_event(error, stream_id=stream_id)
    TELEMETRY.count("refused", code=event["code"])
    return {"statusCode": 200, "body": dumps(event).decode()}
