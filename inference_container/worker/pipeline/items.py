"""AnswerItems: the pieces of an answer as events of a response's items. No I/O."""

from collections.abc import Iterable, Iterator, Sequence

from axon.event_log.log import LoggedEvent
from axon.protocol.output_items.function_call import FunctionCallItem
from axon.protocol.output_items.item import OutputItem
from axon.protocol.output_items.message import MessageItem
from axon.protocol.output_items.reasoning import ReasoningItem
from axon.protocol.output_items.text_part import Draft
from axon.protocol.sizes import LONGEST_CHARACTER
from axon.protocol.tools import OfferedTool, model_name
from axon.protocol.transcript import Transcript
from axon.serialization import loads
from worker.engines.protocol import EngineError, FinishReason
from worker.parsers.custom_input import CustomInput
from worker.parsers.pieces import (
    Arguments,
    CallBegun,
    CallEnded,
    MessageEnded,
    Piece,
    Reasoning,
    Text,
)


class AnswerItems:
    """Writes text as messages, reasoning as reasoning items, and calls as function calls.

    The items of a log follow from the pieces of its token ids. So an attempt that continues one
    gives all of those pieces first (`repeat`): what the log has of them makes no event. A batch of
    events continues at most the item that was open, by its first event, which brings the batch's
    token ids. So even where a log lacks the last events of a batch, an item with any content has
    all that belongs to the logged ids.

    Parameters
    ----------
    transcript : Transcript
        The response so far.
    tools : Iterable[OfferedTool]
        The tools that the model saw: a call names one of them, unless the model errs.

    Attributes
    ----------
    full : bool
        True once the client's messages have no room for what follows: it is left out.
    """

    def __init__(self, transcript: Transcript, tools: Iterable[OfferedTool] = ()) -> None:
        self.full = False
        self._tools = {tool.name: tool for tool in tools}
        self._input: CustomInput | None = None
        """Finds the text for the custom tool whose call is open."""
        self._transcript = transcript
        self._open: OutputItem | None = None
        self._next = 0
        self._logged = len(transcript.items)
        self._given: OutputItem | None = None
        """The item whose content an earlier attempt has given, as far as it is repeated."""

    def repeat(self, pieces: Iterable[Piece]) -> list[LoggedEvent]:
        """Return the events that the log lacks of the pieces of its token ids.

        Raises
        ------
        EngineError
            The log has other items.
        """
        last = self._transcript.items[-1] if self._logged else None
        self._given = None if last is None or last.empty else last
        events = self.add(pieces)
        self._given = None
        if self._next == self._logged - 1 and isinstance(last, MessageItem) and last.empty:
            # No piece stands for the empty message that an answer ends with for want of another.
            self._open, self._next = last, self._logged
        if self._next < self._logged:
            raise _other_items(self._transcript)
        room = self._transcript.room
        # Its content may have been cut: then there is less room than any character needs.
        self.full = self.full or (room is not None and room < LONGEST_CHARACTER)
        return events

    def add(self, pieces: Iterable[Piece], token_ids: Sequence[int] = ()) -> list[LoggedEvent]:
        """Return the events of further pieces; the first one brings the token ids.

        Without any event the token ids wait for the next one.
        """
        return self._transcript.log(self._drafts(pieces), token_ids)

    def end(self, reason: FinishReason, stop: str | None = None) -> list[LoggedEvent]:
        """Return the events of the answer's end.

        An answer that is complete has a message or a call: without either it gets an empty message.

        Parameters
        ----------
        reason : FinishReason
            Why it has ended.
        stop : str | None
            The stop string that has ended its text.
        """
        complete = reason == "stop"
        return self._transcript.log(self._ending(complete=complete, stop=stop))

    def _ending(self, *, complete: bool, stop: str | None) -> Iterator[Draft]:
        if stop is not None and not isinstance(self._open, MessageItem):
            yield from self._close()  # a stop string stands in a text, if only at its beginning
            yield from self._begin(MessageItem)
        if isinstance(self._open, MessageItem):
            self._open.stop = stop
        yield from self._close(complete=complete)
        items = self._transcript.items
        spoken = any(not isinstance(item, ReasoningItem) for item in items)
        if not items or (complete and not spoken):
            yield from self._transcript.begin_message().close(complete=complete)

    def _drafts(self, pieces: Iterable[Piece]) -> Iterator[Draft]:
        for piece in pieces:
            if self.full:
                return
            match piece:
                case Text(text):
                    yield from self._grow(MessageItem, text)
                case Reasoning(text):
                    yield from self._grow(ReasoningItem, text)
                case CallBegun(name):
                    yield from self._begin_call(name)
                case Arguments(text):
                    yield from self._add(self._input.feed(text) if self._input else text)
                case CallEnded():
                    yield from self._end_call()
                case MessageEnded():
                    yield from self._close()

    def _grow(self, kind: type[MessageItem] | type[ReasoningItem], text: str) -> Iterator[Draft]:
        if not isinstance(self._open, kind):
            yield from self._close()
            yield from self._begin(kind)
        yield from self._add(text)

    def _begin_call(self, name: str) -> Iterator[Draft]:
        yield from self._close()
        tool = self._tools.get(name)
        self._input = CustomInput() if tool and tool.custom else None
        yield from self._begin(FunctionCallItem, name)

    def _begin(self, kind: type[OutputItem], name: str = "") -> Iterator[Draft]:
        """Begin the next item, or take the one that the log has in its place."""
        transcript, index = self._transcript, self._next
        if index < self._logged:
            item = transcript.items[index]
            called = ""
            if isinstance(item, FunctionCallItem):
                called = model_name(item.name, item.namespace)
            if not isinstance(item, kind) or called != name:
                raise _other_items(transcript)
        else:
            item = self._new(kind, name)
            if transcript.room is not None and transcript.room <= item.size:
                transcript.withdraw(item)
                self.full = True
                return
        self._open, self._next = item, index + 1
        if not item.closed:
            yield from item.open()

    def _new(self, kind: type[OutputItem], name: str) -> OutputItem:
        if kind is FunctionCallItem:
            tool = self._tools.get(name) or OfferedTool(name=name, tool=name)
            return self._transcript.begin_function_call(
                tool.tool, namespace=tool.namespace, custom=tool.custom
            )
        if kind is ReasoningItem:
            return self._transcript.begin_reasoning()
        return self._transcript.begin_message()

    def _add(self, text: str) -> Iterator[Draft]:
        item = self._open
        if item is None or item.closed or item is self._given:
            return
        fitting = self._transcript.fitting(text)
        self.full = fitting != text
        match item:
            case FunctionCallItem():
                yield from item.add_arguments(fitting)
            case MessageItem() | ReasoningItem():
                yield from item.add_text(fitting)

    def _end_call(self) -> Iterator[Draft]:
        if self._input:
            yield from self._add(self._input.end())
        item = self._open
        if isinstance(item, FunctionCallItem) and not item.closed:
            whole = self._input.complete if self._input else _is_json(item.arguments)
            yield from self._close(complete=whole and not self.full)

    def _close(self, *, complete: bool = True) -> Iterator[Draft]:
        item, self._open = self._open, None
        if item is not None:
            yield from item.close(complete=complete)


def _is_json(text: str) -> bool:
    try:
        loads(text)
    except ValueError:
        return False
    return True


def _other_items(transcript: Transcript) -> EngineError:
    return EngineError(
        f"{transcript.response_id} cannot be continued: its items are not those of its tokens."
    )
