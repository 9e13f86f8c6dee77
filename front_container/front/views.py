"""Answers made of a response: of the Responses API, and of the APIs that are views of it."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web

from axon.event_log.log import LoggedEvent
from axon.event_log.merger import TERMINAL
from axon.exceptions import RequestError, UnavailableError
from axon.protocol.objects import Json
from axon.protocol.requests import CreateResponse
from axon.protocol.view_requests import ViewRequest
from axon.serialization import loads
from front.beginning import begun
from front.context import FrontContext
from front.routing import Call
from front.sse import EventStream

T = TypeVar("T")

BEGINNING_S = 10.0
"""Seconds for which the headers of a stream wait for its first event: so an early failure has an
HTTP status. Shorter than the silence that balancers and clients allow (60 s), since the comments of
a stream begin with its headers."""


@asynccontextmanager
async def begun_response(
    context: FrontContext, call: Call, request: CreateResponse, *, cancel_on_leave: bool = False
) -> AsyncIterator[AsyncIterator[LoggedEvent]]:
    """Accept a request of the Responses API; give its response's events.

    The request is forgotten when it is accepted: it may be long, and so may be the answer. A caller
    that keeps no reference to it releases its memory (`Call.room`).

    With `cancel_on_leave`, as of `ResponseReader.open`, a client that leaves before the response
    is accepted has it cancelled as soon as its id is known.

    Raises
    ------
    RequestError, UnavailableError
        As `axon.responses.service.ResponseService.submit`.
    """
    reader, principal = context.reader, call.principal
    with reader.expected() as expected:
        submitting = context.service.submit(
            request, principal=principal, response_id=expected.response_id
        )
        del request
        response_id = await (reader.submitted(submitting) if cancel_on_leave else submitting)
        if response_id is None:  # only a connection can be gone
            raise UnavailableError("the response was not accepted")
        opened = reader.open(
            response_id, principal=principal, cancel_on_leave=cancel_on_leave, expected=expected
        )
        async with opened as events:
            yield events


async def counted(
    context: FrontContext,
    call: Call,
    request: ViewRequest,
    *,
    check_answered: Callable[[Json], None],
) -> int:
    """Return the tokens of a prompt, as a worker has counted them.

    Parameters
    ----------
    context, call
        The front's parts, and the HTTP request.
    request : ViewRequest
        Counts alone (`axon.protocol.view_requests.to_count`). The caller keeps no reference to it.
    check_answered : Callable[[Json], None]
        Raises the API's error for a response that has failed.

    Raises
    ------
    RequestError
        The tokens are not known.
    """
    model = request.model
    answer = answered(context, call, request, check_answered=check_answered)
    del request
    response = await answer
    if response["usage"] is None:  # a worker of the version before has generated, and does not know
        raise RequestError(
            f"Tokens cannot be counted for the model '{model}'. Read the `usage` of an answer.",
            code="unsupported_parameter",
            param="model",
        )
    tokens: int = response["usage"]["input_tokens"]
    return tokens


async def answered(
    context: FrontContext,
    call: Call,
    request: CreateResponse,
    *,
    check_answered: Callable[[Json], None],
    keeps_request: bool = False,
) -> Json:
    """Return the response to a request that the client does not know of, when it has ended.

    Parameters
    ----------
    context, call, request, check_answered
        As of `counted`.
    keeps_request : bool
        The caller needs the request until then, so its memory stays counted.
    """
    begun = begun_response(context, call, request, cancel_on_leave=True)
    del request
    async with begun as events:
        if not keeps_request:
            call.room.release()
        response = await ended(events)
    check_answered(response)
    return response


async def ended(events: AsyncIterator[LoggedEvent]) -> Json:
    """Wait for a response's end; return the response as its terminal event shows it."""
    async for event in events:
        last = event
    response: Json = loads(last.data)["response"]
    return response


async def all_ended(
    events: AsyncIterator[tuple[int, LoggedEvent]], *, check_answered: Callable[[Json], None]
) -> list[Json]:
    """Wait for the ends of merged responses (`front.merging`); return them in their order.

    `check_answered` raises the error of the first one that ends without an answer to show.
    """
    responses: dict[int, Json] = {}
    async for index, event in events:
        if event.data.startswith(TERMINAL):
            response = loads(event.data)["response"]
            check_answered(response)
            responses[index] = response
    return [responses[index] for index in sorted(responses)]


async def streamed(
    call: Call,
    events: AsyncIterator[T],
    *,
    feed: Callable[[T], bytes],
    error: Callable[[Exception], bytes],
) -> web.StreamResponse:
    """Answer with a stream that is made of the events of a response, or of several.

    Parameters
    ----------
    call : Call
        The request to answer.
    events : AsyncIterator[T]
        The events.
    feed : Callable[[T], bytes]
        Returns what follows from the next event, as text of the stream; empty for most that show
        nothing. It raises `RequestError` for a response that has ended without an answer.
    error : Callable[[Exception], bytes]
        Returns the event of an error, as text of the stream.
    """
    async with (
        begun(_texts(events, feed), within_s=BEGINNING_S) as texts,
        EventStream(call.request, error=error) as stream,
    ):
        async for text in texts:
            await stream.write(text)
    return stream.response


async def _texts(
    events: AsyncIterator[T], feed: Callable[[T], bytes]
) -> AsyncGenerator[bytes, None]:
    async for event in events:
        if text := feed(event):
            yield text
