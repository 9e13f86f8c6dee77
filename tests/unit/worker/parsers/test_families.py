"""The formats in which families of models write calls and reasoning."""

import random
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.parsers.answer import AnswerParser, MarkedAnswer, ReasoningFormat
from worker.parsers.families import CALL_FORMATS, MISTRAL_THINK, THINK
from worker.parsers.harmony import HarmonyAnswer
from worker.parsers.pieces import (
    Arguments,
    CallBegun,
    CallEnded,
    MessageEnded,
    Piece,
    Reasoning,
    Text,
    merged,
)

_TOOLS = {
    "get_weather": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    }
}
_OPENED = ReasoningFormat(begin="<think>", end="</think>", opened=True)


def _parser(family: str, reasoning: ReasoningFormat | None = None) -> AnswerParser:
    if family == "harmony":
        return HarmonyAnswer()
    return MarkedAnswer(calls=CALL_FORMATS[family](_TOOLS), reasoning=reasoning)


def _parsed(parser: AnswerParser, chunks: Iterable[str]) -> list[Piece]:
    pieces = [piece for chunk in chunks for piece in parser.feed(chunk)]
    return merged(pieces + parser.end())


def _call(name: str, arguments: str) -> list[Piece]:
    return [CallBegun(name), Arguments(arguments), CallEnded()]


def _d(name: str) -> str:
    """Return a token of DeepSeek."""
    return f"<\uff5ctool▁{name}\uff5c>"


_CASES: Sequence[tuple[str, str, ReasoningFormat | None, list[Piece]]] = [
    (
        "hermes",
        (
            "<think>\nA trip.\n</think>\n\nI look.\n<tool_call>\n"
            '{"name": "get_weather", "arguments": {"city": "Par\\"}is", "days": 3}}\n</tool_call>\n'
            '<tool_call>\n{"name": "b"}\n</tool_call>'
        ),
        THINK,
        [
            Reasoning("A trip."),
            Text("I look."),
            *_call("get_weather", '{"city": "Par\\"}is", "days": 3}'),
            *_call("b", "{}"),
        ],
    ),
    ("hermes", "A trip.</think>\n\nRome.", _OPENED, [Reasoning("A trip."), Text("Rome.")]),
    ("hermes", "<think>\n\n</think>\n\nRome.", THINK, [Text("Rome.")]),
    ("hermes", "Use <think> here.", THINK, [Text("Use <think> here.")]),
    (
        "hermes",
        (
            '<tool_call>[{"arguments": {"x": [1, {}]}, "name": "a"}, {"name": "b", "arguments": '
            '"{\\"y\\": 1}"}]</tool_call>\nDone.'
        ),
        None,
        [*_call("a", '{"x": [1, {}]}'), *_call("b", '{"y": 1}'), Text("Done.")],
    ),
    (
        "hermes",
        '<tool_call>{"name": "a"}\n<tool_call>{"name": "b"}}</tool_call>',
        None,
        [*_call("a", "{}"), *_call("b", "{}")],
    ),
    ("hermes", " no call: {} < <tool_ ", None, [Text(" no call: {} < <tool_ ")]),
    ("hermes", "<tool_call>none</tool_call>", None, [Text("<tool_call>none</tool_call>")]),
    ("hermes", '<tool_call>{"x": 1}</tool_call>', None, [Text('<tool_call>{"x": 1}</tool_call>')]),
    ("hermes", '<tool_call>[{"x"', None, [Text('<tool_call>[{"x"')]),
    (
        "hermes",
        '<tool_call>{"name": "a", "arguments": {"x": "cut',
        None,
        [CallBegun("a"), Arguments('{"x": "cut'), CallEnded()],
    ),
    (
        "mistral",
        (
            '[THINK]Hm.[/THINK][TOOL_CALLS] [{"name": "a", "arguments": {"x": 1}}, {"name": "b", '
            '"arguments": {}, "id": "i1"}]'
        ),
        MISTRAL_THINK,
        [Reasoning("Hm."), *_call("a", '{"x": 1}'), *_call("b", "{}")],
    ),
    (
        "mistral",
        'Hi[TOOL_CALLS]get_weather[CALL_ID]a1[ARGS]{"city": "Rome"}[TOOL_CALLS]b{"x": {}}',
        None,
        [Text("Hi"), *_call("get_weather", '{"city": "Rome"}'), *_call("b", '{"x": {}}')],
    ),
    ("mistral", "[TOOL_CALLS] is a token", None, [Text("[TOOL_CALLS] is a token")]),
    (
        "llama3",
        '{"name": "get_weather", "parameters": {"city": "Rome"}}; {"name": "get_weather"}',
        None,
        [*_call("get_weather", '{"city": "Rome"}'), *_call("get_weather", "{}")],
    ),
    ("llama3", '{"name": "Bob", "age": 3} ', None, [Text('{"name": "Bob", "age": 3} ')]),
    ("llama3", 'So {"name": "get_weather"}', None, [Text('So {"name": "get_weather"}')]),
    (
        "llama3",
        '<|python_tag|>{"type": "function", "function": {"name": "f", "parameters": {"a": 1}}}',
        None,
        _call("f", '{"a": 1}'),
    ),
    (
        "deepseek_v3",
        (
            f"Sure.\n{_d('calls▁begin')}{_d('call▁begin')}function{_d('sep')}f\n```json\n"
            f'{{"a": "b"}}\n```{_d("call▁end")}\n{_d("call▁begin")}function{_d("sep")}g\n```json\n'
            f"{{}}\n```{_d('call▁end')}{_d('calls▁end')}"
        ),
        None,
        [Text("Sure."), *_call("f", '{"a": "b"}'), *_call("g", "{}")],
    ),
    (
        "deepseek_v31",
        (
            f'{_d("calls▁begin")}{_d("call▁begin")}f{_d("sep")}{{"a": 1}}{_d("call▁end")}'
            f"{_d('call▁begin')}g{_d('sep')}{_d('call▁end')}{_d('calls▁end')}"
        ),
        None,
        [*_call("f", '{"a": 1}'), *_call("g", "{}")],
    ),
    (
        "kimi_k2",
        (
            "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>"
            '{"a": 1}<|tool_call_end|><|tool_calls_section_end|>'
        ),
        None,
        _call("f", '{"a": 1}'),
    ),
    (
        "qwen3_coder",
        (
            'Now.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nNew\n"York"\n</parameter>\n'
            "<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>"
        ),
        None,
        [Text("Now."), *_call("get_weather", '{"city": "New\\n\\"York\\"", "days": 3}')],
    ),
    (
        "qwen3_coder",
        "<function=get_weather>\n<parameter=days>soon</parameter></function>\nDone.",
        None,
        [*_call("get_weather", '{"days": "soon"}'), Text("Done.")],
    ),
    (
        "harmony",
        (
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>"
            "I look.<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json"
            '<|message|>{"a": 1}<|call|>'
        ),
        None,
        [
            *(Reasoning("Hm."), MessageEnded(), Text("I look."), MessageEnded()),
            *_call("f", '{"a": 1}'),
        ],
    ),
    (
        "harmony",
        (
            "<|channel|>commentary<|message|>I look.<|end|>"
            "<|start|>assistant<|channel|>final<|message|>Rome."
        ),
        None,
        [Text("I look."), MessageEnded(), Text("Rome."), MessageEnded()],
    ),
    (
        "harmony",
        "<|channel|>final<|message|>Rome.<|return|>",
        None,
        [Text("Rome."), MessageEnded()],
    ),
]


@pytest.mark.parametrize(("family", "text", "reasoning", "pieces"), _CASES)
def test_answer_is_parsed_alike_however_it_is_cut(
    family: str, text: str, reasoning: ReasoningFormat | None, pieces: list[Piece]
) -> None:
    assert _parsed(_parser(family, reasoning), [text]) == pieces
    assert _parsed(_parser(family, reasoning), text) == pieces
    for cut in range(len(text)):
        assert _parsed(_parser(family, reasoning), [text[:cut], text[cut:]]) == pieces


_FRAGMENTS = [
    *("<think>", "</think>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "\n", " "),
    *('{"name": "f"', '"name": "get_weather"', '"arguments": {"x": 1}', "{", "}", "[", "]", ","),
    *("<function=f>", "<parameter=city>", "</parameter>", "</function>", "<|python_tag|>", '"'),
    *("<|channel|>analysis", "<|message|>", "<|end|>", "to=functions.f", "hello", "\\", ":", ">"),
    *(_d("calls▁begin"), _d("call▁begin"), "function", _d("sep"), _d("call▁end"), _d("calls▁end")),
]


@given(
    family=st.sampled_from([*CALL_FORMATS, "harmony"]),
    fragments=st.lists(st.sampled_from(_FRAGMENTS), max_size=12),
    seed=st.integers(0, 2**16),
)
def test_any_text_is_parsed_alike_however_it_is_cut(
    family: str, fragments: list[str], seed: int
) -> None:
    text = "".join(fragments)
    whole = _parsed(_parser(family, THINK), [text])
    rest, chunks = text, []
    generator = random.Random(seed)
    while rest:
        size = generator.randint(1, 9)
        chunks.append(rest[:size])
        rest = rest[size:]
    assert _parsed(_parser(family, THINK), chunks) == whole
    _assert_calls_are_closed(whole)


def _assert_calls_are_closed(pieces: list[Piece]) -> None:
    is_open = False
    for piece in pieces:
        match piece:
            case CallBegun():
                assert not is_open
                is_open = True
            case Arguments():
                assert is_open
            case CallEnded():
                assert is_open
                is_open = False
            case _:
                assert not is_open
    assert not is_open


@given(text=st.text(alphabet="abc {}<[\n\"'", max_size=40), family=st.sampled_from([*CALL_FORMATS]))
def test_text_without_a_marker_is_given_unchanged(text: str, family: str) -> None:
    assert _parsed(_parser(family), [text]) == merged([Text(text)])
