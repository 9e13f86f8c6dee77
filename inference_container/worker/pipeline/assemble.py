"""assemble: the chat messages that a model sees, from instructions, earlier turns and input."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import TypeAdapter

from axon.conversations import Turn
from axon.jobs import Job
from axon.protocol.items import FunctionCall, FunctionCallOutput, Item, Message, text_of
from worker.engines.protocol import ChatMessage

_ITEMS: TypeAdapter[list[Item]] = TypeAdapter(list[Item])


def assemble(job: Job, turns: Sequence[Turn]) -> list[ChatMessage]:
    """Return the messages, oldest first.

    Instructions are the request's own: those of earlier turns do not carry over, as in the
    OpenAI API. Reasoning items are not shown to the model.
    """
    instructions: str | None = job.response["instructions"]
    messages = [ChatMessage("system", instructions)] if instructions else []
    for turn in turns:
        messages += _messages(turn.input)
        messages += _messages(turn.output)
    messages += _messages(job.input)
    return messages


def _messages(items: Iterable[dict[str, Any]]) -> Iterator[ChatMessage]:
    for item in _ITEMS.validate_python(list(items)):
        match item:
            case Message(role="developer"):
                yield ChatMessage("system", item.text)
            case Message(role="user" | "assistant" | "system" as role):
                yield ChatMessage(role, item.text)
            case FunctionCall():
                yield ChatMessage("assistant", f"{item.name}({item.arguments})")
            case FunctionCallOutput():
                yield ChatMessage("tool", text_of(item.output))
