"""Harmony: the answers of gpt-oss, whose messages name their channel and recipient.

See https://github.com/openai/harmony: a message is ``<|start|>HEADER<|message|>BODY<|end|>``; the
prompt ends with the first ``<|start|>assistant``.
"""

import re

from typing_extensions import override

from worker.parsers.answer import AnswerParser
from worker.parsers.markers import Markers
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
from worker.parsers.spans import Spans

_START, _MESSAGE = "<|start|>", "<|message|>"
_HEADER = Markers([_MESSAGE])
_BODY = Markers([_START, "<|end|>", "<|call|>", "<|return|>"])
_RECIPIENT = re.compile(r"to=(?:functions\.)?([\w.-]+)", re.A)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)", re.A)


class HarmonyAnswer(AnswerParser):
    """An answer in messages: analysis is reasoning, a message with a recipient is a call."""

    def __init__(self) -> None:
        self.reasoning = Spans()
        self._fed = self._message_at = 0
        self._held = self._header = ""
        self._in_body = False
        self._call = False
        self._kind: type[Text | Reasoning | Arguments] = Text

    @override
    def feed(self, text: str) -> list[Piece]:
        pieces: list[Piece] = []
        self._fed += len(text)
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
                # The marker that begins the next message is no part of this one.
                self._message_at = self._fed - len(rest) - (len(marker) if marker == _START else 0)
                pieces += self._end_body()
            else:
                pieces += self._begin_body()
            text = rest
        return merged(pieces)

    @override
    def end(self) -> list[Piece]:
        if not self._in_body:
            return []
        self._message_at = self._fed
        return merged([self._kind(self._held), *self._end_body()])

    def _begin_body(self) -> list[Piece]:
        channel, recipient = _CHANNEL.search(self._header), _RECIPIENT.search(self._header)
        self._header, self._in_body = "", True
        self._call = recipient is not None
        if recipient is not None:
            self._kind = Arguments
            return [CallBegun(recipient[1])]
        self._kind = Text
        if channel and channel[1] == "analysis":
            self._kind = Reasoning
            self.reasoning.begin(self._message_at)
        return []

    def _end_body(self) -> list[Piece]:
        self._in_body = False
        if self._kind is Reasoning and self.reasoning.open:
            self.reasoning.end(self._message_at)
        return [CallEnded() if self._call else MessageEnded()]
