"""Chat Completions, and the older Completions: views of the Responses API."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from aiohttp import web

from axon.event_log.log import LoggedEvent
from axon.protocol.chat import request as chat_request
from axon.protocol.chat import result as chat_result
from axon.protocol.chat.choices import ChoiceStreams, completion_of_all, requests_of
from axon.protocol.chat.errors import chat_error, check_answered
from axon.protocol.chat.request import ChatRequest, CompletionRequest
from axon.protocol.chat.stream import ChatStream
from axon.protocol.completions import request as text_request
from axon.protocol.completions import view as text_view
from axon.protocol.completions.request import TextRequest
from axon.protocol.completions.view import TextStream
from axon.protocol.objects import Json
from axon.protocol.view_requests import ViewRequest
from axon.serialization import dumps, loads
from front.context import FrontContext
from front.errors import OPENAI, ErrorShape
from front.merging import merged
from front.operations import chat as described
from front.requests import add_idempotency_key
from front.routing import Call, Route, json_answer
from front.sse import server_sent
from front.views import all_ended, begun_response, streamed

Request = TypeVar("Request", bound=CompletionRequest)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View(Generic[Request]):
    """One API: the pure translators of its requests, answers and errors.

    Parameters
    ----------
    parse : Callable[[Json], Request]
        Validates a body.
    to_create_response : Callable[[Request], ViewRequest]
        Makes the Responses request that says the same.
    stream : type[ChatStream] | type[TextStream]
        Makes chunks from events.
    completion_of : Callable[[Json], Json]
        Makes the whole answer from the ended response.
    errors : ErrorShape
        The shape of its errors.
    emptied : Mapping[str, Any]
        Replaces what of a request may be long, once it is translated.
    """

    parse: Callable[[Json], Request]
    to_create_response: Callable[[Request], ViewRequest]
    stream: type[ChatStream] | type[TextStream]
    completion_of: Callable[[Json], Json]
    errors: ErrorShape
    emptied: Mapping[str, Any]


_CHAT: _View[ChatRequest] = _View(
    parse=chat_request.parse_chat,
    to_create_response=chat_request.to_create_response,
    stream=ChatStream,
    completion_of=chat_result.completion_of,
    errors=replace(OPENAI, of=chat_error),
    emptied={"messages": []},
)
_TEXT: _View[TextRequest] = _View(
    parse=text_request.parse_text,
    to_create_response=text_request.to_create_response,
    stream=TextStream,
    completion_of=text_view.completion_of,
    errors=replace(OPENAI, of=text_view.text_error),
    emptied={"prompt": ""},
)


def routes(context: FrontContext) -> Sequence[Route]:
    """Return the routes of Chat Completions and Completions."""
    return (
        Route(
            method="POST",
            path="/v1/chat/completions",
            operation=described.CHAT,
            endpoint=_Endpoint(context, _CHAT).create,
            errors=_CHAT.errors,
            opens=True,
        ),
        Route(
            method="POST",
            path="/v1/completions",
            operation=described.TEXT,
            endpoint=_Endpoint(context, _TEXT).create,
            errors=_TEXT.errors,
            opens=True,
        ),
    )


class _Endpoint(Generic[Request]):
    """The endpoint of one view, over the parts of a front."""

    def __init__(self, context: FrontContext, view: _View[Request]) -> None:
        self._context = context
        self._view = view

    async def create(self, call: Call) -> web.StreamResponse:
        """Accept a request; answer with its completion, or with the chunks of it as they come."""

        def asked(body: Json) -> tuple[Request, list[ViewRequest]]:
            add_idempotency_key(body, call.request)
            request = self._view.parse(body)
            accepted = requests_of(self._view.to_create_response(request), request.choices)
            return request.model_copy(update=self._view.emptied), accepted

        request, accepted = await self._context.bodies.parsed(call.request, asked, room=call.room)
        # These APIs cannot resume an answer. But a client with an idempotency key that sends its
        # request again gets the same one, from the beginning: it has the time of a resume.
        at_once = request.idempotency_key is None
        opened = self._opened(call, accepted, cancel_on_leave=at_once)
        del accepted
        async with opened as events:
            call.room.release()
            if request.stream:
                return await self._stream(call, events, request)
            responses = await all_ended(events, check_answered=check_answered)
        return json_answer(completion_of_all(responses, self._view.completion_of))

    @asynccontextmanager
    async def _opened(
        self, call: Call, requests: list[ViewRequest], *, cancel_on_leave: bool
    ) -> AsyncIterator[AsyncIterator[tuple[int, LoggedEvent]]]:
        """Submit the requests of all choices; give the events of their responses, merged.

        If one of them is refused, or the client leaves, all are left. The list is emptied.
        """
        async with AsyncExitStack() as stack:
            followed = []
            while requests:
                begun = begun_response(
                    self._context, call, requests.pop(0), cancel_on_leave=cancel_on_leave
                )
                followed.append(await stack.enter_async_context(begun))
            yield await stack.enter_async_context(aclosing(merged(followed)))

    async def _stream(
        self, call: Call, events: AsyncIterator[tuple[int, LoggedEvent]], request: Request
    ) -> web.StreamResponse:
        usage = request.include_usage
        choices = range(request.choices)
        stream = ChoiceStreams([self._view.stream(include_usage=usage, index=i) for i in choices])

        def feed(choice: tuple[int, LoggedEvent]) -> bytes:
            index, event = choice
            return b"".join(map(server_sent, stream.feed(index, loads(event.data))))

        return await streamed(call, events, feed=feed, error=self._error_text)

    def _error_text(self, error: Exception) -> bytes:
        _, body = self._view.errors.of(error)
        return server_sent(dumps(body))
