"""Styles of chat templates: what a template shows of tools and calls, found by trying it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, get_args

from worker.engines.chat_template import Json, Template, TemplateFailedError

CallIds = Literal["own", "short", "indexed"]
"""Ids of calls in prompts: the conversation's own, nine letters and digits (Mistral), or the name
with a number (Kimi K2, whose prompts have no other name of the function)."""
Arguments = Literal["object", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStyle:
    """The form in which a template takes the calls of earlier turns.

    Parameters
    ----------
    ids : CallIds
        The ids that it accepts.
    arguments : Arguments
        Whether it takes the arguments as an object, or as JSON in a text.
    no_text : str | None
        The content of a message that has calls alone.
    with_text : bool
        True if it shows text and calls of one message; else each gets a message.
    several : bool
        True if it shows several calls of one message; else each gets a message, followed by its
        output.
    """

    ids: CallIds
    arguments: Arguments
    no_text: str | None
    with_text: bool = True
    several: bool = True


@dataclass(frozen=True, slots=True)
class TemplateStyle:
    """Tools and calls as far as a template shows them to the model.

    Parameters
    ----------
    tools : bool
        True if it shows tools.
    calls : CallStyle | None
        How it takes calls and their outputs; None if it does not show them.
    example : str
        A prompt with a call of an earlier turn; empty if it does not show calls.
    beginning : str
        A prompt that ends where an answer begins; empty if it fails on a user's message alone.
    """

    tools: bool
    calls: CallStyle | None
    example: str = ""
    beginning: str = ""


_TOOL, _OTHER_TOOL = "axon_probe_one", "axon_probe_two"
_ARGUMENT, _VALUE = "axon_argument", "axon_value"
_TEXT, _OUTPUT, _OTHER_OUTPUT = "axon text", "axon output one", "axon output two"
_USER: Json = {"role": "user", "content": "axon question"}
_TOOLS: list[Json] = [
    {
        "type": "function",
        "function": {
            "name": _TOOL,
            "description": "axon description",
            "parameters": {
                "type": "object",
                "properties": {_ARGUMENT: {"type": "string", "description": "axon"}},
                "required": [_ARGUMENT],
            },
        },
    }
]
_IDS: dict[CallIds, tuple[str, str]] = {
    "own": ("call_axon_probe_of_one", "call_axon_probe_of_two"),
    "short": ("axonprob1", "axonprob2"),
    "indexed": (f"functions.{_TOOL}:0", f"functions.{_OTHER_TOOL}:1"),
}


def style_of(template: Template) -> TemplateStyle:
    """Return the style of a template, by what it makes of a few conversations."""
    beginning = _rendered(template, [_USER])
    tools = _rendered(template, [_USER], _TOOLS)
    ids: Sequence[CallIds] = get_args(CallIds)
    forms: Sequence[Arguments] = get_args(Arguments)
    for kind, form, no_text in product(ids, forms, (None, "")):
        calls = CallStyle(ids=kind, arguments=form, no_text=no_text)
        example = _rendered(template, _conversation(calls))
        if _shows_call(example) and example.count("None") == beginning.count("None"):
            calls = CallStyle(
                ids=kind,
                arguments=form,
                no_text=no_text,
                with_text=_shows(template, calls, text=_TEXT),
                several=_shows(template, calls, several=True),
            )
            return TemplateStyle(_TOOL in tools, calls, example, beginning)
    return TemplateStyle(_TOOL in tools, None, beginning=beginning)


def _rendered(
    template: Template, messages: Sequence[Json], tools: Sequence[Json] | None = None
) -> str:
    """Return the prompt, empty if the template fails."""
    try:
        return template(messages, tools)
    except TemplateFailedError:
        return ""


def _shows_call(prompt: str) -> bool:
    # In this order: the name may stand in the output as well.
    places = [prompt.find(part) for part in (_TOOL, _ARGUMENT, _VALUE, _OUTPUT)]
    shown = places[0] >= 0 and places == sorted(places)
    # Not as Python writes an object, or as JSON in JSON.
    return shown and f"'{_ARGUMENT}'" not in prompt and f'\\"{_ARGUMENT}' not in prompt


def _shows(template: Template, style: CallStyle, *, text: str = "", several: bool = False) -> bool:
    prompt = _rendered(template, _conversation(style, text=text, several=several))
    parts = [text, *((_OTHER_TOOL, _OTHER_OUTPUT) if several else ())]
    return _shows_call(prompt) and all(part in prompt for part in parts)


def _conversation(style: CallStyle, *, text: str = "", several: bool = False) -> list[Json]:
    calls = [(_TOOL, _OUTPUT), (_OTHER_TOOL, _OTHER_OUTPUT)][: 2 if several else 1]
    made = list(zip(_IDS[style.ids], calls, strict=False))
    asked = {
        "role": "assistant",
        "content": text or style.no_text,
        "tool_calls": [_call(style, call_id, name) for call_id, (name, _) in made],
    }
    outputs = [
        {"role": "tool", "tool_call_id": call_id, "name": name, "content": output}
        for call_id, (name, output) in made
    ]
    return [_USER, asked, *outputs]


def _call(style: CallStyle, call_id: str, name: str) -> Json:
    given = {_ARGUMENT: _VALUE}
    arguments: Any = given if style.arguments == "object" else json.dumps(given)
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
