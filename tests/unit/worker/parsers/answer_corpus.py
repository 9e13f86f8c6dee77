"""Answers of five families of models, rendered from the items that they stand for."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from worker.parsers.answer_format import AnswerFormat

Call = tuple[str, Mapping[str, Any]]

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        },
    },
    {"type": "function", "name": "search", "parameters": {"type": "object", "properties": {}}},
    {"type": "function", "name": "now", "parameters": {}},
]


@dataclass(frozen=True)
class Answer:
    """An answer: its raw text, and the items that it stands for."""

    family: str
    form: AnswerFormat
    reasoning: str
    text: str
    calls: Sequence[tuple[str, str]]
    raw: str

    @property
    def tokens(self) -> list[str]:
        """The raw text in tokens of one, two, three or four characters."""
        tokens, rest = list[str](), self.raw
        while rest:
            size = 1 + len(tokens) % 4
            tokens.append(rest[:size])
            rest = rest[size:]
        return tokens


_ROME: Call = ("get_weather", {"city": "Rome", "days": 3})
_CALLS: Sequence[Sequence[Call]] = [
    [],
    [_ROME],
    [_ROME, ("get_weather", {"city": "Oslo"})],
    [("now", {}), ("now", {}), _ROME],
    [("search", {"query": 'a "quoted" {brace} [and] \\ more'})],
    [("search", {"query": "Zürich 東京 🌍"})],
    [("search", {"query": "line\nbreak\ttab </tool_cal"})],
    [("search", {"filter": {"a": [1, 2, {"b": None}], "c": True}, "limit": 10})],
    [("search", {"query": "x" * 60}), ("now", {}), ("search", {"query": ""})],
    [("now", {"zone": "<think>", "deep": {"deeper": {"deepest": []}}})],
]
_REASONING = ("", "The user asks < about\n\nRome > 1. So: look it up {first}.")
_TEXT = ("", "I look it up: 1 < 2 & <b>so</b>\n[on] 🌍 `{` it goes.")


def _compact(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False)


def _think(reasoning: str) -> str:
    return f"<think>\n{reasoning}\n</think>\n\n" if reasoning else ""


def _hermes(reasoning: str, text: str, calls: Sequence[Call]) -> str:
    written = [
        f'<tool_call>\n{{"name": "{name}", "arguments": {_compact(arguments)}}}\n</tool_call>'
        for name, arguments in calls
    ]
    return _think(reasoning) + "\n".join([text, *written] if text else written)


def _mistral(reasoning: str, text: str, calls: Sequence[Call]) -> str:
    thought = f"[THINK]{reasoning}[/THINK]" if reasoning else ""
    written = [{"name": name, "arguments": arguments} for name, arguments in calls]
    array = f"[TOOL_CALLS] {json.dumps(written, ensure_ascii=False)}" if calls else ""
    return thought + text + array


def _deepseek(reasoning: str, text: str, calls: Sequence[Call]) -> str:
    def token(name: str) -> str:
        return f"<\uff5ctool▁{name}\uff5c>"

    written = "".join(
        f"{token('call▁begin')}{name}{token('sep')}{_compact(arguments)}{token('call▁end')}"
        for name, arguments in calls
    )
    section = f"{token('calls▁begin')}{written}{token('calls▁end')}" if calls else ""
    return _think(reasoning) + text + section


def _coder(reasoning: str, text: str, calls: Sequence[Call]) -> str:
    def parameter(name: str, value: Any) -> str:
        shown = value if isinstance(value, str) else json.dumps(value)
        return f"<parameter={name}>\n{shown}\n</parameter>\n"

    written = [
        "<tool_call>\n<function={}>\n{}</function>\n</tool_call>".format(
            name, "".join(parameter(*each) for each in arguments.items())
        )
        for name, arguments in calls
    ]
    return _think(reasoning) + "\n".join([text, *written] if text else written)


def _harmony(reasoning: str, text: str, calls: Sequence[Call]) -> str:
    messages = [f"<|channel|>analysis<|message|>{reasoning}<|end|>"] if reasoning else []
    if text:
        messages.append(f"<|channel|>commentary<|message|>{text}<|end|>")
    messages += [
        f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"
        f"{_compact(arguments)}<|call|>"
        for name, arguments in calls
    ]
    return "<|start|>assistant".join(messages)


_FAMILIES: Mapping[str, tuple[AnswerFormat, Callable[[str, str, Sequence[Call]], str]]] = {
    "hermes": (AnswerFormat(calls="hermes", reasoning="think"), _hermes),
    "mistral": (AnswerFormat(calls="mistral", reasoning="mistral"), _mistral),
    "deepseek": (AnswerFormat(calls="deepseek_v31", reasoning="think"), _deepseek),
    "coder": (AnswerFormat(calls="qwen3_coder", reasoning="think"), _coder),
    "harmony": (AnswerFormat(calls="harmony", reasoning="harmony"), _harmony),
}


def corpus() -> Iterator[Answer]:
    """Yield 200 answers: forty of each family."""
    for family, (form, render) in _FAMILIES.items():
        for reasoning, text, calls in product(_REASONING, _TEXT, _CALLS):
            # Qwen3-Coder's elements have no types: a value without a schema is a text.
            given = [(name, _as_text(a) if family == "coder" else a) for name, a in calls]
            yield Answer(
                family,
                form,
                reasoning,
                text,
                [(name, _compact(arguments)) for name, arguments in given],
                render(reasoning, text, calls),
            )


def _as_text(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        name: value if isinstance(value, str) or name == "days" else json.dumps(value)
        for name, value in arguments.items()
    }
