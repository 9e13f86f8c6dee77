"""Messages of clients over the WebSocket: one JSON object each, distinguished by `type`."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    WithJsonSchema,
)

from axon.exceptions import RequestError
from axon.protocol.items import MAX_ITEMS, TEXT_OR_LIST, Item, null_is
from axon.protocol.refusals import refusal_of
from axon.protocol.schemas import check_format_schema
from axon.protocol.tool_choice import CHOICE_REMEDY, ToolChoice, check_tool_choice
from axon.protocol.tools import MAX_TOOLS, TOOL_REMEDIES, Tool, check_tools
from axon.protocol.unserved import refuse_unserved

MAX_INPUT_CHARACTERS = 10_485_760
"""Longest string of a request, in characters: OpenAI's limit, which its errors name. What carries a
request, and what queues it, have lower ones (`axon.responses.request_size`)."""
MAX_ECHOED_CHARACTERS = 4_096
"""Longest stream id that an error about it echoes; valid ones have 64 characters at most."""

StreamId = Annotated[str, Field(min_length=1, max_length=64)]
MAX_NUMBER = 2**53 - 1
"""The largest integer that every JSON decoder takes exactly (RFC 8259, section 6)."""

ServiceTier = Literal["flex", "default", "priority"]
"""Order in which waiting requests are served: the last tier first."""

# Fields that the other APIs have, too: their views of a request share these bounds.
ModelName = Annotated[str, Field(min_length=1, max_length=256)]
MaxTokens = Annotated[int, Field(ge=1, le=1_000_000)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
AskedTier = Literal["auto", "default", "flex", "scale", "priority", "fast"]
ClientLabel = Annotated[str, Field(max_length=64)]
FormatName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
IdempotencyKey = Annotated[str, Field(min_length=1, max_length=255)]
Verbosity = Literal["low", "medium", "high"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class PlainText(_Model):
    """Text as the model likes."""

    type: Literal["text"] = "text"


class JsonObject(_Model):
    """A JSON object."""

    type: Literal["json_object"]


class JsonSchema(_Model):
    """A JSON value that the schema describes."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    type: Literal["json_schema"]
    name: FormatName
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


def _format(value: Any) -> str | None:
    kind = value.get("type", "text") if isinstance(value, dict) else getattr(value, "type", None)
    return f"[{kind}]" if isinstance(kind, str) else None


TextFormat = Annotated[
    Annotated[PlainText, Tag("[text]")]
    | Annotated[JsonObject, Tag("[json_object]")]
    | Annotated[JsonSchema, Tag("[json_schema]")],
    Discriminator(_format),
]


class TextOptions(_Model):
    """The `text` field; not every model knows each format."""

    format: Annotated[TextFormat, null_is(PlainText())] = PlainText()
    verbosity: Verbosity | None = None


Input = Annotated[
    Annotated[str, Field(max_length=MAX_INPUT_CHARACTERS), Tag("[text]")]
    | Annotated[list[Item], Field(max_length=MAX_ITEMS, fail_fast=True), Tag("[list]")],
    TEXT_OR_LIST,
]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]


class ConversationName(_Model):
    """The conversation that a request continues."""

    id: Annotated[str, Field(min_length=1, max_length=64)]


def _conversation(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


_ID = {"type": "string", "minLength": 1, "maxLength": 64}
Conversation = Annotated[
    ConversationName,
    BeforeValidator(_conversation),
    WithJsonSchema(
        {"anyOf": [_ID, {"type": "object", "properties": {"id": _ID}, "required": ["id"]}]}
    ),
]
"""A conversation, as an object or by its id alone."""


class CreateResponse(_Model):
    """``response.create``: the Responses API's body, without `stream` and `background`.

    `idempotency_key` stands for the HTTP header Idempotency-Key, which a WebSocket has no room for:
    a request that is sent again with the same one gets the same response. `cancel_on_disconnect`
    overrides the setting of the connection: true frees the slot as soon as the client is gone.
    """

    type: Literal["response.create"] = "response.create"
    stream_id: StreamId | None = None
    generate: bool = True
    idempotency_key: IdempotencyKey | None = None
    cancel_on_disconnect: bool | None = None

    model: ModelName
    input: Annotated[Input, null_is([])] = Field(default_factory=list)
    instructions: Annotated[str, Field(max_length=MAX_INPUT_CHARACTERS)] | None = None
    previous_response_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    conversation: Conversation | None = None
    prompt: None = None
    include: list[Literal["reasoning.encrypted_content"]] | None = None
    """Agents always ask for encrypted reasoning; a model that gives none has nothing to include."""
    background: Literal[False] | None = None

    max_output_tokens: MaxTokens | None = None
    max_tool_calls: Annotated[int, Field(ge=1, le=MAX_NUMBER)] | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    text: Annotated[TextOptions, null_is(TextOptions())] = TextOptions()
    truncation: Literal["auto", "disabled"] | None = None

    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: dict[str, Any] | None = None

    store: bool | None = None
    metadata: Metadata | None = None
    service_tier: AskedTier | None = None
    safety_identifier: ClientLabel | None = None
    prompt_cache_key: ClientLabel | None = None

    @property
    def stored(self) -> bool:
        """True if the response outlives its connection, which is the API's default."""
        return self.store is not False

    @property
    def asks(self) -> bool:
        """True unless there is nothing to answer: a warm-up and a continuation need no input."""
        continues = self.previous_response_id or self.conversation
        return bool(self.input or continues or not self.generate)

    @property
    def tier(self) -> ServiceTier:
        """The tier that serves the request and that the response shows; the API has more names."""
        match self.service_tier:
            case "flex":
                return "flex"
            case "priority" | "fast":
                return "priority"
            case _:
                return "default"


class CancelResponse(_Model):
    """``response.cancel``: end a running response of one's own."""

    type: Literal["response.cancel"]
    stream_id: StreamId | None = None
    response_id: Annotated[str, Field(min_length=1, max_length=64)]


class DeleteResponse(_Model):
    """``response.delete``: delete a response of one's own, wherever it is kept."""

    type: Literal["response.delete"]
    stream_id: StreamId | None = None
    response_id: Annotated[str, Field(min_length=1, max_length=64)]


class ResumeResponse(_Model):
    """``response.resume``: go on with a response on this connection, after an event's number.

    `starting_after` is what OpenAI's HTTP API calls it; without it, everything comes again.
    """

    type: Literal["response.resume"]
    stream_id: StreamId | None = None
    response_id: Annotated[str, Field(min_length=1, max_length=64)]
    starting_after: Annotated[int, Field(ge=-1, le=MAX_NUMBER)] = -1


Event = TypeVar("Event", bound=BaseModel)
ClientEvent = CreateResponse | CancelResponse | ResumeResponse | DeleteResponse
_KINDS: dict[str, type[ClientEvent]] = {
    "response.create": CreateResponse,
    "response.cancel": CancelResponse,
    "response.resume": ResumeResponse,
    "response.delete": DeleteResponse,
}
_REMEDIES = {
    "include": "Leave it out: only 'reasoning.encrypted_content' is taken.",
    "prompt": "Send the prompt's text as `instructions` and `input` instead.",
    "background": "Leave it out: a response is made while its client waits.",
    "tool_choice": CHOICE_REMEDY,
    **TOOL_REMEDIES,
    "top_logprobs": "Leave it out or use 0: log probabilities are not returned.",
    "text.format": "Use 'text', 'json_object' or 'json_schema'.",
}


def stream_id_of(value: dict[str, Any]) -> str | None:
    """Return the stream id to echo on events, also on the error about a wrong message.

    One that is far too long is left out, since the error must fit into a message.
    """
    stream_id = value.get("stream_id")
    echoed = isinstance(stream_id, str) and len(stream_id) <= MAX_ECHOED_CHARACTERS
    return stream_id if echoed else None


def parse_event(value: dict[str, Any]) -> ClientEvent:
    """Validate a decoded message.

    Raises
    ------
    RequestError
        An unknown type, or a field that is missing, wrong, too long or unsupported; it names the
        first such field.
    """
    kind = value.get("type")
    model = _KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        known = ", ".join(f"'{name}'" for name in _KINDS)
        what = "missing" if kind is None else f"unknown: {str(kind)[:64]!r}"
        raise RequestError(
            f"The event's 'type' is {what}. Supported are {known}.",
            code="missing_required_parameter" if kind is None else "unknown_event_type",
            param="type",
        )
    return _validated(model, value)


def parse_body(value: dict[str, Any]) -> CreateResponse:
    """Validate a decoded body of ``POST /v1/responses``.

    Raises
    ------
    RequestError
        As `parse_event`.
    """
    return _validated(CreateResponse, value)


def _validated(model: type[Event], value: dict[str, Any]) -> Event:
    if model is CreateResponse:
        refuse_unserved(value)
    try:
        event = model.model_validate(value)
    except ValidationError as error:
        raise refusal_of(error, remedies=_REMEDIES, whole=("include",)) from error
    if isinstance(event, CreateResponse):
        _check_create(event)
    return event


def _check_create(request: CreateResponse) -> None:
    if not request.asks:
        raise RequestError(
            "Missing required parameter: 'input'. Send the text or the items to answer.",
            code="missing_required_parameter",
            param="input",
        )
    _check_conversation(request)
    if isinstance(text_format := request.text.format, JsonSchema):
        check_format_schema(
            text_format.schema_,
            owner=f"text.format '{text_format.name}'",
            param="text.format.schema",
        )
    tools = request.tools or ()
    check_tools(tools)
    check_tool_choice(request.tool_choice, tools)


def _check_conversation(request: CreateResponse) -> None:
    if request.conversation is None:
        return
    if request.previous_response_id is not None:
        raise RequestError(
            "Mutually exclusive parameters: 'conversation' and 'previous_response_id'. Ensure you "
            "are only providing one of them.",
            code="mutually_exclusive_parameters",
            param="conversation",
        )
    if not request.stored:
        raise RequestError(
            "Invalid 'store': a response that is not stored cannot become part of a conversation. "
            "Leave 'store' out, or send the conversation's items as 'input'.",
            code="invalid_value",
            param="store",
        )
