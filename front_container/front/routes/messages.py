"""Anthropic's Messages API: ``POST /v1/messages``, a view of the Responses API."""

from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from axon.event_log.log import LoggedEvent
from axon.protocol.anthropic.errors import check_answered
from axon.protocol.anthropic.request import (
    CountTokens,
    CreateMessage,
    parse_message,
    to_create_response,
)
from axon.protocol.anthropic.result import message_of
from axon.protocol.anthropic.stream import MessageEvent, MessageStream, error_event
from axon.protocol.objects import Json
from axon.protocol.view_requests import ViewRequest, to_count
from axon.serialization import loads
from front.context import FrontContext
from front.errors import MESSAGES
from front.operations import messages as described
from front.requests import add_idempotency_key, request_id_of
from front.routing import Call, Route, json_answer
from front.sse import server_sent
from front.views import begun_response, counted, ended, streamed

_PATH = "/v1/messages"


def routes(context: FrontContext) -> Sequence[Route]:
    """Return the routes of the Messages API."""
    endpoints = _MessageRoutes(context)
    return (
        Route(
            method="POST",
            path=_PATH,
            operation=described.CREATE,
            endpoint=endpoints.create,
            opens=True,
            errors=MESSAGES,
        ),
        Route(
            method="POST",
            path=_PATH + "/count_tokens",
            operation=described.COUNT_TOKENS,
            endpoint=endpoints.count_tokens,
            errors=MESSAGES,
        ),
    )


class _MessageRoutes:
    """The endpoints, over the parts of a front."""

    def __init__(self, context: FrontContext) -> None:
        self._context = context

    async def create(self, call: Call) -> web.StreamResponse:
        """Accept a request; answer with its message, or with the events of it as they come."""

        def asked(body: Json) -> tuple[CreateMessage, ViewRequest]:
            add_idempotency_key(body, call.request)
            request = parse_message(body)
            accepted = to_create_response(request)
            # What is needed later: not the conversation.
            return request.model_copy(update={"messages": [], "system": None}), accepted

        request, accepted = await self._context.bodies.parsed(call.request, asked, room=call.room)
        # This API cannot resume an answer. But a client with an idempotency key that sends its
        # request again gets the same one, from the beginning: it has the time of a resumption.
        at_once = request.idempotency_key is None
        begun = begun_response(self._context, call, accepted, cancel_on_leave=at_once)
        del accepted
        async with begun as events:
            call.room.release()
            if request.stream:
                return await _stream(call, events, thinking=request.shows_thinking)
            response = await ended(events)
        return json_answer(message_of(response, thinking=request.shows_thinking))

    async def count_tokens(self, call: Call) -> web.StreamResponse:
        """Answer with the tokens that a message's prompt would have."""

        def asked(body: Json) -> ViewRequest:
            return to_count(to_create_response(parse_message(body, CountTokens)))

        tokens = await counted(
            self._context,
            call,
            await self._context.bodies.parsed(call.request, asked, room=call.room),
            check_answered=check_answered,
        )
        return json_answer({"input_tokens": tokens})


async def _stream(
    call: Call, events: AsyncIterator[LoggedEvent], *, thinking: bool
) -> web.StreamResponse:
    """Answer with the events of a message."""
    stream, request_id = MessageStream(thinking=thinking), request_id_of(call.request)

    def feed(event: LoggedEvent) -> bytes:
        return b"".join(map(_server_sent, stream.feed(loads(event.data))))

    def failed(error: Exception) -> bytes:
        return _server_sent(error_event(error, request_id=request_id))

    return await streamed(call, events, feed=feed, error=failed)


def _server_sent(event: MessageEvent) -> bytes:
    return server_sent(event.data, name=event.name.encode())
