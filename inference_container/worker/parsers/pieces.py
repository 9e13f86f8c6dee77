"""Pieces: what a parser finds in the text of an answer, in order."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """Text for the client."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Text that the model has thought before its answer."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """The beginning of a call, once the name is whole."""

    name: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """The next part of the open call's arguments, as the model wrote it: JSON, unless it errs."""

    text: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The end of the open call."""


@dataclass(frozen=True, slots=True)
class MessageEnded:
    """The end of a text or of reasoning, in a format whose messages have ends of their own."""


Piece: TypeAlias = Text | Reasoning | CallBegun | Arguments | CallEnded | MessageEnded


def merged(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces without empty ones; those of one kind that follow each other are joined."""
    result: list[Piece] = []
    for piece in pieces:
        last = result[-1] if result else None
        match last, piece:
            case _, Text("") | Reasoning("") | Arguments(""):
                pass
            case Text(before), Text(text):
                result[-1] = Text(before + text)
            case Reasoning(before), Reasoning(text):
                result[-1] = Reasoning(before + text)
            case Arguments(before), Arguments(text):
                result[-1] = Arguments(before + text)
            case _:
                result.append(piece)
    return result
