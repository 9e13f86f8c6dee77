"""Families of models: how each writes reasoning and calls, by name and by its chat template."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from worker.parsers.answer import AnswerParser, CallFormat, MarkedAnswer, ReasoningFormat
from worker.parsers.harmony import HarmonyAnswer
from worker.parsers.json_calls import JsonCalls
from worker.parsers.marked_calls import MarkedCalls
from worker.parsers.mistral_calls import MARKER, MistralCalls
from worker.parsers.section import Section, Tools
from worker.parsers.xml_calls import FUNCTION, XmlCalls

HARMONY = "harmony"
"""Name of the format in which all of an answer is in messages, reasoning and calls among them."""
THINK = ReasoningFormat(begin="<think>", end="</think>")
MISTRAL_THINK = ReasoningFormat(begin="[THINK]", end="[/THINK]")
REASONING_FORMATS: Mapping[str, ReasoningFormat] = {"think": THINK, "mistral": MISTRAL_THINK}
"""Markers of reasoning, by the names that settings use."""


def _token(name: str) -> str:
    """Return a token of DeepSeek, between vertical lines of full width."""
    return f"<\uff5c{name}\uff5c>"


_CALL, _SEPARATOR = _token("tool▁call▁begin"), _token("tool▁sep")


def hermes(_: Tools) -> CallFormat:
    """Return the format of Hermes, Qwen 2.5, Qwen 3 and SmolLM2: JSON between tags."""
    begin = "<tool_call>"
    return CallFormat({begin: lambda: JsonCalls(begin=begin, close="</tool_call>")}, {})


def mistral(_: Tools) -> CallFormat:
    """Return the format of Mistral's models."""
    return CallFormat({MARKER: MistralCalls}, {})


def llama3(tools: Tools) -> CallFormat:
    """Return the format of Llama 3: JSON behind a token, or as the whole answer."""
    tag = "<|python_tag|>"

    def bare() -> Section:
        # Any object may be an answer: only one with a function's name is a call.
        section = JsonCalls(begin="", names=tools)
        section.feed("{")
        return section

    return CallFormat({tag: lambda: JsonCalls(begin=tag)}, {"{": bare})


def deepseek_v3(_: Tools) -> CallFormat:
    """Return the format of DeepSeek V3 and R1: a name, and JSON in a fence of Markdown."""
    begin = f"{_CALL}function{_SEPARATOR}"
    return _deepseek(begin, separator="\n")


def deepseek_v31(_: Tools) -> CallFormat:
    """Return the format of DeepSeek V3.1: a name and JSON between tokens."""
    return _deepseek(_CALL, separator=_SEPARATOR)


def kimi_k2(_: Tools) -> CallFormat:
    """Return the format of Kimi K2, whose calls are named ``functions.NAME:INDEX``."""

    def section() -> Section:
        return MarkedCalls(
            begin="<|tool_call_begin|>",
            separator="<|tool_call_argument_begin|>",
            end="<|tool_call_end|>",
            close="<|tool_calls_section_end|>",
            name=lambda text: text.strip().removeprefix("functions.").rpartition(":")[0],
        )

    return CallFormat({"<|tool_calls_section_begin|>": section}, {})


def qwen3_coder(tools: Tools) -> CallFormat:
    """Return the format of Qwen3-Coder: an element for each argument."""
    return CallFormat(
        {
            "<tool_call>": lambda: XmlCalls(tools=tools, begun=False),
            FUNCTION: lambda: XmlCalls(tools=tools, begun=True),
        },
        {},
    )


CALL_FORMATS: Mapping[str, Callable[[Tools], CallFormat]] = {
    "hermes": hermes,
    "mistral": mistral,
    "llama3": llama3,
    "deepseek_v3": deepseek_v3,
    "deepseek_v31": deepseek_v31,
    "kimi_k2": kimi_k2,
    "qwen3_coder": qwen3_coder,
}
"""Makers of formats, by the names that settings use."""


def parser_of(
    *, calls: str | None, reasoning: str | None, opened: bool, tools: Tools
) -> AnswerParser:
    """Return the parser of an answer.

    Parameters
    ----------
    calls, reasoning : str | None
        Names of formats, or `HARMONY` in both; None to take the one or the other for text.
    opened : bool
        The prompt has ended with the marker that begins the reasoning.
    tools : Tools
        The functions that the answer may call.

    Raises
    ------
    LookupError
        There is no format of that name.
    """
    if HARMONY in (calls, reasoning):
        return HarmonyAnswer()
    thinks = None if reasoning is None else replace(REASONING_FORMATS[reasoning], opened=opened)
    return MarkedAnswer(
        calls=None if calls is None else CALL_FORMATS[calls](tools), reasoning=thinks
    )


def _deepseek(begin: str, *, separator: str) -> CallFormat:
    def section() -> Section:
        return MarkedCalls(
            begin=begin,
            separator=separator,
            end=_token("tool▁call▁end"),
            close=_token("tool▁calls▁end"),
        )

    return CallFormat({_token("tool▁calls▁begin"): section}, {})
