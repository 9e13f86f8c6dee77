"""Named conversations in PostgreSQL: rows of `conversations` that have metadata."""

from collections.abc import Mapping

from typing_extensions import override

from axon.adapters.postgres.pool import Pool, query, transaction
from axon.adapters.postgres.stores import jsonb
from axon.conversations import Turn
from axon.named_conversations.store import ConversationStore, NamedConversation


class PostgresConversationStore(ConversationStore):
    """See `axon.named_conversations.store.ConversationStore`."""

    def __init__(self, *, pool: Pool) -> None:
        self._pool = pool

    @override
    async def create(
        self, conversation_id: str, *, tenant_id: str, metadata: Mapping[str, str]
    ) -> None:
        values = {
            "conversation_id": conversation_id,
            "tenant_id": tenant_id,
            "metadata": jsonb(dict(metadata)),
        }
        async with transaction(self._pool) as connection:
            await connection.execute(query("create_conversation"), values)

    @override
    async def find(self, conversation_id: str, *, tenant_id: str) -> NamedConversation | None:
        values = {"conversation_id": conversation_id, "tenant_id": tenant_id}
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(query("find_conversation"), values)
            row = await cursor.fetchone()
        return NamedConversation(**row) if row else None

    @override
    async def label(
        self, conversation_id: str, *, tenant_id: str, metadata: Mapping[str, str]
    ) -> NamedConversation | None:
        values = {"conversation_id": conversation_id, "tenant_id": tenant_id}
        async with transaction(self._pool) as connection:
            await connection.execute(
                "UPDATE conversations SET metadata = %(metadata)s "
                "WHERE conversation_id = %(conversation_id)s AND tenant_id = %(tenant_id)s "
                "AND metadata IS NOT NULL AND deleted_at IS NULL",
                values | {"metadata": jsonb(dict(metadata))},
            )
            cursor = await connection.execute(query("find_conversation"), values)
            row = await cursor.fetchone()
        return NamedConversation(**row) if row else None

    @override
    async def delete(self, conversation_id: str, *, tenant_id: str) -> bool:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "UPDATE conversations SET deleted_at = now() "
                "WHERE conversation_id = %s AND tenant_id = %s "
                "AND metadata IS NOT NULL AND deleted_at IS NULL",
                [conversation_id, tenant_id],
            )
        return cursor.rowcount > 0

    @override
    async def claim(
        self, conversation: NamedConversation, *, head: str | None, response_id: str
    ) -> bool:
        values = _expected(conversation) | {"new_head": head, "new_running": response_id}
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(query("claim_conversation"), values)
        return cursor.rowcount > 0

    @override
    async def release(self, conversation: NamedConversation, *, response_id: str) -> None:
        values = {"conversation_id": conversation.conversation_id, "response_id": response_id}
        async with transaction(self._pool) as connection:
            await connection.execute(
                "UPDATE conversations SET running = NULL "
                "WHERE conversation_id = %(conversation_id)s AND running = %(response_id)s",
                values,
            )

    @override
    async def append(self, conversation: NamedConversation, turn: Turn, *, key_id: str) -> bool:
        values = _expected(conversation) | {
            "response_id": turn.response_id,
            "previous": turn.previous_response_id,
            "key_id": key_id or None,
            "input": jsonb(turn.input),
        }
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(query("append_turn"), values)
        return cursor.rowcount > 0

    @override
    async def remove_item(self, turn: Turn, *, item_id: str) -> bool:
        values = {
            "response_id": turn.response_id, "tenant_id": turn.tenant_id, "item_id": item_id,
        }  # fmt: skip
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(query("remove_item"), values)
        return cursor.rowcount > 0

    @override
    async def is_deleted(self, response_id: str) -> bool:
        async with transaction(self._pool) as connection:
            cursor = await connection.execute(
                "SELECT FROM deleted_responses WHERE response_id = %s", [response_id]
            )
            return await cursor.fetchone() is not None


def _expected(conversation: NamedConversation) -> dict[str, str | None]:
    """Return the state that a statement requires, by the names of its parameters."""
    return {
        "conversation_id": conversation.conversation_id,
        "tenant_id": conversation.tenant_id,
        "head": conversation.head,
        "running": conversation.running,
    }
