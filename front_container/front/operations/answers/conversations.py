"""Shapes of the Conversations API."""

from typing import Literal

from typing_extensions import TypedDict


class Conversation(TypedDict):
    """A conversation that a client has created."""

    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, str]


class DeletedConversation(TypedDict):
    """The answer to a deletion."""

    id: str
    object: Literal["conversation.deleted"]
    deleted: Literal[True]
