"""Chat Completions: ``POST /v1/chat/completions``, a view of the Responses API."""

from collections.abc import AsyncGenerator, AsyncIterator

from aiohttp import web

from axon.event_log.log import LoggedEvent
from axon.exceptions import UnavailableError
from axon.protocol.chat.errors import chat_error, check_answered
from axon.protocol.chat.request import parse_chat, to_create_response
from axon.protocol.chat.result import completion_of
from axon.protocol.chat.stream import ChatStream
from axon.protocol.requests import CreateResponse
from axon.serialization import dumps, loads
from front.beginning import begun
from front.context import FrontContext
from front.requests import idempotency_key_of, read_json
from front.routing import Call, add_route, json_answer
from front.sse import EventStream

_PATH = "/v1/chat/completions"
BEGINNING_S = 10.0
"""Seconds for which the headers of a stream wait for its first chunk: so an early failure has an
HTTP status. Shorter than the silence that balancers and clients allow (60 s), since the comments of
a stream begin with its headers."""


def add_routes(application: web.Application, context: FrontContext) -> None:
    """Add the route of Chat Completions."""
    routes = _ChatRoutes(context)
    add_route(application, context, "POST", _PATH, routes.create, errors=chat_error)


class _ChatRoutes:
    """The endpoint, over the parts of a front."""

    def __init__(self, context: FrontContext) -> None:
        self._context = context

    async def create(self, call: Call) -> web.StreamResponse:
        """Accept a request; answer with its completion, or with the chunks of it as they come."""
        body = await read_json(call.request, max_bytes=self._context.max_body_bytes)
        if key := idempotency_key_of(call.request):
            body["idempotency_key"] = key
        request = parse_chat(body)
        opened = self._context.reader.open(
            await self._submit(to_create_response(request), call),
            tenant_id=call.principal.tenant_id,
            # This API cannot resume an answer. But a client with an idempotency key that sends its
            # request again gets the same one, from the beginning: it has the time of a resumption.
            cancel_on_leave=request.idempotency_key is None,
        )
        async with opened as events:
            if request.stream:
                return await _stream(call, events, include_usage=request.include_usage)
            return await _whole(events)

    async def _submit(self, request: CreateResponse, call: Call) -> str:
        response_id = await self._context.service.submit(
            request, principal=call.principal, connection_id=""
        )
        if response_id is None:  # only a connection can be gone
            raise UnavailableError("the response was not accepted")
        return response_id


async def _whole(events: AsyncIterator[LoggedEvent]) -> web.StreamResponse:
    async for event in events:
        last = event
    response = loads(last.data)["response"]
    check_answered(response)
    return json_answer(completion_of(response))


async def _stream(
    call: Call, events: AsyncIterator[LoggedEvent], *, include_usage: bool
) -> web.StreamResponse:
    texts = _texts(events, ChatStream(include_usage=include_usage))
    async with (
        begun(texts, within_s=BEGINNING_S) as begun_texts,
        EventStream(call.request, error=_error_text) as stream,
    ):
        async for text in begun_texts:
            await stream.write(text)
    return stream.response


async def _texts(
    events: AsyncIterator[LoggedEvent], stream: ChatStream
) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of each event that has any, as text of the stream."""
    async for event in events:
        if chunks := stream.feed(loads(event.data)):
            yield b"".join(map(_server_sent, chunks))


def _error_text(error: Exception) -> bytes:
    _, body = chat_error(error)
    return _server_sent(dumps(body))


def _server_sent(data: bytes) -> bytes:
    return b"data: %b\n\n" % data
