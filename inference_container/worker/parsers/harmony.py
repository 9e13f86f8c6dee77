"""Harmony: the answers of gpt-oss, whose messages name their channel and recipient.

See https://github.com/openai/harmony: a message is ``<|start|>HEADER<|message|>BODY<|end|>``; the
prompt ends with the first ``<|start|>assistant``.
"""

import re

from typing_extensions import override

from worker.parsers.answer import AnswerParser
from worker.parsers.markers import Markers
from worker.parsers.pieces import Arguments, CallBegun, CallEnded, Piece, Reasoning, Text, merged

_START, _MESSAGE = "<|start|>", "<|message|>"
_HEADER = Markers([_MESSAGE])
_BODY = Markers([_START, "<|end|>", "<|call|>", "<|return|>"])
_RECIPIENT = re.compile(r"to=(?:functions\.)?([\w.-]+)", re.A)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)", re.A)


class HarmonyAnswer(AnswerParser):
    """An answer in messages: analysis is reasoning, a message with a recipient is a call."""

    def __init__(self) -> None:
        self._held = self._header = ""
        self._in_body = False
        self._call = False
        self._kind: type[Text | Reasoning | Arguments] = Text

    @override
    def feed(self, text: str) -> list[Piece]:
        pieces: list[Piece] = []
        text, self._held = self._held + text, ""
        while text:
            before, marker, rest = (_BODY if self._in_body else _HEADER).split(text)
            if self._in_body:
                pieces.append(self._kind(before))
            else:
                self._header += before
            if marker is None:
                self._held = rest
                break
            if self._in_body:
                pieces += self._end_body()
            else:
                pieces += self._begin_body()
            text = rest
        return merged(pieces)

    @override
    def end(self) -> list[Piece]:
        if not self._in_body:
            return []
        return merged([self._kind(self._held), *self._end_body()])

    def _begin_body(self) -> list[Piece]:
        channel, recipient = _CHANNEL.search(self._header), _RECIPIENT.search(self._header)
        self._header, self._in_body = "", True
        self._call = recipient is not None
        if recipient is not None:
            self._kind = Arguments
            return [CallBegun(recipient[1])]
        self._kind = Reasoning if channel and channel[1] == "analysis" else Text
        return []

    def _end_body(self) -> list[Piece]:
        self._in_body = False
        return [CallEnded()] if self._call else []
