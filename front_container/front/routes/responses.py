"""The Responses API: create, retrieve, follow, cancel, delete, input items, input tokens."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TypeVar

from aiohttp import web

from axon.event_log.log import LoggedEvent
from axon.exceptions import RequestError
from axon.ids import is_id
from axon.protocol.bodies import parse
from axon.protocol.chat.errors import check_answered, error_body
from axon.protocol.compaction import CompactRequest, compacted, summary_in
from axon.protocol.errors import error_event
from axon.protocol.objects import Json
from axon.protocol.requests import (
    CancelResponse,
    CreateResponse,
    DeleteResponse,
    parse_body,
)
from axon.protocol.sizes import json_bytes
from axon.protocol.view_requests import to_count
from axon.responses.references import ItemReferences, refers
from axon.responses.terminator import unknown_response
from axon.serialization import dumps
from front.context import FrontContext
from front.errors import OPENAI
from front.items import page_of
from front.memory import WIDE_COPIES
from front.operations import responses as described
from front.requests import add_idempotency_key
from front.routing import Call, Route, json_answer
from front.sse import EventStream, server_sent
from front.views import answered, begun_response, counted, ended

T = TypeVar("T")

_PATH = "/v1/responses"
_ONE = _PATH + "/{response_id}"
_FAILURES = replace(OPENAI, of=partial(error_body, names={}))
"""Errors of a route whose answer is no response, so that a response that fails is an error."""
_TYPE = b'{"type":"'
"""Beginning of each event in the log."""


def routes(context: FrontContext) -> Sequence[Route]:
    """Return the routes of the Responses API."""
    endpoints = _ResponseRoutes(context)
    return (
        Route(
            method="POST",
            path=_PATH,
            operation=described.CREATE,
            endpoint=endpoints.create,
            opens=True,
        ),
        Route(
            method="POST",
            path=_PATH + "/input_tokens",
            operation=described.INPUT_TOKENS,
            endpoint=endpoints.input_tokens,
            errors=_FAILURES,
        ),
        Route(
            method="POST",
            path=_PATH + "/compact",
            operation=described.COMPACT,
            endpoint=endpoints.compact,
            errors=_FAILURES,
        ),
        Route(
            method="GET",
            path=_ONE,
            operation=described.RETRIEVE,
            endpoint=endpoints.retrieve,
        ),
        Route(
            method="DELETE",
            path=_ONE,
            operation=described.DELETE,
            endpoint=endpoints.delete,
        ),
        Route(
            method="POST",
            path=_ONE + "/cancel",
            operation=described.CANCEL,
            endpoint=endpoints.cancel,
        ),
        Route(
            method="GET",
            path=_ONE + "/input_items",
            operation=described.INPUT_ITEMS,
            endpoint=endpoints.input_items,
        ),
    )


class _ResponseRoutes:
    """The endpoints, over the parts of a front."""

    def __init__(self, context: FrontContext) -> None:
        self._context = context
        self._references = ItemReferences(
            retrieval=context.retrieval, max_bytes=context.bodies.max_bytes
        )

    async def create(self, call: Call) -> web.StreamResponse:
        """Accept a request; answer with its response when that has ended, or with its events."""
        request, streams = await self._asked(call, partial(_request_of, call))
        begun = begun_response(self._context, call, request)
        del request
        async with begun as events:
            call.room.release()
            if streams:
                return await _write(call, events, after=-1)
            response = await ended(events)
        return json_answer(response)  # with 200 also if it has failed, as OpenAI

    async def retrieve(self, call: Call) -> web.StreamResponse:
        """Answer with a response as it is now, or with its events as they come."""
        response_id = _response_id(call)
        query = call.request.query
        described.INCLUDE.check(query)
        after = described.STARTING_AFTER.of(query)
        if not described.STREAM.of(query):
            return json_answer(await self._response(call, response_id))
        tenant_id = call.principal.tenant_id
        # Before the headers, since it decides about the status.
        stored = await self._context.retrieval.stored_events(
            response_id, tenant_id=tenant_id, after=after
        )
        if stored is not None:
            return await self._stream_stored(call, stored, after=after)
        return await self._stream(call, response_id, after=after)

    async def cancel(self, call: Call) -> web.StreamResponse:
        """Cancel a running response; answer with it."""
        response_id = _response_id(call)
        request = CancelResponse(type="response.cancel", response_id=response_id)
        await self._context.service.cancel(request, principal=call.principal, connection_id="")
        return json_answer(await self._response(call, response_id))

    async def delete(self, call: Call) -> web.StreamResponse:
        """Delete a response wherever it is kept."""
        response_id = _response_id(call)
        request = DeleteResponse(type="response.delete", response_id=response_id)
        await self._context.service.delete(request, principal=call.principal)
        return json_answer({"id": response_id, "object": "response", "deleted": True})

    async def input_items(self, call: Call) -> web.StreamResponse:
        """Answer with a page of the items that the response's request brought."""
        page = page_of(call.request.query)
        items = await self._context.retrieval.input_items(
            _response_id(call), tenant_id=call.principal.tenant_id
        )
        return json_answer(page.of(items))

    async def input_tokens(self, call: Call) -> web.StreamResponse:
        """Answer with the tokens that a request's prompt would have."""
        tokens = await counted(
            self._context,
            call,
            await self._asked(call, lambda body: to_count(parse_body(body))),
            check_answered=check_answered,
        )
        return json_answer({"object": "response.input_tokens", "input_tokens": tokens})

    async def compact(self, call: Call) -> web.StreamResponse:
        """Answer with the items that may take a conversation's place."""
        body = await self._asked(call, partial(parse, CompactRequest))
        answer = await answered(
            self._context,
            call,
            body.to_ask(),
            check_answered=check_answered,
            keeps_request=True,
        )
        summary = summary_in(answer)
        # Only now: a long conversation is not held in memory for the model's whole run.
        earlier = await self._context.retrieval.user_items_before(
            body.previous_response_id, tenant_id=call.principal.tenant_id
        )
        return json_answer(compacted([*earlier, *body.items], summary=summary, answer=answer))

    async def _asked(self, call: Call, make: Callable[[Json], T]) -> T:
        """Return what is made of a request's body, with items in place of references to them."""
        bodies = self._context.bodies

        def made(body: Json) -> tuple[T | None, Json]:
            return (None, body) if refers(body) else (make(body), {})

        asked, body = await bodies.parsed(call.request, made, room=call.room)
        if asked is not None:
            return asked
        body = await self._references.resolved(body, tenant_id=call.principal.tenant_id)
        size = await bodies.in_thread(partial(json_bytes, body))
        await call.room.hold_decoded(WIDE_COPIES * size)
        return await bodies.in_thread(partial(make, body))

    async def _response(self, call: Call, response_id: str) -> Json:
        return await self._context.retrieval.response(
            response_id, tenant_id=call.principal.tenant_id
        )

    async def _stream_stored(
        self, call: Call, stored: AsyncGenerator[LoggedEvent, None], *, after: int
    ) -> web.StreamResponse:
        """Answer with the events of a response that has ended long ago."""
        async with aclosing(stored):
            # Before the headers, as there may be too many that read such responses now.
            first = await anext(stored)
            return await _write(call, _with_first(first, stored), after=after)

    async def _stream(self, call: Call, response_id: str, *, after: int) -> web.StreamResponse:
        """Answer with the events of a response that the client has named."""
        opened = self._context.reader.open(
            response_id, principal=call.principal, after=after, named=True
        )
        async with opened as events:
            return await _write(call, events, after=after)


async def _write(
    call: Call, events: AsyncIterator[LoggedEvent], *, after: int
) -> web.StreamResponse:
    """Write events as the log has them; an error stands for the event that it keeps from coming."""

    def failed(error: Exception) -> bytes:
        return _event_text(dumps(error_event(error) | {"sequence_number": after + 1}))

    async with EventStream(call.request, error=failed) as stream:
        async for event in events:
            await stream.write(_event_text(event.data))
            after = event.sequence_number
    return stream.response


async def _with_first(
    first: LoggedEvent, others: AsyncIterator[LoggedEvent]
) -> AsyncIterator[LoggedEvent]:
    yield first
    async for event in others:
        yield event


def _event_text(data: bytes) -> bytes:
    """Return an event of the log as text of a stream: SDKs read its type from the event's name."""
    kind = data[len(_TYPE) : data.index(b'"', len(_TYPE))]
    return server_sent(data, name=kind)


def _request_of(call: Call, body: Json) -> tuple[CreateResponse, bool]:
    """Return the request, and whether its answer is streamed."""
    streams = _streams(body)
    add_idempotency_key(body, call.request)
    return parse_body(body), streams


def _streams(body: Json) -> bool:
    streams = body.get("stream")
    if not isinstance(streams, bool | None):
        raise RequestError(
            "Invalid 'stream': must be true or false.", code="invalid_value", param="stream"
        )
    return bool(streams)


def _response_id(call: Call) -> str:
    response_id = call.request.match_info["response_id"]
    if not is_id("resp", response_id):
        raise unknown_response(response_id)
    return response_id
