"""The response object and its parts, as the OpenAI API shows them."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from axon.protocol.requests import CreateResponse
from axon.protocol.tool_choice import ToolChoice
from axon.protocol.tools import FunctionTool
from axon.serialization import dumps

Json = dict[str, Any]

TERMINAL_EVENTS = ("response.completed", "response.incomplete", "response.failed")
"""Types of the events that end a response; a cancelled one ends by ``response.incomplete``."""


STOP_SEQUENCE = "stop_sequence"
"""Field of a message that a stop string has ended, with that string: an addition to the API."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one response; those of its reasoning are among its output."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def wire(self) -> Json:
        """Return the ``usage`` object of the API's response."""
        return {
            "input_tokens": self.input_tokens,
            "input_tokens_details": {
                "cached_tokens": self.cached_tokens,
                "cache_write_tokens": 0,
            },
            "output_tokens": self.output_tokens,
            "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "total_tokens": self.input_tokens + self.output_tokens,
        }


def response_object(request: CreateResponse, *, response_id: str, created_at: int) -> Json:
    """Return the response as it is when it is created: the 31 fields of the Open Responses schema.

    `created_at` is in seconds of the Unix epoch.
    """
    named = {"conversation": request.conversation.model_dump()} if request.conversation else {}
    response = {
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "completed_at": None,
        "status": "queued",
        "incomplete_details": None,
        "model": request.model,
        "previous_response_id": request.previous_response_id,
        "instructions": request.instructions,
        "output": [],
        "error": None,
        "tools": [_tool(tool) for tool in request.tools or ()],
        "tool_choice": _choice(request.tool_choice),
        "truncation": request.truncation or "disabled",
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "text": {"format": _format(request.text.format.model_dump())},
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "presence_penalty": request.presence_penalty or 0.0,
        "frequency_penalty": request.frequency_penalty or 0.0,
        "top_logprobs": 0,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "reasoning": {"effort": None, "summary": None},
        "usage": None,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "store": request.stored,
        "background": False,
        "service_tier": request.tier,
        "metadata": request.metadata or {},
        "safety_identifier": request.safety_identifier,
        "prompt_cache_key": request.prompt_cache_key,
    }
    return response | named


def with_stream_id(event: Json, stream_id: str | None) -> Json:
    """Return an event with the stream id that the client sent, if it sent one."""
    return event if stream_id is None else event | {"stream_id": stream_id}


def without_instructions(event: Json) -> Json:
    """Return an event with its response's `instructions` null, as the API allows.

    It is the one long field that a response may leave out: the client has sent it, and jobs and
    history keep it.
    """
    return event | {"response": event["response"] | {"instructions": None}}


def encoded(event: Json, *, message_bytes: int | None) -> bytes:
    """Return an event with a response as JSON, without instructions that no message can carry.

    Parameters
    ----------
    event : Json
        The event.
    message_bytes : int | None
        The longest event that the client's connection carries; None if any.
    """
    data = dumps(event)
    if message_bytes is None or len(data) <= message_bytes:
        return data
    return dumps(without_instructions(event))


def terminal_type(status: str) -> str:
    """Return the type of the event that ends a response with this status."""
    return f"response.{status if status in ('completed', 'failed') else 'incomplete'}"


def _tool(tool: BaseModel) -> Json:
    if not isinstance(tool, FunctionTool):
        return tool.model_dump(exclude_unset=True)  # as it was sent
    shown = tool.model_dump()
    return shown | {"strict": tool.strict is not False, "parameters": tool.parameters or {}}


def _choice(choice: ToolChoice | None) -> Any:
    """Return the choice of tools as it was sent."""
    if isinstance(choice, BaseModel):
        return choice.model_dump(exclude_unset=True)
    return choice or "auto"


def _format(text_format: Json) -> Json:
    if text_format["type"] != "json_schema":
        return text_format
    return text_format | {"strict": text_format["strict"] is True}


def message_item(item_id: str, *, text: str | None, status: str) -> Json:
    """Return an assistant's message; `text` None means that its content has not begun."""
    content = [] if text is None else [text_part(text)]
    return {
        "id": item_id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def text_part(text: str) -> Json:
    """Return a message's text part."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def deleted_event(response_id: str, *, stream_id: str | None = None) -> Json:
    """Return the answer to ``response.delete``; its response is what OpenAI's HTTP API returns."""
    deleted = {"id": response_id, "object": "response", "deleted": True}
    return with_stream_id({"type": "response.deleted", "response": deleted}, stream_id)


def cancelled_event(response_id: str, *, stream_id: str | None = None) -> Json:
    """Return the answer to ``response.cancel`` where the terminal event does not come."""
    cancelled = {"id": response_id, "object": "response", "status": "cancelled"}
    return with_stream_id({"type": "response.cancelled", "response": cancelled}, stream_id)
