"""ConversationItems: the items of a named conversation, which are those of its turns."""

from collections.abc import Sequence

from axon.conversations import EditableTurnCache, Turn, check_length
from axon.exceptions import ConversationPendingError, RequestError
from axon.ids import keyed_id, new_id
from axon.named_conversations.service import NamedConversations, locked, used_before
from axon.named_conversations.store import ConversationStore, NamedConversation
from axon.protocol.conversations import MAX_ITEMS
from axon.protocol.item_pages import ItemPage, identified, shown_items
from axon.protocol.objects import Json
from axon.readers import Readers
from axon.serialization import dumps
from axon.tenants.principal import Principal

READERS = 2
"""Conversations that one process reads at a time for their items, each another tenant's: each may
have 50 MB."""
TRIES = 12
"""Calls that add items at the same time and succeed one after the other; more may be refused."""
READING_S = 30.0
"""Seconds that a reader waits for those before it."""


class ConversationItems:
    """Lists, adds and removes items of named conversations.

    Items that a client adds are a turn of their own, whose output is empty. Its id looks like a
    response's, for workers of the version before, and is shown to nobody.

    Parameters
    ----------
    named : NamedConversations
        Finds conversations and their turns.
    store : ConversationStore
        The database.
    cache : EditableTurnCache
        The turns in front of it.
    """

    def __init__(
        self, *, named: NamedConversations, store: ConversationStore, cache: EditableTurnCache
    ) -> None:
        self._named = named
        self._store = store
        self._cache = cache
        self._reading = Readers(limit=READERS, tenant_limit=1, within_s=READING_S)

    async def create(
        self,
        items: Sequence[Json],
        *,
        metadata: dict[str, str],
        principal: Principal,
        key: str = "",
    ) -> Json:
        """Create a conversation that begins with these items; return it as the API shows it.

        `key` is as in `add`. A repeated call completes one that died before it had added the items.

        Raises
        ------
        RequestError
            The key has created a conversation that has been deleted, or has more items by now.
        UnavailableError
            As `add`.
        """
        tenant_id = principal.tenant_id
        asked = dumps([items, metadata]).decode()
        made = keyed_id("conv", tenant_id, key, asked) if key else new_id("conv")
        created = await self._named.create(made, tenant_id=tenant_id, metadata=metadata)
        first = keyed_id("resp", made)
        # Keys do not expire: a program that always sends the same one would otherwise go on in
        # its conversation of yesterday.
        if created.running is not None or created.head not in (None, first):
            raise used_before("has been continued")
        if items and created.head is None:
            turn = _turn(created, None, items, turn_id=first)
            await self._append(created, turn, principal=principal)
        return created.shown()

    async def add(
        self,
        conversation_id: str,
        items: Sequence[Json],
        *,
        principal: Principal,
        key: str = "",
    ) -> Json:
        """Add items at the end of a conversation; return them as the API lists them.

        Parameters
        ----------
        conversation_id : str
            The conversation.
        items : Sequence[Json]
            The items; each gets a new id.
        principal : Principal
            Who adds them.
        key : str
            The client's name for the request: the same items under the same key are added once.
            Empty for none.

        Raises
        ------
        RequestError
            The tenant has no such conversation, a response of it is running, or it is too long.
        UnavailableError
            A part of it is still on its way to the database, or a service is away.
        """
        turn_id = keyed_id("resp", conversation_id, key, dumps(items).decode()) if key else None
        for _ in range(TRIES):
            found = await self._named.find(conversation_id, tenant_id=principal.tenant_id)
            if turn := await self._added(found, items, turn_id, principal=principal):
                return ItemPage(limit=MAX_ITEMS, newest_first=False, after=None).of(_shown(turn))
        raise locked()

    async def page(self, conversation_id: str, page: ItemPage, *, tenant_id: str) -> Json:
        """Return a page of a conversation's items; those of a running response come at its end.

        Raises
        ------
        RequestError
            The tenant has no such conversation, or it has no item with the id `after`.
        UnavailableError
            As `add`.
        """
        found = await self._named.find(conversation_id, tenant_id=tenant_id)
        async with self._reading.turn(tenant_id):
            turns = await self._turns(found)
            if page.newest_first:
                shown = (item for turn in reversed(turns) for item in reversed(_shown(turn)))
                return page.of_ordered(shown)
            return page.of_ordered(item for turn in turns for item in _shown(turn))

    async def retrieve(self, conversation_id: str, item_id: str, *, tenant_id: str) -> Json:
        """Return an item of a conversation.

        Raises
        ------
        RequestError
            The tenant has no such conversation, or it has no such item.
        UnavailableError
            As `add`.
        """
        found = await self._named.find(conversation_id, tenant_id=tenant_id)
        async with self._reading.turn(tenant_id):
            for turn in await self._turns(found):
                for item in _shown(turn):
                    if item["id"] == item_id:
                        return item
        raise _unknown_item(item_id)

    async def remove(self, conversation_id: str, item_id: str, *, tenant_id: str) -> Json:
        """Remove an item, also from the response that it belongs to; return the conversation.

        The database comes first. If the cache cannot be changed after it, the item is still found
        there, and the client's repeated call completes the removal.

        Raises
        ------
        RequestError
            As `retrieve`.
        UnavailableError
            As `add`; the same call completes the removal later.
        """
        found = await self._named.find(conversation_id, tenant_id=tenant_id)
        async with self._reading.turn(tenant_id):
            for turn in await self._turns(found):
                if any(item["id"] == item_id for item in _shown(turn)):
                    break
            else:
                raise _unknown_item(item_id)
        if not await self._store.remove_item(turn, item_id=item_id):
            raise ConversationPendingError(conversation_id)
        await self._cache.forget(turn.response_id)
        return found.shown()

    async def _added(
        self,
        found: NamedConversation,
        items: Sequence[Json],
        turn_id: str | None,
        *,
        principal: Principal,
    ) -> Turn | None:
        """Add items, unless they were added before; return their turn, None if too late."""
        head = await self._named.last_turn(found)
        heads = await self._named.heads(found, head)
        if turn_id is not None and turn_id in {known.response_id for known in heads}:
            *_, turn = await self._named.turns(found, turn_id)
            return turn
        check_length(heads, param="conversation")
        turn = _turn(found, head, items, turn_id=turn_id)
        return turn if await self._append(found, turn, principal=principal) else None

    async def _append(self, found: NamedConversation, turn: Turn, *, principal: Principal) -> bool:
        appended = await self._store.append(found, turn, key_id=principal.key_id)
        if appended:
            await self._cache.put([turn])
        return appended

    async def _turns(self, found: NamedConversation) -> list[Turn]:
        head, _ = await self._named.settled(found)
        return await self._named.turns(found, head)


def _turn(
    found: NamedConversation,
    head: str | None,
    items: Sequence[Json],
    *,
    turn_id: str | None = None,
) -> Turn:
    """Return the turn of items that a client adds."""
    return Turn(
        response_id=turn_id or new_id("resp"),
        previous_response_id=head,
        conversation_id=found.conversation_id,
        tenant_id=found.tenant_id,
        input=identified(items),
        output=[],
    )


def _shown(turn: Turn) -> list[Json]:
    return [*shown_items(turn.input, response_id=turn.response_id), *turn.output]


def _unknown_item(item_id: str) -> RequestError:
    return RequestError(
        f"Item with id '{item_id[:64]}' not found.",
        code="item_not_found",
        param="item_id",
        status=404,
    )
