"""Fields of OpenAI's APIs that Axon does not serve: refused by name, as nothing may be ignored."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any

from pydantic import BaseModel

from axon.exceptions import RequestError
from axon.protocol.tools import OtherTool

HINTS = frozenset({"prompt_cache_options", "prompt_cache_retention", "stream", "user"})
"""Fields of a request that are taken and change nothing.

A cache may keep a prompt for as long as it likes; `user` is an older name of `safety_identifier`;
and a WebSocket always streams.
"""

_FOR_CHAT = "It is a parameter of Chat Completions. "
UNSERVED: Mapping[str, str] = {
    "access_programs": "Leave it out.",
    "context_management": "Leave it out: use `truncation`, or start a new conversation.",
    "image": "Leave it out: only text is made.",
    "personality": "Leave it out: describe the style in `instructions`.",
    "moderation": "Leave it out: nothing is moderated.",
    "stream_options": "Leave it out: events are not obfuscated.",
    "functions": _FOR_CHAT + "Use `tools`.",
    "function_call": _FOR_CHAT + "Use `tool_choice`.",
    "logit_bias": _FOR_CHAT + "Leave it out, or ask there.",
    "logprobs": _FOR_CHAT + "Leave it out: log probabilities are not returned.",
    "max_completion_tokens": _FOR_CHAT + "Use `max_output_tokens`.",
    "max_tokens": _FOR_CHAT + "Use `max_output_tokens`.",
    "messages": _FOR_CHAT + "Use `input`.",
    "n": _FOR_CHAT + "Send one request for each answer.",
    "reasoning_effort": _FOR_CHAT + "Use `reasoning.effort`.",
    "response_format": _FOR_CHAT + "Use `text.format`.",
    "seed": _FOR_CHAT + "Leave it out, or ask there.",
    "stop": _FOR_CHAT + "Leave it out, or ask there.",
    "top_k": "Leave it out: use `top_p`.",
    "verbosity": _FOR_CHAT + "Use `text.verbosity`.",
}
"""Fields of a request, each with what to do instead."""
UNSERVED_IN_TOOLS: Mapping[str, str] = {
    "allowed_callers": "Leave it out: only the model calls functions.",
    "async": "Leave it out: an answer ends with its calls.",
    "defer_loading": "Leave it out: there is no tool search.",
}
"""Fields of a client's tool, each with what to do instead."""
CLIENT_TOOLS = ("function", "custom", "namespace")
"""Types of tools that the client runs itself."""
_AS_FUNCTION = "Offer a tool of the type 'function' that does the same."
_TRAINED = f"Only models that were trained for it know its actions. {_AS_FUNCTION}"
_HOSTED = f"No service runs it here. {_AS_FUNCTION}"
UNSERVED_TOOLS: Mapping[str, str] = {
    "apply_patch": _TRAINED,
    "code_interpreter": _HOSTED,
    "computer": _TRAINED,
    "computer_use_preview": _TRAINED,
    "file_search": _HOSTED,
    "image_generation": "Leave it out: only text is made.",
    "local_shell": _TRAINED,
    "mcp": "Call the server yourself, and offer its tools as functions.",
    "programmatic_tool_calling": "Leave it out: only the model calls tools.",
    "shell": _TRAINED,
    "tool_search": "Leave it out, and offer the tools themselves: none is loaded later.",
    "web_search": f'{_HOSTED} Codex leaves it out with `web_search = "disabled"`.',
    "web_search_preview": _HOSTED,
}
"""Types of tools that are not served, each with what to do instead."""
_DATE = re.compile(r"_20\d\d_\d\d_\d\d$")
"""End of the type of a dated version of a tool."""
_STREAM_OPTIONS = ("include_obfuscation", "include_usage")
HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "allowed_callers": ([], ["direct"]),
    "async": (False,),
    "context_management": ([],),
    "defer_loading": (False,),
    "logprobs": (False,),
    "n": (1,),
    # Obfuscation hides the lengths of deltas from who watches the network; none is promised. Some
    # programs ask for the usage as in Chat Completions; the last event has it anyway.
    "stream_options": tuple(
        dict(zip(names, asked, strict=True))
        for names in ((), *combinations(_STREAM_OPTIONS, 1), _STREAM_OPTIONS)
        for asked in product((False, True, None), repeat=len(names))
    ),
}
"""Values that ask for nothing but what is served anyway; null is one everywhere."""


def refuse_unserved(request: Mapping[str, Any]) -> None:
    """Refuse a request, not validated yet, that asks for something that is not served.

    Raises
    ------
    RequestError
        It has such a field; the error names the first one.
    """
    refuse_fields(request, UNSERVED, harmless=HARMLESS)
    for where, item in objects_of(request, "input"):
        if item.get("type") == "item_reference":
            raise RequestError(
                f"Invalid '{where}': unknown item type: item_reference. Send the items themselves: "
                "references are served by POST /v1/responses alone. The AI SDK sends none with "
                "`store: false` in `providerOptions.openai`.",
                code="invalid_value",
                param=where,
            )
    for where, tool in objects_of(request, "tools"):
        if tool.get("type") in CLIENT_TOOLS:
            refuse_unserved_in_tool(tool, where=f"{where}.")
            for inner, member in objects_of(tool, "tools"):
                refuse_unserved_in_tool(member, where=f"{where}.{inner}.")


def refuse_tools(tools: Sequence[BaseModel], *, ignored: Collection[str]) -> None:
    """Refuse a request with a tool that nobody here can run or let the client run.

    Parameters
    ----------
    tools : Sequence[BaseModel]
        The request's tools.
    ignored : Collection[str]
        Types of such tools that are taken and shown to no model, by the deployment's settings.

    Raises
    ------
    RequestError
        It names the first such tool, and what to do instead.
    """
    for number, tool in enumerate(tools):
        if isinstance(tool, OtherTool) and tool.type not in ignored:
            remedy = UNSERVED_TOOLS.get(_DATE.sub("", tool.type), "Leave the tool out.")
            raise RequestError(
                f"Invalid 'tools.{number}.type': tools of the type '{tool.type}' are not served. "
                f"{remedy}",
                code="invalid_value",
                param=f"tools.{number}.type",
                hint="An operator can have them ignored (AXON_IGNORED_TOOLS).",
            )


def refuse_unserved_in_tool(tool: Mapping[str, Any], *, where: str) -> None:
    """Refuse a client's tool, not validated yet, that asks for something that is not served.

    Raises
    ------
    RequestError
        It has such a field; the error names it by its path, which begins with `where`.
    """
    refuse_fields(tool, UNSERVED_IN_TOOLS, harmless=HARMLESS, where=where)


def objects_of(request: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects in a list of a request that is not validated yet, each with its path."""
    values = request.get(name)
    for number, value in enumerate(values if isinstance(values, list) else ()):
        if isinstance(value, dict):
            yield f"{name}.{number}", value


def refuse_fields(
    value: Mapping[str, Any],
    unserved: Mapping[str, str],
    *,
    harmless: Mapping[str, tuple[Any, ...]],
    where: str = "",
) -> None:
    """Refuse an object that has a field which is not served.

    Parameters
    ----------
    value : Mapping[str, Any]
        A request, or a part of one, not validated yet.
    unserved : Mapping[str, str]
        Names of the fields, each with what to do instead.
    harmless : Mapping[str, tuple[Any, ...]]
        Values of such fields that ask for nothing but what is served anyway; null is one of each.
    where : str
        The object's path in the request, with a dot at its end.

    Raises
    ------
    RequestError
        It names the field and what to do instead.
    """
    for name in value.keys() & unserved.keys():
        asked = value[name]
        if asked is not None and asked not in harmless.get(name, ()):
            param = where + name
            raise RequestError(
                f"Unsupported parameter: '{param}'. {unserved[name]}",
                code="unsupported_parameter",
                param=param,
            )
