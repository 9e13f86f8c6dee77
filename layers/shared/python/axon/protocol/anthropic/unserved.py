"""Fields of the Messages API that are not served: refused by name, as nothing may be ignored."""

from collections.abc import Collection, Mapping
from typing import Any

from axon.protocol.unserved import refuse_fields

HINTS = frozenset({"cache_control"})
"""Fields of a request that are taken and change nothing: prompts are cached without being asked."""
UNSERVED: Mapping[str, str] = {
    "container": "Leave it out: there are no containers.",
    "context_management": "Leave it out: shorten `messages` instead.",
    "diagnostics": "Leave it out: what the prompt cache misses is not explained.",
    "inference_geo": "Leave it out: models run in the region of the deployment.",
    "mcp_servers": "Leave it out: call the servers yourself, as `tools`.",
    "speed": "Leave it out: there is one speed.",
    "user_profile_id": "Leave it out: requests belong to the API key's tenant.",
}
"""Fields of a request, each with what to do instead."""
TOOL_HINTS = frozenset({"cache_control", "eager_input_streaming"})
"""Fields of a tool that change nothing: arguments are always streamed as the model writes them."""
UNSERVED_IN_TOOLS: Mapping[str, str] = {
    "allowed_callers": "Leave it out: only the model calls tools.",
    "defer_loading": "Leave it out: there is no tool search.",
    "input_examples": "Leave it out: write examples into `description`.",
}
"""Fields of a client's tool, each with what to do instead."""
UNKNOWN = "Leave it out: the field is not known here."
_NAME_CHARACTERS = 64
HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "allowed_callers": ([], ["direct"]),
    "context_management": ({},),
    "defer_loading": (False,),
    "diagnostics": ({}, {"previous_message_id": None}),
    "input_examples": ([],),
    "mcp_servers": ([],),
    "speed": ("standard",),
}
"""Values that ask for nothing but what is served anyway; null is one everywhere."""
_THINKING_EDIT = "clear_thinking_"
"""Beginning of the names of edits that leave out earlier thinking, which no model sees here."""


def refuse_unserved(request: Mapping[str, Any], served: Collection[str]) -> None:
    """Refuse a request, not validated yet, with a field that is not served.

    Parameters
    ----------
    request : Mapping[str, Any]
        The request.
    served : Collection[str]
        The fields that are.

    Raises
    ------
    RequestError
        It has such a field; the error names one.
    """
    taken = {*served, *HINTS}
    if _edits_thinking_only(request.get("context_management")):
        taken.add("context_management")
    _refuse(request, UNSERVED, taken=taken)


def refuse_unserved_in_tools(tools: Any, served: Collection[str]) -> None:
    """Refuse a client's tool, not validated yet, with a field that is not served.

    Tools of other types are not looked at: they are refused for their type.

    Parameters
    ----------
    tools : Any
        The request's tools.
    served : Collection[str]
        The fields of a tool that are served.

    Raises
    ------
    RequestError
        A tool has such a field; the error names one.
    """
    for number, tool in enumerate(tools if isinstance(tools, list) else ()):
        if isinstance(tool, dict) and tool.get("type") in (None, "custom"):
            taken = {*served, *TOOL_HINTS}
            _refuse(tool, UNSERVED_IN_TOOLS, taken=taken, where=f"tools.{number}.")


def _refuse(
    value: Mapping[str, Any], unserved: Mapping[str, str], *, taken: set[str], where: str = ""
) -> None:
    # Names are cut: those that nobody knows are the client's, as long as a whole request.
    asked = {name[:_NAME_CHARACTERS]: value[name] for name in value if name not in taken}
    remedies = {name: unserved.get(name, UNKNOWN) for name in asked}
    refuse_fields(asked, remedies, harmless=HARMLESS, where=where)


def _edits_thinking_only(management: Any) -> bool:
    """Return whether a context is to lose nothing but earlier thinking, as Claude Code asks."""
    edits = management.get("edits") if isinstance(management, dict) else None
    return isinstance(edits, list) and all(
        isinstance(edit, dict) and str(edit.get("type")).startswith(_THINKING_EDIT)
        for edit in edits
    )
