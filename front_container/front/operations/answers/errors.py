"""Shapes of errors."""

from typing import Literal

from typing_extensions import TypedDict


class OpenAIErrorDetails(TypedDict):
    """The error: its message says what is wrong, and how to mend it."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIError(TypedDict):
    """An error of OpenAI's APIs: `code` is for programs, `param` names the field to blame."""

    error: OpenAIErrorDetails


class AnthropicErrorDetails(TypedDict):
    """The error: its message says what is wrong, and how to mend it."""

    type: str
    message: str


class AnthropicError(TypedDict):
    """An error of Anthropic's API."""

    type: Literal["error"]
    error: AnthropicErrorDetails
    request_id: str | None
