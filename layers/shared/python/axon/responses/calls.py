"""Refusal of a tool's output that answers no call."""

from collections.abc import Iterable

from axon.exceptions import RequestError
from axon.protocol.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
)
from axon.protocol.requests import CreateResponse

_OUTPUTS = (FunctionCallOutput, CustomToolCallOutput)


def check_calls(request: CreateResponse, call_ids: Iterable[str]) -> None:
    """Refuse a tool's output that answers no call, of the request or of earlier turns.

    Parameters
    ----------
    request : CreateResponse
        The request.
    call_ids : Iterable[str]
        Calls of the turns that it continues.
    """
    if isinstance(request.input, str):
        return
    known = set(call_ids)
    for item in request.input:
        if isinstance(item, FunctionCall | CustomToolCall):
            known.add(item.call_id)
        elif isinstance(item, _OUTPUTS) and item.call_id not in known:
            kind = "function" if isinstance(item, FunctionCallOutput) else "custom tool"
            raise RequestError(
                f"No tool call found for {kind} call output with call_id {item.call_id}.",
                code="tool_call_not_found",
                param="input",
            )
