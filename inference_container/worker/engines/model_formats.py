"""Formats in which a model writes calls and reasoning, found from its chat template."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from worker.engines.protocol import ModelInfo
from worker.engines.template_style import TemplateStyle

HERMES = "hermes"
NONE = "none"
"""The setting of a model that is to have no such format."""

_CALLS: Mapping[str, re.Pattern[str]] = {
    "harmony": re.compile(r"<\|channel\|>.*?to=functions\.|to=functions\..*?<\|channel\|>", re.S),
    "deepseek_v3": re.compile("<\uff5ctool▁call▁begin\uff5c>function<\uff5ctool▁sep\uff5c>"),
    "deepseek_v31": re.compile("<\uff5ctool▁call▁begin\uff5c>"),
    "kimi_k2": re.compile(r"<\|tool_calls_section_begin\|>"),
    "mistral": re.compile(r"\[TOOL_CALLS\]"),
    "qwen3_coder": re.compile(r"<tool_call>\s*<function="),
    HERMES: re.compile(r"<tool_call>\s*[\[{]"),
    "llama3": re.compile(r'(?:<\|python_tag\|>|\})?\s*\{"name":\s*"\w+",\s*"parameters":'),
}
"""Patterns of a call of an earlier turn in a prompt, by the names of
`worker.parsers.families`; the first that is found counts."""
_REASONING: Mapping[str, tuple[str, re.Pattern[str]]] = {
    "harmony": ("", re.compile(r"<\|channel\|>analysis")),
    "mistral": ("[THINK]", re.compile(r"\[/?THINK\]")),
    "think": ("<think>", re.compile(r"</?think>")),
}
"""Marker that begins reasoning, and what names the format in a template, by format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFormats:
    """The formats of a model, as in `ModelInfo`.

    Parameters
    ----------
    call : str | None
        How it writes calls; None if it is to be shown no tools.
    reasoning : str | None
        How it marks its reasoning.
    opened : bool
        True if prompts end with the marker that begins the reasoning.
    """

    call: str | None = None
    reasoning: str | None = None
    opened: bool = False

    def added_to(self, model: ModelInfo) -> ModelInfo:
        """Return a model with these formats."""
        return replace(
            model,
            call_format=self.call,
            reasoning_format=self.reasoning,
            reasoning_opened=self.opened,
        )

    @classmethod
    def of(cls, given: "GivenFormats", *, call: str | None) -> Self:
        """Return what the operator sets, or this format of calls and no reasoning."""
        made = given.call or call
        return cls(
            call=None if made == NONE else made,
            reasoning=None if given.reasoning == NONE else given.reasoning,
        )

    @classmethod
    def found(cls, style: TemplateStyle, *, source: str, given: "GivenFormats") -> Self:
        """Return the formats of a model with such a template.

        Parameters
        ----------
        style : TemplateStyle
            What the template shows.
        source : str
            Its program, or a prompt where that is not known.
        given : GivenFormats
            The operator's settings.
        """
        reasoning = given.reasoning or next(
            (name for name, (_, sign) in _REASONING.items() if sign.search(source)), NONE
        )
        marker = _REASONING[reasoning][0] if reasoning in _REASONING else ""
        # A template that shows no tools gets them as text, in this form.
        call = (given.call or call_format(style) or HERMES) if style.tools else HERMES
        return cls(
            call=None if given.call == NONE else call,
            reasoning=None if reasoning == NONE else reasoning,
            opened=bool(marker) and style.beginning.rstrip().endswith(marker),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFormats:
    """The formats that the operator sets; None for those to be found, `NONE` for no format."""

    call: str | None = None
    reasoning: str | None = None


FOUND = GivenFormats()
"""No settings: both are found."""


def usable(style: TemplateStyle, given: GivenFormats) -> TemplateStyle:
    """Return the style to write prompts by: one whose calls can be read.

    Calls that no parser reads would reach clients as text. So a model with such calls gets tools in
    the form that one gets whose template shows none.
    """
    if style.tools and (given.call is not None or call_format(style) is not None):
        return style
    return TemplateStyle(tools=False, calls=None, beginning=style.beginning)


def call_format(style: TemplateStyle) -> str | None:
    """Return how calls are written in the prompts of a template, None if that is not known."""
    return next((name for name, sign in _CALLS.items() if sign.search(style.example)), None)
