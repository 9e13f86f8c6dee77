"""A conversation's chat messages: instructions, earlier turns and input."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import ConfigDict, TypeAdapter

from axon.conversations import Turn
from axon.jobs import Job
from axon.protocol.items import FunctionCall, FunctionCallOutput, Item, Message, text_of
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
        return cls(
            instructions=[ChatMessage("system", instructions)] if instructions else [],
            turns=[list(_messages([*turn.input, *turn.output])) for turn in turns],
            input=list(_messages(job.input)),
        )

    def without(self, dropped: int) -> list[ChatMessage]:
        """Return the messages, oldest first, without those of the `dropped` oldest turns."""
        history = [message for turn in self.turns[dropped:] for message in turn]
        return [*self.instructions, *history, *self.input]


def _messages(items: list[dict[str, Any]]) -> Iterator[ChatMessage]:
    for item in _ITEMS.validate_python(items):
        match item:
            case Message(role="developer"):
                yield ChatMessage("system", item.text)
            case Message(role="user" | "assistant" | "system" as role):
                yield ChatMessage(role, item.text)
            case FunctionCall():
                call = ToolCall(item.call_id, item.name, item.arguments)
                yield ChatMessage("assistant", f"{item.name}({item.arguments})", call=call)
            case FunctionCallOutput():
                yield ChatMessage("tool", text_of(item.output), call_id=item.call_id)
