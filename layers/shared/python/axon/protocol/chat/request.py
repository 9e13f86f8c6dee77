"""The body of ``POST /v1/chat/completions``, and the Responses request that it stands for."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, ValidationError

from axon.exceptions import RequestError
from axon.protocol.chat.messages import ChatMessage, ChatModel, items_of, tag_of
from axon.protocol.refusals import refusal_of
from axon.protocol.requests import (
    AskedTier,
    ClientLabel,
    CreateResponse,
    FormatName,
    FunctionName,
    FunctionTool,
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
from axon.protocol.schemas import TOOL_BOUNDS, check_schema
from axon.protocol.unserved import refuse_fields

HINTS = frozenset({"prediction", "prompt_cache_options", "prompt_cache_retention", "user"})
"""Fields of a request that are taken and change nothing.

A prediction of the answer and the options of a cache can only make the same answer faster; `user`
is an older name of `safety_identifier`.
"""

UNSERVED: Mapping[str, str] = {
    "audio": "Leave it out: only text is made.",
    "function_call": "Use `tool_choice`.",
    "functions": "Use `tools`.",
    "logit_bias": "Leave it out: tokens cannot be weighted.",
    "logprobs": "Leave it out: log probabilities are not returned.",
    "modalities": 'Leave it out or use ["text"]: only text is made.',
    "moderation": "Leave it out: nothing is moderated.",
    "n": "Send one request for each answer.",
    "seed": "Leave it out: sampling cannot be repeated.",
    "stop": "Leave it out: stop sequences are not served.",
    "top_logprobs": "Leave it out or use 0: log probabilities are not returned.",
    "web_search_options": "Leave it out: there is no web search.",
    # Of other servers with this API (vLLM, TGI, llama.cpp), which clients send in `extra_body`.
    "bad_words": "Leave it out.",
    "best_of": "Leave it out: one answer is made.",
    "chat_template": "Leave it out: the model's own template is used.",
    "chat_template_kwargs": "Leave it out: the model's template is used as it is.",
    "continue_final_message": "Leave it out: an answer is a new message.",
    "echo": "Leave it out: the request is not repeated.",
    "grammar": "Use `response_format`.",
    "guided_choice": "Use `response_format`.",
    "guided_grammar": "Use `response_format`.",
    "guided_json": "Use `response_format`.",
    "guided_regex": "Use `response_format`.",
    "ignore_eos": "Leave it out.",
    "min_p": "Leave it out: use `top_p`.",
    "min_tokens": "Leave it out.",
    "repetition_penalty": "Leave it out: use `frequency_penalty`.",
    "stop_token_ids": "Leave it out: stop sequences are not served.",
    "structured_outputs": "Use `response_format`.",
    "top_k": "Leave it out: use `top_p`.",
    "use_beam_search": "Leave it out.",
}
"""Fields of a request that are refused, each with what to do instead."""

_HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "best_of": (1,),
    "chat_template_kwargs": ({},),
    "continue_final_message": (False,),
    "echo": (False,),
    "function_call": ("auto", "none"),  # without `functions`, which are refused
    "functions": ([],),
    "ignore_eos": (False,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "min_p": (0,),
    "min_tokens": (0,),
    "modalities": ([], ["text"]),
    "n": (1,),
    "repetition_penalty": (1,),
    "stop": ([], ""),
    "stop_token_ids": ([],),
    "top_k": (-1, 0),
    "top_logprobs": (0,),
    "use_beam_search": (False,),
}
"""Values that ask for nothing but what is served anyway; null is one everywhere."""

_ONLY_FUNCTIONS = "Use the type 'function': other tools are not served."
_REMEDIES = {
    "messages.*.audio": "Leave it out: send the text as `content`.",
    "messages.*.function_call": "Use `tool_calls`.",
    "messages.*.tool_calls.*.type": _ONLY_FUNCTIONS,
    "response_format": "Use 'text', 'json_object' or 'json_schema'.",
    "stream_options.include_obfuscation": "Leave it out or use false: chunks are not obfuscated.",
    "tool_choice": "Use 'auto' or 'none': the served models cannot be made to call a tool.",
    "tools.*.type": _ONLY_FUNCTIONS,
}


class FunctionDefinition(ChatModel):
    """A function that the model may ask the client to call."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(ChatModel):
    """A tool; only functions are served."""

    # Validated first: a tool of another kind has no `function`, and is refused by its type.
    type: Literal["function"]
    function: FunctionDefinition


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


class StreamOptions(ChatModel):
    """Options of a streamed answer."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class ChatRequest(ChatModel):
    """A Chat Completions request: the fields that are served.

    `idempotency_key` stands for the HTTP header Idempotency-Key, as in a Responses request.
    """

    idempotency_key: IdempotencyKey | None = None
    model: ModelName
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    max_completion_tokens: MaxTokens | None = None
    max_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    response_format: ResponseFormat | None = None
    verbosity: Verbosity | None = None
    reasoning_effort: str | None = None
    """Taken as `reasoning.effort` of a Responses request is."""

    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: Literal["auto", "none"] | None = None
    parallel_tool_calls: bool | None = None

    store: bool | None = None
    metadata: Metadata | None = None
    service_tier: AskedTier | None = None
    safety_identifier: ClientLabel | None = None
    prompt_cache_key: ClientLabel | None = None

    @property
    def include_usage(self) -> bool:
        """True if a streamed answer ends with a chunk of its usage."""
        return self.stream_options is not None and self.stream_options.include_usage is True


def parse_chat(value: Mapping[str, Any]) -> ChatRequest:
    """Validate a decoded body.

    Raises
    ------
    RequestError
        A field is missing, wrong, too long or not served; it names the first such field.
    """
    refuse_fields(value, UNSERVED, harmless=_HARMLESS)
    try:
        request = ChatRequest.model_validate(value)
    except ValidationError as error:
        raise refusal_of(error, remedies=_REMEDIES) from error
    _check_limits(request)
    _check_schemas(request)
    return request


def to_create_response(request: ChatRequest) -> CreateResponse:
    """Return the Responses request that asks for the same.

    It is not stored unless the client says so, which is this API's default.

    Raises
    ------
    RequestError
        A tool's message answers no call of an earlier message.
    """
    limit = request.max_completion_tokens or request.max_tokens
    effort = request.reasoning_effort
    return CreateResponse(
        idempotency_key=request.idempotency_key,
        model=request.model,
        input=items_of(request.messages),
        max_output_tokens=limit,
        temperature=request.temperature,
        top_p=request.top_p,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        text=TextOptions(format=_format(request.response_format), verbosity=request.verbosity),
        tools=[_function(tool.function) for tool in request.tools or ()] or None,
        tool_choice=request.tool_choice,
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
        check_schema(
            wanted.json_schema.schema_ or {},
            owner=f"response_format '{wanted.json_schema.name}'",
            param="response_format.json_schema.schema",
            code="invalid_json_schema",
        )
    for number, tool in enumerate(request.tools or ()):
        check_schema(
            tool.function.parameters or {},
            owner=f"function '{tool.function.name}'",
            param=f"tools.{number}.function.parameters",
            code="invalid_function_parameters",
            bounds=TOOL_BOUNDS,
        )


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


def _function(function: FunctionDefinition) -> FunctionTool:
    return FunctionTool(
        type="function",
        name=function.name,
        description=function.description,
        parameters=function.parameters,
        # Responses have strict functions by default, this API has not.
        strict=function.strict is True,
    )
