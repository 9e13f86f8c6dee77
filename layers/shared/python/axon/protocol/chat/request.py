"""The body of ``POST /v1/chat/completions``, and the Responses request that it stands for."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)

from axon.exceptions import RequestError
from axon.protocol.chat.messages import ChatMessage, ChatModel, items_of, tag_of
from axon.protocol.chat.tools import (
    TOOL_REMEDIES,
    ChatTool,
    ChatToolChoice,
    check_tool_schemas,
    choice_of,
    tool_of,
)
from axon.protocol.chat.unserved import refuse_unserved
from axon.protocol.items import MAX_ITEMS, MESSAGES, Message
from axon.protocol.refusals import no_content, refusal_of, too_many_items
from axon.protocol.requests import (
    AskedTier,
    ClientLabel,
    FormatName,
    IdempotencyKey,
    JsonObject,
    JsonSchema,
    MaxTokens,
    Metadata,
    ModelName,
    Penalty,
    PlainText,
    Temperature,
    TextOptions,
    TopP,
    Verbosity,
)
from axon.protocol.schemas import check_format_schema
from axon.protocol.tool_choice import check_tool_choice
from axon.protocol.tools import OPENAI_TOOLS, Tool
from axon.protocol.view_requests import (
    OPENAI_STOPS,
    LogitBias,
    Seed,
    StopStrings,
    TopK,
    ViewRequest,
)

_SAMPLING = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_k",
    "seed",
    "stop",
    "logit_bias",
)
MAX_CHOICES = 8
"""Most choices of a completion: each one takes a slot of an engine."""
TOO_MANY_CHOICES = f"Use 1 to {MAX_CHOICES}, and send several requests for more answers."
_REMEDIES = {
    "messages.*.audio": "Leave it out: send the text as `content`.",
    "messages.*.function_call": "Use `tool_calls`.",
    "messages.*.tool_calls.*": "Only calls of the types 'function' and 'custom' are taken.",
    "messages.*.prefix": "Leave it out: an answer is a new message, no message is continued.",
    "n": TOO_MANY_CHOICES,
    "response_format": "Use 'text', 'json_object' or 'json_schema'.",
    **TOOL_REMEDIES,
}


class SchemaFormat(ChatModel):
    """A JSON schema under a name; without a schema, any JSON value."""

    model_config = ConfigDict(validate_by_name=True)

    name: FormatName
    schema_: dict[str, Any] | None = Field(alias="schema", default=None)
    description: str | None = None
    strict: bool | None = None


class JsonSchemaFormat(ChatModel):
    """A JSON value that the schema describes."""

    type: Literal["json_schema"]
    json_schema: SchemaFormat


ResponseFormat = Annotated[
    Annotated[PlainText, Tag("[text]")]
    | Annotated[JsonObject, Tag("[json_object]")]
    | Annotated[JsonSchemaFormat, Tag("[json_schema]")],
    Discriminator(lambda value: tag_of(value, "type")),
]


def _stops(value: Any) -> Any:
    """Return a stop string as a list of one; an empty one asks for nothing, as an empty list."""
    if value in ("", []):
        return None
    return [value] if isinstance(value, str) else value


class StreamOptions(ChatModel):
    """Options of a streamed answer; `include_obfuscation` is taken and changes nothing."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class CompletionRequest(ChatModel):
    """The fields that a Chat Completions request and an older Completions request share.

    `idempotency_key` stands for the HTTP header Idempotency-Key, as in a Responses request.
    """

    idempotency_key: IdempotencyKey | None = None
    model: ModelName
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    top_k: TopK = None
    """A field of other servers with this API: clients send it in `extra_body`."""
    seed: Seed | None = None
    stop: Annotated[
        Annotated[StopStrings, Field(max_length=OPENAI_STOPS)] | None, BeforeValidator(_stops)
    ] = None
    logit_bias: LogitBias = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None

    @property
    def sampling(self) -> dict[str, Any]:
        """The sampling parameters, which are the same in a `ViewRequest`."""
        return {name: value for name in _SAMPLING if (value := getattr(self, name)) is not None}

    @property
    def choices(self) -> int:
        """The number of answers that are asked for."""
        return self.n or 1

    @property
    def include_usage(self) -> bool:
        """True if a streamed answer ends with a chunk of its usage."""
        return self.stream_options is not None and self.stream_options.include_usage is True


class ChatRequest(CompletionRequest):
    """A Chat Completions request: the fields that are served."""

    messages: Annotated[list[ChatMessage], MESSAGES]
    max_completion_tokens: MaxTokens | None = None
    response_format: ResponseFormat | None = None
    verbosity: Verbosity | None = None
    reasoning_effort: str | None = None
    """Taken as `reasoning.effort` of a Responses request is."""

    tools: Annotated[list[ChatTool], Field(max_length=OPENAI_TOOLS)] | None = None
    tool_choice: ChatToolChoice | None = None
    parallel_tool_calls: bool | None = None

    store: bool | None = None
    metadata: Metadata | None = None
    service_tier: AskedTier | None = None
    safety_identifier: ClientLabel | None = None
    prompt_cache_key: ClientLabel | None = None


def parse_chat(value: Mapping[str, Any]) -> ChatRequest:
    """Validate a decoded body.

    Raises
    ------
    RequestError
        A field is missing, wrong, too long or not served; it names the first such field.
    """
    refuse_unserved(value)
    try:
        request = ChatRequest.model_validate(value)
    except ValidationError as error:
        raise refusal_of(error, remedies=_REMEDIES) from error
    _check_limits(request)
    _check_schemas(request)
    return request


def to_create_response(request: ChatRequest) -> ViewRequest:
    """Return the Responses request that asks for the same.

    It is not stored unless the client says so, which is this API's default.

    Raises
    ------
    RequestError
        A tool's message answers no call of an earlier message, no message has any content, or the
        choice of tools cannot be kept.
    """
    items = items_of(request.messages)
    if all(isinstance(item, Message) and item.content == [] for item in items):
        raise no_content("messages")
    if len(items) > MAX_ITEMS:
        raise too_many_items(len(items), MAX_ITEMS, param="messages")
    tools: list[Tool] = [tool_of(tool) for tool in request.tools or ()]
    choice = choice_of(request.tool_choice)
    check_tool_choice(choice, tools)
    limit = request.max_completion_tokens or request.max_tokens
    effort = request.reasoning_effort
    return ViewRequest(
        idempotency_key=request.idempotency_key,
        model=request.model,
        input=items,
        max_output_tokens=limit,
        **request.sampling,
        text=TextOptions(format=_format(request.response_format), verbosity=request.verbosity),
        tools=tools or None,
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls,
        reasoning=None if effort is None else {"effort": effort},
        store=request.store is True,
        metadata=request.metadata,
        service_tier=request.service_tier,
        safety_identifier=request.safety_identifier,
        prompt_cache_key=request.prompt_cache_key,
    )


def _check_limits(request: ChatRequest) -> None:
    newer, older = request.max_completion_tokens, request.max_tokens
    if newer is not None and older is not None and newer != older:
        raise RequestError(
            f"'max_tokens' is {older}, but 'max_completion_tokens', its newer name, is {newer}. "
            "Send one of them.",
            code="invalid_value",
            param="max_tokens",
        )


def _check_schemas(request: ChatRequest) -> None:
    if isinstance(wanted := request.response_format, JsonSchemaFormat):
        check_format_schema(
            wanted.json_schema.schema_ or {},
            owner=f"response_format '{wanted.json_schema.name}'",
            param="response_format.json_schema.schema",
        )
    check_tool_schemas(request.tools or ())


def _format(wanted: ResponseFormat | None) -> PlainText | JsonObject | JsonSchema:
    if not isinstance(wanted, JsonSchemaFormat):
        return wanted or PlainText()
    schema = wanted.json_schema
    return JsonSchema(
        type="json_schema",
        name=schema.name,
        schema_=schema.schema_ or {},
        description=schema.description,
        strict=schema.strict,
    )
