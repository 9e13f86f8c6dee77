"""Shapes of models, in OpenAI's API and in Anthropic's."""

from typing import Literal

from typing_extensions import TypedDict


class Model(TypedDict):
    """A model; nobody notes when it was made, so `created` is 0."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(TypedDict):
    """All models."""

    object: Literal["list"]
    data: list[Model]


class AnthropicModel(TypedDict):
    """A model, as Anthropic's API shows it."""

    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    lifecycle: Literal["active"]


class AnthropicModelPage(TypedDict):
    """A page of models, as Anthropic's API shows it."""

    data: list[AnthropicModel]
    has_more: bool
    first_id: str | None
    last_id: str | None
