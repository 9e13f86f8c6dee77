"""ConversationStore: the named conversations in the database, each with its last turn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from axon.conversations import Turn
from axon.protocol.objects import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedConversation:
    """A conversation that a client has created, as the database has it.

    Parameters
    ----------
    conversation_id : str
        Its id, which its turns share.
    tenant_id : str
        The tenant that has created it.
    created_at : int
        Seconds of the Unix epoch.
    metadata : Mapping[str, str]
        The client's labels.
    head : str | None
        Id of its last turn; None while it has none.
    running : str | None
        Id of the response that was accepted for it last. While that runs, no other one is taken;
        once it has ended, it is the last turn in place of `head`, unless it has failed.
    running_s : float
        Seconds since `running` was accepted, by the database's clock.
    """

    conversation_id: str
    tenant_id: str
    created_at: int
    metadata: Mapping[str, str]
    head: str | None = None
    running: str | None = None
    running_s: float = 0.0

    def shown(self) -> Json:
        """Return the conversation as the API shows it."""
        return {
            "id": self.conversation_id,
            "object": "conversation",
            "created_at": self.created_at,
            "metadata": dict(self.metadata),
        }


class ConversationStore(Protocol):
    """The database's side. Each method raises `UnavailableError` if the database is away.

    `claim` and `append` change a conversation only if its `head` and `running` are still those of
    the `NamedConversation` that they are given: of two callers at once, one succeeds.
    """

    async def create(
        self, conversation_id: str, *, tenant_id: str, metadata: Mapping[str, str]
    ) -> None:
        """Create a conversation without turns; one that was created before stays as it is.

        One that was deleted stays deleted.
        """
        ...

    async def find(self, conversation_id: str, *, tenant_id: str) -> NamedConversation | None:
        """Return the tenant's conversation; None if it has no such one."""
        ...

    async def label(
        self, conversation_id: str, *, tenant_id: str, metadata: Mapping[str, str]
    ) -> NamedConversation | None:
        """Replace the metadata; return the conversation, or None if the tenant has no such one."""
        ...

    async def delete(self, conversation_id: str, *, tenant_id: str) -> bool:
        """Delete the conversation, not its turns; return False if the tenant has no such one."""
        ...

    async def claim(
        self, conversation: NamedConversation, *, head: str | None, response_id: str
    ) -> bool:
        """Make a response the running one, after the turn `head`; return False if too late."""
        ...

    async def release(self, conversation: NamedConversation, *, response_id: str) -> None:
        """Take back the claim of a response that was not accepted."""
        ...

    async def append(self, conversation: NamedConversation, turn: Turn, *, key_id: str) -> bool:
        """Store a turn that no model has made as the last one; return False if too late."""
        ...

    async def remove_item(self, turn: Turn, *, item_id: str) -> bool:
        """Remove an item from a stored turn; return False if the turn is not stored yet."""
        ...

    async def is_deleted(self, response_id: str) -> bool:
        """Return whether a client has deleted this response."""
        ...
