"""Input items of a Responses request: what a client may put into a conversation."""

from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Tag,
)
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function

MAX_ITEMS = 10_000
"""Most items of an input, and messages of a conversation in any API. OpenAI takes 2,048 messages in
a request of Chat Completions, Anthropic 100,000."""
FAIL_FAST = Field(fail_fast=True)
"""Ends the check of a list at its first wrong entry: an error names one, and each takes 1 KB."""
MESSAGES = Field(min_length=1, max_length=MAX_ITEMS, fail_fast=True)
"""The same, and the bounds of a conversation."""


class _Item(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", strict=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class null_is:  # noqa: N801 - an annotation, as `Field` is
    """A validator by which null is the default: SDKs send it for fields that are not set.

    Parameters
    ----------
    default : Any
        The value that null stands for.
    """

    default: Any

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema by which pydantic validates a field."""
        return no_info_before_validator_function(self._given, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON schema of a field, whose validator would not show that null is taken."""
        return {"anyOf": [handler(schema), {"type": "null"}]}

    def _given(self, value: Any) -> Any:
        return self.default if value is None else value


CallId = Annotated[str, Field(min_length=1, max_length=64)]
CalledName = Annotated[str, Field(min_length=1, max_length=128)]

# Tags of unions stand in brackets to distinguish them from field names in an error's path.


def _kind(value: Any, default: str | None = None) -> str | None:
    kind = getattr(value, "type", None)
    if isinstance(value, dict):
        kind = default if value.get("type") is None else value["type"]
    return f"[{kind}]" if isinstance(kind, str) else None


def _item_kind(value: Any) -> str | None:
    return _kind(value, "message")


def _shape(value: Any) -> str | None:
    return "[text]" if isinstance(value, str) else "[list]" if isinstance(value, list) else None


TEXT_OR_LIST = Discriminator(
    _shape, custom_error_type="text_or_list", custom_error_message="must be a string or an array"
)


class TextContent(_Item):
    """A piece of text, from the client (`input_text`) or an earlier answer (`output_text`)."""

    type: Literal["input_text", "output_text", "text"]
    text: str


class RefusalContent(_Item):
    """A refusal in an earlier answer."""

    type: Literal["refusal"]
    refusal: str


Content = Annotated[
    Annotated[TextContent, Tag("[input_text]")]
    | Annotated[TextContent, Tag("[output_text]")]
    | Annotated[TextContent, Tag("[text]")]
    | Annotated[RefusalContent, Tag("[refusal]")],
    Discriminator(
        _kind,
        custom_error_type="unsupported_content",
        custom_error_message="only text is supported: input_text, output_text or refusal",
    ),
]
Contents = Annotated[
    Annotated[str, Tag("[text]")] | Annotated[list[Content], FAIL_FAST, Tag("[list]")],
    TEXT_OR_LIST,
]


def text_of(contents: Contents) -> str:
    """Return the text, pieces joined by line breaks."""
    if isinstance(contents, str):
        return contents
    return "\n".join(
        part.text if isinstance(part, TextContent) else part.refusal for part in contents
    )


class Message(_Item):
    """A message; the client may leave out its type."""

    type: Annotated[Literal["message"], null_is("message")] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Contents

    @property
    def text(self) -> str:
        """The message's text, its pieces joined by line breaks."""
        return text_of(self.content)


class FunctionCall(_Item):
    """A call of a function that an earlier answer asked for."""

    type: Literal["function_call"]
    call_id: CallId
    name: CalledName
    arguments: str


class FunctionCallOutput(_Item):
    """The result of a function call."""

    type: Literal["function_call_output"]
    call_id: CallId
    output: Contents


class CustomToolCall(_Item):
    """A call of a custom tool that an earlier answer asked for: its input is a text."""

    type: Literal["custom_tool_call"]
    call_id: CallId
    name: CalledName
    input: str


class CustomToolCallOutput(_Item):
    """The result of a custom tool's call."""

    type: Literal["custom_tool_call_output"]
    call_id: CallId
    output: Contents


SUMMARY = "Summary of the conversation so far:\n"
"""Beginning of the message in which the model gets a summary."""
_SUMMARIES = "axon1."
"""Beginning of the content of compaction items; there is nothing to hide from its client."""


def content_of_summary(summary: str) -> str:
    """Return a summary as the `encrypted_content` of a compaction item, which clients return."""
    return _SUMMARIES + urlsafe_b64encode(summary.encode()).decode()


def summary_of(content: str) -> str:
    """Return the summary that `content_of_summary` was given.

    Raises
    ------
    ValueError
        The content is another one, such as one of another server.
    """
    if not content.startswith(_SUMMARIES):
        raise ValueError("not made by /v1/responses/compact of this server")
    encoded = content.removeprefix(_SUMMARIES)
    return b64decode(encoded, altchars=b"-_", validate=True).decode()


def _summary(content: str) -> str:
    try:
        summary_of(content)
    except ValueError:
        raise PydanticCustomError(
            "foreign_summary", "must be what /v1/responses/compact of this server has returned"
        ) from None
    return content


class Reasoning(_Item):
    """Reasoning of an earlier answer; the model's template decides whether the model sees it again.

    Nothing but its `content` is looked at: a summary says less, and `encrypted_content` is that of
    another server.
    """

    type: Literal["reasoning"]

    @property
    def text(self) -> str:
        """The reasoning's text, if the item has it."""
        content = (self.model_extra or {}).get("content")
        parts = content if isinstance(content, list) else []
        texts = (part.get("text") for part in parts if isinstance(part, dict))
        return "".join(text for text in texts if isinstance(text, str))


def reasoning_of(text: str) -> Reasoning:
    """Return the item of an earlier answer's reasoning, as a response would show it."""
    content = [{"type": "reasoning_text", "text": text}]
    return Reasoning.model_validate({"type": "reasoning", "summary": [], "content": content})


class Compaction(_Item):
    """A summary of earlier items, made by ``POST /v1/responses/compact``."""

    type: Literal["compaction"]
    encrypted_content: Annotated[str, AfterValidator(_summary)]

    def as_message(self) -> dict[str, Any]:
        """Return the message in which the model gets the summary."""
        text = SUMMARY + summary_of(self.encrypted_content)
        return {"type": "message", "role": "user", "content": text}


Item = Annotated[
    Annotated[Message, Tag("[message]")]
    | Annotated[FunctionCall, Tag("[function_call]")]
    | Annotated[FunctionCallOutput, Tag("[function_call_output]")]
    | Annotated[CustomToolCall, Tag("[custom_tool_call]")]
    | Annotated[CustomToolCallOutput, Tag("[custom_tool_call_output]")]
    | Annotated[Reasoning, Tag("[reasoning]")]
    | Annotated[Compaction, Tag("[compaction]")],
    Discriminator(
        _item_kind,
        custom_error_type="unsupported_item",
        custom_error_message=(
            "unknown item type; supported are message, function_call, function_call_output, "
            "custom_tool_call, custom_tool_call_output, reasoning, compaction"
        ),
    ),
]
