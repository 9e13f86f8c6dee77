"""The Conversations API: create, retrieve, update, delete, and their items."""

from collections.abc import Sequence
from functools import partial

from aiohttp import web

from axon.protocol.bodies import parse
from axon.protocol.conversations import (
    CreateConversation,
    CreateItems,
    UpdateConversation,
    items_of,
)
from front.context import FrontContext
from front.items import page_of
from front.operations import conversations as described
from front.operations.responses import INCLUDE
from front.requests import idempotency_key_of
from front.routing import Call, Route, json_answer

_PATH = "/v1/conversations"
_ONE = _PATH + "/{conversation_id}"
_ITEMS = _ONE + "/items"
_ITEM = _ITEMS + "/{item_id}"


def routes(context: FrontContext) -> Sequence[Route]:
    """Return the routes of the Conversations API."""
    endpoints = _ConversationRoutes(context)
    return tuple(
        Route(method=method, path=path, operation=operation, endpoint=endpoint)
        for method, path, operation, endpoint in (
            ("POST", _PATH, described.CREATE, endpoints.create),
            ("GET", _ONE, described.RETRIEVE, endpoints.retrieve),
            ("POST", _ONE, described.UPDATE, endpoints.update),
            ("DELETE", _ONE, described.DELETE, endpoints.delete),
            ("POST", _ITEMS, described.ADD_ITEMS, endpoints.add_items),
            ("GET", _ITEMS, described.LIST_ITEMS, endpoints.list_items),
            ("GET", _ITEM, described.RETRIEVE_ITEM, endpoints.retrieve_item),
            ("DELETE", _ITEM, described.REMOVE_ITEM, endpoints.remove_item),
        )
    )


class _ConversationRoutes:
    """The endpoints, over the parts of a front."""

    def __init__(self, context: FrontContext) -> None:
        self._bodies = context.bodies
        self._named = context.named
        self._items = context.items

    async def create(self, call: Call) -> web.StreamResponse:
        """Create a conversation, perhaps with its first items."""
        make = partial(parse, CreateConversation)
        body = await self._bodies.parsed(call.request, make, room=call.room)
        created = await self._items.create(
            items_of(body),
            metadata=body.metadata,
            principal=call.principal,
            key=idempotency_key_of(call.request.headers),
        )
        return json_answer(created)

    async def retrieve(self, call: Call) -> web.StreamResponse:
        """Answer with a conversation."""
        found = await self._named.find(_id_of(call), tenant_id=call.principal.tenant_id)
        return json_answer(found.shown())

    async def update(self, call: Call) -> web.StreamResponse:
        """Replace a conversation's metadata."""
        make = partial(parse, UpdateConversation)
        body = await self._bodies.parsed(call.request, make, room=call.room)
        changed = await self._named.label(
            _id_of(call), tenant_id=call.principal.tenant_id, metadata=body.metadata
        )
        return json_answer(changed)

    async def delete(self, call: Call) -> web.StreamResponse:
        """Delete a conversation; its responses stay."""
        deleted = await self._named.delete(_id_of(call), tenant_id=call.principal.tenant_id)
        return json_answer(deleted)

    async def add_items(self, call: Call) -> web.StreamResponse:
        """Add items at a conversation's end; answer with them."""
        INCLUDE.check(call.request.query)
        make = partial(parse, CreateItems)
        body = await self._bodies.parsed(call.request, make, room=call.room)
        added = await self._items.add(
            _id_of(call),
            items_of(body),
            principal=call.principal,
            key=idempotency_key_of(call.request.headers),
        )
        return json_answer(added)

    async def list_items(self, call: Call) -> web.StreamResponse:
        """Answer with a page of a conversation's items."""
        page = await self._items.page(
            _id_of(call), page_of(call.request.query), tenant_id=call.principal.tenant_id
        )
        return json_answer(page)

    async def retrieve_item(self, call: Call) -> web.StreamResponse:
        """Answer with one item."""
        INCLUDE.check(call.request.query)
        item = await self._items.retrieve(
            _id_of(call), _item_id_of(call), tenant_id=call.principal.tenant_id
        )
        return json_answer(item)

    async def remove_item(self, call: Call) -> web.StreamResponse:
        """Remove an item; answer with its conversation."""
        conversation = await self._items.remove(
            _id_of(call), _item_id_of(call), tenant_id=call.principal.tenant_id
        )
        return json_answer(conversation)


def _id_of(call: Call) -> str:
    return call.request.match_info["conversation_id"]


def _item_id_of(call: Call) -> str:
    return call.request.match_info["item_id"]
