"""Bodies of requests about conversations, as OpenAI's Conversations API has them."""

from typing import Annotated

from pydantic import Field

from axon.protocol.bodies import Body
from axon.protocol.items import Item, null_is
from axon.protocol.kept_items import kept
from axon.protocol.objects import Json
from axon.protocol.requests import Metadata

MAX_ITEMS = 20
"""Most items that one request adds (OpenAI's limit)."""


class CreateConversation(Body):
    """``POST /v1/conversations``: a conversation, perhaps with its first items."""

    items: Annotated[list[Item], Field(max_length=MAX_ITEMS), null_is([])] = Field(
        default_factory=list
    )
    metadata: Annotated[Metadata, null_is({})] = Field(default_factory=dict)


class UpdateConversation(Body):
    """``POST /v1/conversations/{id}``: new metadata in place of the old."""

    metadata: Annotated[Metadata, null_is({})]


class CreateItems(Body):
    """``POST /v1/conversations/{id}/items``: items at the conversation's end."""

    items: Annotated[list[Item], Field(min_length=1, max_length=MAX_ITEMS)]


def items_of(body: CreateConversation | CreateItems) -> list[Json]:
    """Return the items as the history keeps them."""
    return [kept(item) for item in body.items]
