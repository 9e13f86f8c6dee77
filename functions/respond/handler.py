"""``$default``: a client's message. What is refused is answered at once, by the route response."""

import os
from typing import Any

from aws_lambda_powertools import Logger

from axon.adapters.composition import event_log, sqs_api
from axon.adapters.postgres import create_pool
from axon.adapters.postgres_stores import PostgresTurnStore
from axon.adapters.secrets import postgres_dsn
from axon.adapters.sqs import SqsHistorySender, SqsJobSender
from axon.adapters.valkey import Valkey
from axon.adapters.valkey_caches import ValkeyTurnCache
from axon.conversations import Conversations
from axon.exceptions import RequestError
from axon.lambdas import Event, run
from axon.protocol.errors import error_frame
from axon.protocol.requests import CreateResponse, parse_event, parse_object, stream_id_of
from axon.responses import ResponseEnder, ResponseService
from axon.settings import RespondSettings

LOGGER = Logger(service="respond")
SETTINGS = RespondSettings.from_environ(os.environ)
VALKEY = Valkey(SETTINGS.valkey_url)
LOG = event_log(SETTINGS, valkey=VALKEY)
HISTORY = SqsHistorySender(api=sqs_api(SETTINGS.history_queue_url, region=SETTINGS.aws_region))
ENDER = ResponseEnder(event_log=LOG, history=HISTORY)
SERVICE = ResponseService(
    event_log=LOG,
    conversations=Conversations(
        cache=ValkeyTurnCache(valkey=VALKEY, ttl_s=SETTINGS.conversation_cache_s),
        database=PostgresTurnStore(pool=create_pool(postgres_dsn(SETTINGS), max_size=1)),
    ),
    jobs=SqsJobSender(api=sqs_api(SETTINGS.jobs_queue_url, region=SETTINGS.aws_region)),
    history=HISTORY,
    ender=ENDER,
)


def handler(event: Event, _context: object) -> dict[str, Any]:
    """Handle one message; whatever happens, the client is told."""
    stream_id = None
    try:
        value = parse_object(event.get("body") or "")
        stream_id = stream_id_of(value)
        run(_respond(value, event["requestContext"]))
    except RequestError as error:
        return _answer(error_frame(error, stream_id=stream_id))
    except Exception as error:
        LOGGER.exception("message failed")
        return _answer(error_frame(error, stream_id=stream_id))
    return {"statusCode": 200}


async def _respond(value: dict[str, Any], context: dict[str, Any]) -> None:
    request = parse_event(value)
    tenant_id = context["authorizer"]["tenant_id"]
    if isinstance(request, CreateResponse):
        await SERVICE.submit(request, tenant_id=tenant_id, connection_id=context["connectionId"])
    else:
        await ENDER.cancel(request.response_id, tenant_id=tenant_id)


def _answer(frame: bytes) -> dict[str, Any]:
    return {"statusCode": 200, "body": frame.decode()}
