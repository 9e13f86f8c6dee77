"""A conversation's chat messages: instructions, earlier turns and input."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import ConfigDict, TypeAdapter

from axon.conversations import Turn
from axon.jobs import Job
from axon.protocol.items import FunctionCall, FunctionCallOutput, Item, Message, text_of
from axon.protocol.kept_items import as_function
from worker.engines.protocol import ChatMessage, ToolCall

_ITEMS: TypeAdapter[list[Item]] = TypeAdapter(
    list[Item], config=ConfigDict(hide_input_in_errors=True)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The chat messages of a conversation that a model may see, turns oldest first."""

    instructions: Sequence[ChatMessage]
    turns: Sequence[Sequence[ChatMessage]]
    input: Sequence[ChatMessage]

    @classmethod
    def of(cls, job: Job, turns: Iterable[Turn]) -> Self:
        """Return the conversation of a job and the turns that it continues.

        Instructions are the request's own: those of earlier turns do not carry over, as in the
        OpenAI API. Reasoning items are not shown to the model.
        """
        instructions: str | None = job.response["instructions"]
        names: dict[str, str] = {}
        return cls(
            instructions=[ChatMessage("system", instructions)] if instructions else [],
            turns=[list(_messages([*turn.input, *turn.output], names)) for turn in turns],
            input=list(_messages(job.input, names)),
        )

    def without(self, dropped: int) -> list[ChatMessage]:
        """Return the messages, oldest first, without those of the `dropped` oldest turns."""
        history = [message for turn in self.turns[dropped:] for message in turn]
        return _joined([*self.instructions, *history, *self.input])


def _messages(items: list[dict[str, Any]], names: dict[str, str]) -> Iterator[ChatMessage]:
    """Yield a message for each item.

    Parameters
    ----------
    items : list[dict[str, Any]]
        Items of one turn.
    names : dict[str, str]
        Names of the functions that were called before, by the ids of the calls. Those of the items
        are added: an id may come again, and an output is of the last call with it.
    """
    for item in _ITEMS.validate_python(list(map(as_function, items))):
        match item:
            case Message(role="developer"):
                yield ChatMessage("system", item.text)
            case Message(role="user" | "assistant" | "system" as role):
                yield ChatMessage(role, item.text)
            case FunctionCall():
                names[item.call_id] = item.name
                call = ToolCall(item.call_id, item.name, item.arguments)
                yield ChatMessage("assistant", "", calls=(call,))
            case FunctionCallOutput():
                name = names.get(item.call_id)
                yield ChatMessage("tool", text_of(item.output), call_id=item.call_id, name=name)


def _joined(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """Return the messages, calls that follow each other or an assistant's text in one with them.

    A model writes text and calls as one message, and templates show them so.
    """
    joined: list[ChatMessage] = []
    for message in messages:
        last = joined[-1] if joined else None
        if message.calls and not message.content and last and last.role == "assistant":
            joined[-1] = replace(last, calls=last.calls + message.calls)
        else:
            joined.append(message)
    return joined
