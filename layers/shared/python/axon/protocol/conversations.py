"""Bodies of requests about conversations, as OpenAI's Conversations API has them."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from axon.protocol.items import Item, null_is
from axon.protocol.objects import Json
from axon.protocol.refusals import refusal_of
from axon.protocol.requests import Metadata

MAX_ITEMS = 20
"""Most items that one request adds (OpenAI's limit)."""


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class CreateConversation(_Body):
    """``POST /v1/conversations``: a conversation, perhaps with its first items."""

    items: Annotated[list[Item], Field(max_length=MAX_ITEMS), null_is([])] = []
    metadata: Annotated[Metadata, null_is({})] = {}


class UpdateConversation(_Body):
    """``POST /v1/conversations/{id}``: new metadata in place of the old."""

    metadata: Annotated[Metadata, null_is({})]


class CreateItems(_Body):
    """``POST /v1/conversations/{id}/items``: items at the conversation's end."""

    items: Annotated[list[Item], Field(min_length=1, max_length=MAX_ITEMS)]


Body = TypeVar("Body", bound=_Body)


def parse(model: type[Body], value: dict[str, Any]) -> Body:
    """Validate a decoded body.

    Raises
    ------
    RequestError
        A field is missing, wrong or too long; it names the first such field.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refusal_of(error, remedies={}) from error


def items_of(body: CreateConversation | CreateItems) -> list[Json]:
    """Return the items as the history keeps them."""
    return [item.model_dump(mode="json") for item in body.items]
