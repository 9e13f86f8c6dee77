"""``POST /v1/messages``: the request's model, and the request of the Responses API that it is."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from axon.exceptions import RequestError
from axon.protocol import tool_choice as choices
from axon.protocol.anthropic.content import MessageParam, Texts, instructions_of, items_of
from axon.protocol.anthropic.unserved import refuse_unserved, refuse_unserved_in_tools
from axon.protocol.items import MAX_ITEMS, MESSAGES
from axon.protocol.refusals import no_content, refusal_of, too_many_items
from axon.protocol.requests import (
    MAX_INPUT_CHARACTERS,
    JsonSchema,
    MaxTokens,
    ModelName,
    TextOptions,
    TopP,
)
from axon.protocol.schemas import check_format_schema, check_tool_schema
from axon.protocol.tools import MAX_TOOLS, FunctionName, FunctionTool
from axon.protocol.tools import Tool as AnyTool
from axon.protocol.view_requests import MAX_STOPS, StopStrings, TopK, ViewRequest

FORMAT_NAME = "output"
"""Name of the format of an answer: in this API it has none, and no model sees it."""
_REMEDIES = {
    "tools.*.type": "Only client tools are served: leave the type out, and run the tool yourself.",
}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class _ExactModel(_Model):
    """A part of a request whose other fields would change the answer."""

    model_config = ConfigDict(extra="forbid")


class Tool(_Model):
    """A tool that the model may ask the client to run."""

    type: Literal["custom"] | None = None
    name: FunctionName
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None


class ToolChoice(_ExactModel):
    """The client's choice of whether tools are called, and several at once."""

    type: Literal["auto", "none", "any"]
    disable_parallel_tool_use: bool | None = None

    def as_choice(self) -> choices.ToolChoice:
        """Return the choice of a Responses request."""
        return "required" if self.type == "any" else self.type


class ToolByName(_ExactModel):
    """The one tool that the model must call."""

    type: Literal["tool"]
    name: choices.Name
    disable_parallel_tool_use: bool | None = None

    def as_choice(self) -> choices.ToolChoice:
        """Return the choice of a Responses request."""
        return choices.NamedTool(type="function", name=self.name)


def _choice_kind(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "[tool]" if kind == "tool" else "[other]"


AnyToolChoice = Annotated[
    Annotated[ToolChoice, Tag("[other]")] | Annotated[ToolByName, Tag("[tool]")],
    Discriminator(_choice_kind),
]


class Thinking(_ExactModel):
    """Leave to think before the answer; a model that never does has nothing to show."""

    type: Literal["enabled", "adaptive", "between_tools", "disabled"]
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None
    display: Literal["summarized", "omitted"] | None = None

    @property
    def shown(self) -> bool:
        """True if the client is to get the model's thinking."""
        return self.type != "disabled" and self.display != "omitted"


class JsonFormat(_ExactModel):
    """A JSON value that the schema describes."""

    model_config = ConfigDict(validate_by_name=True)

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(_ExactModel):
    """The answer's form, and how much the model is to think."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


class RequestMetadata(_Model):
    """Labels of the request; nothing but the user is kept."""

    user_id: Annotated[str, Field(max_length=512)] | None = None


class CreateMessage(_Model):
    """The body of ``POST /v1/messages``; `idempotency_key` is the header Idempotency-Key."""

    idempotency_key: Annotated[str, Field(min_length=1, max_length=255)] | None = None

    model: ModelName
    max_tokens: MaxTokens
    messages: Annotated[list[MessageParam], MESSAGES]
    system: Texts | None = None
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: TopP | None = None
    top_k: TopK = None
    stop_sequences: Annotated[StopStrings, Field(max_length=MAX_STOPS)] | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: AnyToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    metadata: RequestMetadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None

    @property
    def shows_thinking(self) -> bool:
        """True if the client is to get the model's thinking."""
        return self.thinking is not None and self.thinking.shown


class CountTokens(CreateMessage):
    """The body of ``POST /v1/messages/count_tokens``: a message, which needs no limit."""

    max_tokens: MaxTokens = 1


def parse_message(
    value: Mapping[str, Any], model: type[CreateMessage] = CreateMessage
) -> CreateMessage:
    """Validate a decoded body of ``POST /v1/messages``, or of a `CountTokens`.

    Raises
    ------
    RequestError
        A field that is missing, wrong, too long or not served; it names the first such field.
    """
    # Null is what absence is, of any field: SDKs send it for fields that are not set.
    given = {name: part for name, part in value.items() if part is not None}
    refuse_unserved(given, CreateMessage.model_fields)
    refuse_unserved_in_tools(given.get("tools"), Tool.model_fields)
    try:
        request = model.model_validate(given)
    except ValidationError as error:
        raise refusal_of(error, remedies=_REMEDIES) from error
    _check(request)
    return request


def to_create_response(request: CreateMessage) -> ViewRequest:
    """Return the request of the Responses API that asks for the same.

    It is not stored: the client sends the whole conversation again with each request, and the API
    has no way to read an answer later.

    Raises
    ------
    RequestError
        The system prompt is too long, no message has any content, or the choice of tools cannot be
        kept.
    """
    instructions = instructions_of(request.system)
    if instructions and len(instructions) > MAX_INPUT_CHARACTERS:
        raise RequestError(
            f"'system' is too long: {len(instructions):,} characters, {MAX_INPUT_CHARACTERS:,} at "
            "most. Shorten it.",
            code="string_above_max_length",
            param="system",
        )
    items = items_of(request.messages)
    if not items:
        raise no_content("messages")
    if len(items) > MAX_ITEMS:
        raise too_many_items(len(items), MAX_ITEMS, param="messages")
    choice, config = request.tool_choice, request.output_config or OutputConfig()
    chosen = choice.as_choice() if choice else None
    offered: list[AnyTool] = [_function(tool) for tool in request.tools or ()]
    choices.check_tool_choice(chosen, offered)
    user_id = request.metadata.user_id if request.metadata else None
    return ViewRequest(
        idempotency_key=request.idempotency_key,
        model=request.model,
        instructions=instructions,
        input=items,
        max_output_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=request.stop_sequences or None,
        early_usage=True,
        text=TextOptions(format=_format(config.format)) if config.format else TextOptions(),
        tools=offered or None,
        tool_choice=chosen,
        parallel_tool_calls=False if choice and choice.disable_parallel_tool_use else None,
        reasoning={"effort": config.effort} if config.effort else None,
        store=False,
        metadata=None if user_id is None else {"user_id": user_id},
        service_tier="default" if request.service_tier == "standard_only" else None,
    )


def _function(tool: Tool) -> FunctionTool:
    return FunctionTool(
        type="function",
        name=tool.name,
        description=tool.description,
        parameters=tool.input_schema,
        strict=tool.strict is True,
    )


def _format(asked: JsonFormat) -> JsonSchema:
    return JsonSchema(type="json_schema", name=FORMAT_NAME, schema_=asked.schema_, strict=True)


def _check(request: CreateMessage) -> None:
    last = len(request.messages) - 1
    if request.messages[last].role == "assistant":
        raise RequestError(
            f"'messages.{last}' is the assistant's: the served models cannot go on with a text "
            "that is given. End with a message of the user.",
            code="unsupported_parameter",
            param=f"messages.{last}",
        )
    if request.output_config and (asked := request.output_config.format):
        check_format_schema(
            asked.schema_,
            owner="output_config.format",
            param="output_config.format.schema",
        )
    for number, tool in enumerate(request.tools or ()):
        check_tool_schema(
            tool.input_schema,
            owner=f"tool '{tool.name}'",
            param=f"tools.{number}.input_schema",
        )
    names = [tool.name for tool in request.tools or ()]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RequestError(
            f"Invalid 'tools': two of them have the name '{twice}'. Rename one.",
            code="invalid_value",
            param="tools",
        )
