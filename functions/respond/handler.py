"""``$default``: a client's message. A refusal is answered at once, by the route response."""

import os
from typing import Any

from axon.adapters.composition import response_service
from axon.adapters.observability.function_logs import function_logger
from axon.adapters.observability.telemetry import Telemetry
from axon.adapters.postgres.stores import PostgresApiKeyStore
from axon.adapters.valkey.api_keys import ValkeyOpenConnections
from axon.exceptions import (
    ConnectionFullError,
    HistoryPendingError,
    RequestError,
    TenantFullError,
    UnavailableError,
)
from axon.lambdas import Event, run, trace_header
from axon.protocol.errors import error_event
from axon.protocol.messages import parse_object
from axon.protocol.objects import deleted_event
from axon.protocol.requests import (
    CancelResponse,
    CreateResponse,
    DeleteResponse,
    ResumeResponse,
    parse_event,
    stream_id_of,
)
from axon.serialization import dumps
from axon.settings import RespondSettings
from axon.tenants.principal import Principal
from axon.tenants.revocation import KeyCheck

logger = function_logger("respond")
TELEMETRY = Telemetry(service="respond")
SETTINGS = RespondSettings.from_environ(os.environ)
BACKEND = response_service(SETTINGS, trace_header=trace_header)
SERVICE = BACKEND.service
KEY_CHECK = KeyCheck(
    connections=ValkeyOpenConnections(valkey=BACKEND.valkey),
    store=PostgresApiKeyStore(pool=BACKEND.pool),
)


@TELEMETRY.traced
def handler(event: Event, _context: object) -> dict[str, Any]:
    """Handle one message; answer every failure with an error event."""
    stream_id = None
    try:
        value = parse_object(event.get("body") or "")
        stream_id = stream_id_of(value)
        response_id, answer = run(_respond(value, event["requestContext"]))
    except (RequestError, HistoryPendingError, TenantFullError, ConnectionFullError) as error:
        return _refuse(error, stream_id)
    except UnavailableError as error:
        # Without a traceback: while a service is away there are many of them.
        logger.warning("message refused: %s", error)
        return _refuse(error, stream_id)
    except Exception as error:
        logger.exception("message failed")
        return _refuse(error, stream_id)
    if response_id is not None:
        TELEMETRY.count("accepted")
        TELEMETRY.annotate(response_id=response_id)
    return {"statusCode": 200} | ({} if answer is None else {"body": dumps(answer).decode()})


async def _respond(
    value: dict[str, Any], context: dict[str, Any]
) -> tuple[str | None, dict[str, Any] | None]:
    """Do what the message asks for.

    Return the id of the response that it created, and the event to answer with, if any.
    """
    request = parse_event(value)
    principal = Principal.from_context(context["authorizer"])
    connection_id = context["connectionId"]
    await KEY_CHECK.require_valid(principal, connection_id=connection_id)
    match request:
        case CreateResponse():
            made = await SERVICE.submit(request, principal=principal, connection_id=connection_id)
            return made, None
        case ResumeResponse():
            await SERVICE.resume(request, principal=principal, connection_id=connection_id)
        case CancelResponse():
            answer = await SERVICE.cancel(request, principal=principal, connection_id=connection_id)
            return None, answer
        case DeleteResponse():
            await SERVICE.delete(request, principal=principal)
            return None, deleted_event(request.response_id, stream_id=request.stream_id)
    return None, None


def _refuse(error: Exception, stream_id: str | None) -> dict[str, Any]:
    event = error_event(error, stream_id=stream_id)
    TELEMETRY.count("refused", code=event["code"])
    return {"statusCode": 200, "body": dumps(event).decode()}
