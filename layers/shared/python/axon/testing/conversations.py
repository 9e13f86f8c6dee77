"""Named conversations in memory, beside the turns and the rows of a fake database."""

from collections.abc import Mapping
from dataclasses import replace

from typing_extensions import override

from axon.conversations import Turn
from axon.named_conversations.store import ConversationStore, NamedConversation
from axon.testing.stores import FakeResponseRows, FakeTurns


class FakeConversationStore(ConversationStore):
    """Conversations by their ids.

    Parameters
    ----------
    turns : FakeTurns
        The database's turns.
    rows : FakeResponseRows
        Knows which responses are deleted.
    """

    def __init__(self, *, turns: FakeTurns, rows: FakeResponseRows) -> None:
        self.conversations: dict[str, NamedConversation] = {}
        self._deleted = set[str]()
        self._turns = turns
        self._rows = rows

    @override
    async def create(
        self, conversation_id: str, *, tenant_id: str, metadata: Mapping[str, str]
    ) -> None:
        made = NamedConversation(
            conversation_id=conversation_id,
            tenant_id=tenant_id,
            created_at=1_700_000_000,
            metadata=dict(metadata),
        )
        if conversation_id not in self._deleted:  # its row stays until it expires
            self.conversations.setdefault(conversation_id, made)

    @override
    async def find(self, conversation_id: str, *, tenant_id: str) -> NamedConversation | None:
        found = self.conversations.get(conversation_id)
        return found if found and found.tenant_id == tenant_id else None

    @override
    async def label(
        self, conversation_id: str, *, tenant_id: str, metadata: Mapping[str, str]
    ) -> NamedConversation | None:
        if found := await self.find(conversation_id, tenant_id=tenant_id):
            self.conversations[conversation_id] = replace(found, metadata=dict(metadata))
        return await self.find(conversation_id, tenant_id=tenant_id)

    @override
    async def delete(self, conversation_id: str, *, tenant_id: str) -> bool:
        if await self.find(conversation_id, tenant_id=tenant_id) is None:
            return False
        del self.conversations[conversation_id]
        self._deleted.add(conversation_id)
        return True

    @override
    async def claim(
        self, conversation: NamedConversation, *, head: str | None, response_id: str
    ) -> bool:
        return self._move(conversation, head=head, running=response_id)

    @override
    async def release(self, conversation: NamedConversation, *, response_id: str) -> None:
        found = self.conversations.get(conversation.conversation_id)
        if found and found.running == response_id:
            self.conversations[conversation.conversation_id] = replace(found, running=None)

    @override
    async def append(self, conversation: NamedConversation, turn: Turn, *, key_id: str) -> bool:
        moved = self._move(conversation, head=turn.response_id, running=None)
        if moved:
            await self._turns.put([turn])
        return moved

    @override
    async def remove_item(self, turn: Turn, *, item_id: str) -> bool:
        stored = self._turns.turns.get(turn.response_id)
        if stored is None:
            return False
        left = {
            name: [item for item in items if item.get("id") != item_id]
            for name, items in (("input", stored.input), ("output", stored.output))
        }
        self._turns.turns[turn.response_id] = stored.model_copy(update=left)
        return True

    @override
    async def is_deleted(self, response_id: str) -> bool:
        return response_id in self._rows.tenants

    def age(self, conversation_id: str, seconds: float) -> None:
        """Make the running response older by some seconds."""
        found = self.conversations[conversation_id]
        self.conversations[conversation_id] = replace(found, running_s=found.running_s + seconds)

    def _move(
        self, conversation: NamedConversation, *, head: str | None, running: str | None
    ) -> bool:
        found = self.conversations.get(conversation.conversation_id)
        seen = (conversation.tenant_id, conversation.head, conversation.running)
        if found is None or (found.tenant_id, found.head, found.running) != seen:
            return False
        self.conversations[conversation.conversation_id] = replace(
            found, head=head, running=running, running_s=0.0
        )
        return True
