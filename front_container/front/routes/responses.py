"""The Responses API: create, retrieve, follow, cancel, delete, input items."""

from aiohttp import web

from axon.exceptions import RequestError
from axon.ids import is_id
from axon.protocol.errors import error_event
from axon.protocol.objects import Json
from axon.protocol.requests import (
    MAX_NUMBER,
    CancelResponse,
    CreateResponse,
    DeleteResponse,
    parse_body,
)
from axon.responses.item_pages import ItemPage
from axon.responses.terminator import unknown_response
from axon.serialization import dumps
from front.context import FrontContext
from front.requests import flag_of, idempotency_key_of, integer_of
from front.routing import Call, add_route, json_answer
from front.sse import EventStream, server_sent
from front.views import ended, submit

INCLUDABLE = ("reasoning.encrypted_content",)
"""Agents always ask for it; a model that gives none has nothing to include."""
_PATH = "/v1/responses"
_ONE = _PATH + "/{response_id}"
_UNSERVED = {
    "input_tokens": "Count the tokens with the model's own tokenizer.",
    "compact": "Start a new conversation, with a summary of this one as its input.",
}
"""Endpoints of OpenAI's that are not served, each with what to do instead."""
_TYPE = b'{"type":"'
"""Beginning of each event in the log."""


def add_routes(application: web.Application, context: FrontContext) -> None:
    """Add the routes of the Responses API."""
    routes = _ResponseRoutes(context)
    for method, path, endpoint in (
        ("POST", _PATH, routes.create),
        ("POST", _PATH + "/{name:input_tokens|compact}", routes.refuse),
        ("GET", _ONE, routes.retrieve),
        ("DELETE", _ONE, routes.delete),
        ("POST", _ONE + "/cancel", routes.cancel),
        ("GET", _ONE + "/input_items", routes.input_items),
    ):
        add_route(application, context, method, path, endpoint)


class _ResponseRoutes:
    """The endpoints, over the parts of a front."""

    def __init__(self, context: FrontContext) -> None:
        self._context = context

    async def create(self, call: Call) -> web.StreamResponse:
        """Accept a request; answer with its response when that has ended, or with its events."""
        body = await self._context.bodies.read_json(call.request)
        streams = _streams(body)
        response_id = await submit(self._context, call, _request_of(call, body))
        if streams:
            return await self._stream(call, response_id)
        return await self._whole(call, response_id)

    async def retrieve(self, call: Call) -> web.StreamResponse:
        """Answer with a response as it is now, or with its events as they come."""
        response_id = _response_id(call)
        query = call.request.query
        _check_include(call)
        if not flag_of(query, "stream"):
            return json_answer(await self._response(call, response_id))
        after = integer_of(query, "starting_after", default=-1, least=-1, most=MAX_NUMBER)
        tenant_id = call.principal.tenant_id
        # Before the headers, since it decides about the status.
        await self._context.retrieval.require_events(response_id, tenant_id=tenant_id, after=after)
        return await self._stream(call, response_id, after=after, named=True)

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
        query = call.request.query
        _check_include(call)
        page = ItemPage(
            limit=integer_of(query, "limit", default=20, least=1, most=100),
            newest_first=_newest_first(query.get("order", "desc")),
            after=query.get("after"),
        )
        items = await self._context.retrieval.input_items(
            _response_id(call), tenant_id=call.principal.tenant_id
        )
        return json_answer(page.of(items))

    async def refuse(self, call: Call) -> web.StreamResponse:
        """Refuse a request for something of OpenAI's that is not served."""
        name = call.request.match_info["name"]
        raise RequestError(
            f"{_PATH}/{name} is not served. {_UNSERVED[name]}",
            code="unsupported_endpoint",
            status=404,
        )

    async def _response(self, call: Call, response_id: str) -> Json:
        return await self._context.retrieval.response(
            response_id, tenant_id=call.principal.tenant_id
        )

    async def _whole(self, call: Call, response_id: str) -> web.StreamResponse:
        """Answer with the response when it has ended; with 200 also if it has failed, as OpenAI."""
        opened = self._context.reader.open(response_id, principal=call.principal)
        async with opened as events:
            response = await ended(events)
        return json_answer(response)

    async def _stream(
        self, call: Call, response_id: str, *, after: int = -1, named: bool = False
    ) -> web.StreamResponse:
        """Answer with the events, exactly as the log has them."""

        def failed(error: Exception) -> bytes:
            event = error_event(error) | {"sequence_number": after + 1}
            return _event_text(dumps(event))

        opened = self._context.reader.open(
            response_id, principal=call.principal, after=after, named=named
        )
        async with opened as events, EventStream(call.request, error=failed) as stream:
            async for event in events:
                await stream.write(_event_text(event.data))
                after = event.sequence_number
        return stream.response


def _event_text(data: bytes) -> bytes:
    """Return an event of the log as text of a stream: SDKs read its type from the event's name."""
    kind = data[len(_TYPE) : data.index(b'"', len(_TYPE))]
    return server_sent(data, name=kind)


def _request_of(call: Call, body: Json) -> CreateResponse:
    if key := idempotency_key_of(call.request):
        body["idempotency_key"] = key
    return parse_body(body)


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


def _check_include(call: Call) -> None:
    """Refuse a query that asks to include what is not served."""
    query = call.request.query
    asked = [*query.getall("include", ()), *query.getall("include[]", ())]
    if unserved := [name for name in asked if name not in INCLUDABLE]:
        raise RequestError(
            f"Unsupported value for 'include': '{unserved[0][:64]}'. Leave it out: only "
            f"{', '.join(map(repr, INCLUDABLE))} is taken.",
            code="unsupported_parameter",
            param="include",
        )


def _newest_first(order: str) -> bool:
    if order not in ("asc", "desc"):
        raise RequestError(
            "Invalid 'order': must be 'asc' or 'desc'.", code="invalid_value", param="order"
        )
    return order == "desc"
