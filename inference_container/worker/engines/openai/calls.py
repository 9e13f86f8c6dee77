"""Calls that an upstream has parsed, as text of a format that is read here.

An answer is text, whose pieces the event log keeps as ids. So a call is written into it in the form
of Hermes, and found there by the same parser as a model's own.
"""

from collections.abc import Mapping
from typing import Any

from axon.serialization import dumps
from worker.engines.model_formats import HERMES
from worker.engines.openai.shapes import ShapeError, kind_of

CALL_FORMAT = HERMES
"""The format in which calls stand in the text."""
_END = "</tool_call>"


class CallJoiner:
    """Joins the parts of calls, which arrive one after the other, and writes whole ones as text.

    A call is written once it is whole: an answer that breaks off in one can then be continued as if
    the call had not begun, and none is repeated.
    """

    def __init__(self) -> None:
        self._index: object = None
        self._name = self._arguments = ""

    def add(self, delta: Mapping[str, Any]) -> str:
        """Take the calls of a delta; return the text of those that are whole by then.

        Raises
        ------
        ShapeError
            They are no list of calls as in OpenAI's API.
        """
        calls = delta.get("tool_calls")
        if not calls:
            return ""
        return "".join(self._add(call) for call in _listed(calls))

    def end(self) -> str:
        """Return the text of the last call, as no part of it follows; empty if there is none."""
        name, arguments = self._name, self._arguments
        self._index, self._name, self._arguments = None, "", ""
        if not name:
            return ""
        # As a text in JSON: whatever it is, it cannot end the call's object.
        call = dumps({"name": name, "arguments": arguments.strip() or "{}"}).decode()
        return f"\n<tool_call>\n{call}\n{_END}\n"

    def _add(self, call: Mapping[str, Any]) -> str:
        function = _object(call.get("function") or {}, "function")
        name = _text(function.get("name"), "function.name")
        index = call.get("index")
        # Servers that send each call whole may give no index.
        begins = bool(name) and (index is None or index != self._index)
        ended = self.end() if begins else ""
        if begins:
            self._index, self._name = index, name
        elif not self._name:
            raise ShapeError("choices[0].delta.tool_calls", "begin without a function's name")
        self._arguments += _text(function.get("arguments"), "function.arguments")
        return ended


def has_call(text: str) -> bool:
    """Return whether the text of an answer has a call: nothing but calls can follow it."""
    return _END in text


def _listed(calls: object) -> list[Mapping[str, Any]]:
    if not isinstance(calls, list):
        raise ShapeError("choices[0].delta.tool_calls", f"must be a list, not {kind_of(calls)}")
    return [_object(call, f"[{number}]") for number, call in enumerate(calls)]


def _object(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        what = f"choices[0].delta.tool_calls.{field}"
        raise ShapeError(what, f"must be an object, not {kind_of(value)}")
    return value


def _text(value: object, field: str) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):  # some servers give arguments as the object itself
        return dumps(value).decode()
    if not isinstance(value, str):
        what = f"choices[0].delta.tool_calls.{field}"
        raise ShapeError(what, f"must be text, not {kind_of(value)}")
    return value
