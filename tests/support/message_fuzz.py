"""Messages as hostile or broken clients send them: those of the SDK, with parts replaced."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

Json = Any
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
ITEMS: Sequence[Json] = (
    {"role": "user", "content": "hi"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
    {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    {"role": "developer", "content": [{"type": "input_text", "text": "be brief"}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "1"},
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
    {"type": "item_reference", "id": "msg_1"},
    {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
)
FIELDS: Sequence[tuple[str, Json]] = (
    ("instructions", "be kind"),
    ("previous_response_id", "resp_" + "0" * 32),
    ("max_output_tokens", 16),
    ("max_tool_calls", 2),
    ("temperature", 0.5),
    ("top_p", 0.9),
    ("top_logprobs", 0),
    ("presence_penalty", 0.1),
    ("frequency_penalty", -0.1),
    ("text", {"format": SCHEMA, "verbosity": "low"}),
    ("text", {"format": {"type": "json_object"}}),
    ("truncation", "auto"),
    ("tools", [TOOL, TOOL]),
    ("tool_choice", "auto"),
    ("parallel_tool_calls", True),
    ("reasoning", {"effort": "low", "summary": None}),
    ("store", False),
    ("metadata", {"a": "b", "c": "d"}),
    ("service_tier", "flex"),
    ("safety_identifier", "u"),
    ("prompt_cache_key", "k"),
    ("idempotency_key", "k"),
    ("stream_id", "s"),
    ("generate", False),
    ("cancel_on_disconnect", True),
    ("include", ["reasoning.encrypted_content"]),
    ("background", False),
    ("stream", True),
    ("user", "u"),
    ("prompt", {"id": "pmpt_1"}),
    ("context_management", [{"type": "compaction"}]),
    ("max_tokens", 5),
    ("future_field", {"a": [1]}),
)
CHARACTERS = '\x00\x01\x08\x1b\x7f\x85\u2028\ufeff\ufffe\uffff\U0001f600\u202e\n\r\t "\\/<|im_end|>'
NUMBERS: Sequence[Json] = (
    0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.1, -0.0, 1e-320, 1e308,
    -1e308, 1.5,
)  # fmt: skip
EMPTY: Sequence[Json] = ("", [], {}, [[]], [{}], [None], {"": ""}, {"type": None})
RAW = ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" * 5000, "0x1", "01", "1.", "'x'",
       r'"\ud800"', r'"\udfff\ud800"', r'"\u0000"', r'"\ud83d\ude00"', '"\x00"', '"\n"', "", "{",
       "[", "}", "nul", "{}{}", '{"a":1,"a":2}', '{"type":1,"type":"message"}')  # fmt: skip
"""Pieces of JSON that an encoder would not write, or not so; some are wrong."""


class MessageFuzz:
    """Makes messages, the same ones for the same seed.

    Parameters
    ----------
    seed : int
        Seed of all choices.
    response_ids : Sequence[str]
        Responses that messages may name; the caller adds to it.
    """

    def __init__(self, seed: int, *, response_ids: Sequence[str]) -> None:
        self._random = random.Random(seed)
        self._response_ids = response_ids
        self._changes: Sequence[Callable[[Json], Json]] = (
            lambda _: None,
            lambda _: self._random.choice(NUMBERS),
            lambda _: self._random.choice((True, False)),
            lambda _: self._random.choice(EMPTY),
            self._text,
            self._long,
            self._nested,
            lambda value: [value] * self._random.choice((1, 2, 200)),
            lambda value: {"type": self._random.choice(("text", "message", "x")), "value": value},
            lambda _: self._random.choice(ITEMS),
            lambda _: self._random.choice(FIELDS)[1],
            lambda _: _RAW_MARK,
        )

    def message(self) -> str:
        """Return the next message, as a client's text."""
        value = self._message()
        for _ in range(self._random.choice((0, 1, 1, 1, 1, 2))):
            value = self._changed(value)
        text = json.dumps(value, ensure_ascii=self._random.random() < 0.5)
        while _QUOTED_MARK in text:
            text = text.replace(_QUOTED_MARK, self._random.choice(RAW), 1)
        return self._damaged(text) if self._random.random() < 0.03 else text

    def _message(self) -> Json:
        kind = self._random.random()
        if kind < 0.8:
            return self._create()
        named = {"response_id": self._response_id()}
        if kind < 0.87:
            return {"type": "response.resume", "starting_after": 0, **named}
        if kind < 0.94:
            return {"type": "response.cancel", **named}
        return {"type": self._random.choice(("response.delete", "response.dance")), **named}

    def _create(self) -> Json:
        request: dict[str, Json] = {"type": "response.create", "model": "echo", "input": "hi"}
        if self._random.random() < 0.6:
            count = self._random.choice((1, 2, 3, 6))
            # Most types are served; an output must follow its call.
            request["input"] = self._random.choices([*ITEMS[:5], ITEMS[6]], k=count)
            if self._random.random() < 0.3:
                request["input"] += [ITEMS[4], ITEMS[5]]
        names = self._random.choice((FIELDS, FIELDS[:-5], FIELDS[2:28]))
        for name, value in self._random.sample(names, k=self._random.choice((0, 1, 1, 2, 4))):
            request[name] = value
        if self._random.random() < 0.1:
            request["previous_response_id"] = self._response_id()
        return request

    def _response_id(self) -> str:
        if not self._response_ids or self._random.random() < 0.2:
            return self._random.choice(("", "x", "resp_\x00", "resp_" + "0" * 32, "r" * 64))
        return self._random.choice(self._response_ids)

    def _changed(self, value: Json) -> Json:
        """Return a copy with one part, at any depth, replaced, removed or added."""
        if isinstance(value, dict) and value and self._random.random() < 0.9:
            name = self._random.choice(list(value))
            if name == "type" or (name == "model" and self._random.random() < 0.7):
                # A message of another type, or for another model, tests nothing else.
                name = self._random.choice(list(value))
            changed = dict(value)
            match self._random.random():
                case chance if chance < 0.05:
                    del changed[name]
                case chance if chance < 0.1:
                    changed[self._text(None)] = changed.pop(name)
                case _:
                    changed[name] = self._changed(value[name])
            return changed
        if isinstance(value, list) and value and self._random.random() < 0.9:
            index = self._random.randrange(len(value))
            return [*value[:index], self._changed(value[index]), *value[index + 1 :]]
        return self._random.choice(self._changes)(value)

    def _text(self, _value: Json) -> str:
        return "".join(self._random.choices(CHARACTERS, k=self._random.choice((1, 3, 65))))

    def _long(self, _value: Json) -> str:
        return self._random.choice("aé😀\x00") * self._random.choice((64, 65, 257, 513, 20_000))

    def _nested(self, _value: Json) -> Json:
        value: Json = self._text(None)
        for level in range(self._random.choice((5, 55, 61, 63, 64, 70, 150))):
            value = {"a": value} if level % 2 else [value]
        return value

    def _damaged(self, text: str) -> str:
        place = self._random.randrange(len(text) + 1)
        match self._random.randrange(4):
            case 0:
                return text[:place]
            case 1:
                return text[:place] + self._random.choice(RAW) + text[place:]
            case 2:
                return "\ufeff" + text
            case _:
                return self._random.choice(("", "null", "[]", "5", '"x"', "{", "[" * 300, "{}"))


_RAW_MARK = "raw-json-here"
_QUOTED_MARK = f'"{_RAW_MARK}"'
