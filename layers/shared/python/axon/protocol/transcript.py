"""A response's events: which may follow which, with gapless numbers. No I/O.

    created -> in_progress -> output item* -> completed | incomplete | failed

Items follow one another; `axon.protocol.output_items` has the events of each kind. The state can be
rebuilt from logged events, so that a later attempt continues where an earlier one stopped: ids
derive from the response's own, and numbers continue the log's.
"""

import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TypeVar

from axon.event_log.log import LoggedEvent, Status
from axon.protocol.objects import Json, Usage, encoded, terminal_type, with_stream_id
from axon.protocol.outlines import Outline
from axon.protocol.output_items import kinds
from axon.protocol.output_items.function_call import FunctionCallItem
from axon.protocol.output_items.item import LONGEST_STATUS, OutputItem
from axon.protocol.output_items.message import MessageItem
from axon.protocol.output_items.reasoning import ReasoningItem
from axon.protocol.output_items.text_part import Draft
from axon.protocol.sizes import (
    END_BYTES,
    ERROR_BYTES,
    MESSAGE_BYTES,
    beginning,
    json_bytes,
)
from axon.serialization import dumps, loads

Item = TypeVar("Item", bound=OutputItem)

_BARE: Json = {
    "status": LONGEST_STATUS,
    "instructions": None,
    "output": [],
    "usage": None,
    "error": None,
    "incomplete_details": None,
    "completed_at": None,
}
"""Values with which the size of a response is counted, of the fields that its end changes."""


class Transcript:
    """Builds the events of one response, in order.

    The items' methods give drafts of events; `log` numbers them. `delta` and `close_message` do
    both for a response whose output is one message.

    Parameters
    ----------
    response : Json
        The response object as it was created; this object changes with the events.
    stream_id : str | None
        Echoed on every event when the client sent one.
    message_bytes : int | None
        The longest event that the client's connection carries; None if any.

    Attributes
    ----------
    early_usage : Usage | None
        Usage of the prompt, if the event that begins the output is to tell it, which the Responses
        API does not have. It belongs to the output's beginning: a later attempt says nothing new.
    """

    def __init__(
        self,
        response: Json,
        *,
        stream_id: str | None = None,
        message_bytes: int | None = MESSAGE_BYTES,
    ) -> None:
        self.response = response
        self.next_sequence = 0
        self.items: list[OutputItem] = []
        self.token_ids: list[int] = []
        self.early_usage: Usage | None = None
        self._unlogged_ids: list[int] = []
        self._stream_id = stream_id
        self._message_bytes = message_bytes
        self.outline = Outline()

    @property
    def response_id(self) -> str:
        """The response's id."""
        return str(self.response["id"])

    @property
    def open_item(self) -> OutputItem | None:
        """The item that grows, if there is one."""
        return self.items[-1] if self.items and not self.items[-1].closed else None

    @property
    def message(self) -> MessageItem | None:
        """The latest message, open or closed."""
        return next((i for i in reversed(self.items) if isinstance(i, MessageItem)), None)

    @property
    def text(self) -> str:
        """The text of the latest message."""
        return self.message.text if self.message else ""

    @property
    def message_status(self) -> str | None:
        """Status of the latest message once it has ended (``completed``, ``incomplete``)."""
        return self.message.status if self.message and self.message.closed else None

    @property
    def room(self) -> int | None:
        """Bytes of text, as JSON, that every event of the response's end has room for.

        None if any text has. The terminal event is the longest one: it repeats all items and most
        of the request. It is counted without instructions, which it leaves out before all else.
        """
        if self._message_bytes is None:
            return None
        items = sum(item.size + 1 for item in self.items if item.begun)
        return self._message_bytes - self._bare_end_bytes - END_BYTES - items

    def fitting(self, text: str) -> str:
        """Return as much of a text, from its beginning, as the response has room for."""
        room = self.room
        return text if room is None else beginning(text, room)

    def replay(self, events: Iterable[LoggedEvent]) -> None:
        """Restore the state that logged events left.

        Raises
        ------
        ValueError
            An event begins an item of an unknown type.
        """
        for logged in events:
            event = loads(logged.data)
            self.outline.note(event["type"], event)
            if event["type"] == "response.in_progress":
                self.response["status"] = "in_progress"
            elif "output_index" in event:
                self._replay_item(event)
            self.token_ids.extend(logged.token_ids)
            self.next_sequence = logged.sequence_number + 1
        self._show_closed_items()

    def created(self) -> LoggedEvent:
        """Return event 0."""
        return self._begun_event("response.created")

    def in_progress(self) -> LoggedEvent:
        """Return the event of the first attempt's beginning."""
        self.response["status"] = "in_progress"
        return self._begun_event("response.in_progress")

    def first_events(self) -> list[LoggedEvent]:
        """Return the events that follow from the request alone, the same bytes each time."""
        return [self.created(), self.in_progress()]

    def begin_message(self) -> MessageItem:
        """Return a new message behind the items so far; it gives no event before it is opened.

        Raises
        ------
        ValueError
            The item before has not ended.
        """
        return self._begin(kinds.new_message(self._next_place, {}))

    def begin_reasoning(self) -> ReasoningItem:
        """Return a new reasoning item, as `begin_message` does.

        Raises
        ------
        ValueError
            The item before has not ended.
        """
        return self._begin(kinds.new_reasoning(self._next_place, {}))

    def begin_function_call(
        self,
        name: str,
        *,
        call_id: str | None = None,
        namespace: str | None = None,
        custom: bool = False,
    ) -> FunctionCallItem:
        """Return a new call, as `begin_message` does.

        Parameters
        ----------
        name : str
            The tool's name.
        call_id : str | None
            None for one that derives from the response's id.
        namespace : str | None
            The tool's namespace, if it has one.
        custom : bool
            The tool is a custom one: its arguments are a text.

        Raises
        ------
        ValueError
            The item before has not ended.
        """
        make = kinds.new_custom_tool_call if custom else kinds.new_function_call
        fields = {"name": name, "call_id": call_id, "namespace": namespace}
        return self._begin(make(self._next_place, fields))

    def withdraw(self, item: OutputItem) -> None:
        """Take back the last item, which has given no event: its place is free again."""
        self.items.remove(item)

    def log(self, drafts: Iterable[Draft], token_ids: Sequence[int] = ()) -> list[LoggedEvent]:
        """Return an item's drafts with sequence numbers; the first event carries the token ids.

        Without any draft the token ids wait for the next event.
        """
        self.token_ids.extend(token_ids)
        self._unlogged_ids.extend(token_ids)
        events = [self._event(event_type, **fields) for event_type, fields in drafts]
        if self.items and self.items[-1].closed:
            self._show_closed_items()
        return events

    def delta(self, text: str, token_ids: Sequence[int]) -> list[LoggedEvent]:
        """Return the events of text that was generated; the first one also opens the message."""
        message = self.message or self.begin_message()
        # The token ids belong to the text's event, not to those that open the message.
        opening = self.log(message.open())
        return opening + self.log(message.add_text(text), token_ids)

    def close_message(self, *, complete: bool = True, stop: str | None = None) -> list[LoggedEvent]:
        """Return the events of the text's end.

        Repeating it adds nothing. A response without any text gets an empty message.

        Parameters
        ----------
        complete : bool
            False when it was cut short.
        stop : str | None
            The stop string that has ended it.
        """
        message = self.message or self.begin_message()
        message.stop = message.stop or stop
        return self.log(message.close(complete=complete))

    def cut_short(self) -> list[LoggedEvent]:
        """Return the events that end the open item, if it has any text to show."""
        item = self.open_item
        return self.log(item.close(complete=False)) if item and not item.empty else []

    def end(
        self,
        status: Status,
        *,
        usage: Usage | None = None,
        reason: str | None = None,
        error: Json | None = None,
    ) -> LoggedEvent:
        """Return the terminal event.

        Parameters
        ----------
        status : Status
            A terminal status.
        usage : Usage | None
            Token counts; None where there are none to report.
        reason : str | None
            Why an incomplete response is (``max_output_tokens``).
        error : Json | None
            ``{"code", "message"}`` of a failed one.
        """
        if self.open_item:
            self.open_item.cut()
        self._show_closed_items()
        completed = status is Status.COMPLETED
        self.response |= {
            "status": status.value,
            "completed_at": int(time.time()) if completed else None,
            "usage": usage.wire() if usage else None,
            "error": self._short(error),
            "incomplete_details": {"reason": reason} if reason else None,
        }
        return self._response_event(terminal_type(status.value))

    def _replay_item(self, event: Json) -> None:
        if event["type"] == "response.output_item.added":
            self._begin(kinds.new_item(self._next_place, event["item"]))
        self.items[event["output_index"]].replay(event)

    def _begin(self, item: Item) -> Item:
        # One after the other: two that grow at once could not be cut and continued by a later
        # attempt, which goes on with the last one alone.
        if self.open_item:
            raise ValueError(f"{self.open_item.item_id} has not ended")
        self.items.append(item)
        return item

    @property
    def _next_place(self) -> kinds.ItemPlace:
        return kinds.ItemPlace(response_id=self.response_id, index=len(self.items))

    def _show_closed_items(self) -> None:
        """Put the items that have ended into the response; an open one is in its events only."""
        closed = [item.wire() for item in self.items if item.closed and item.begun]
        if closed:
            self.response["output"] = closed

    @cached_property
    def _bare_end_bytes(self) -> int:
        """Bytes of a terminal event without output, instructions and `END_BYTES`."""
        bare = self.response | _BARE
        # With a type and a number that are as long as any.
        fields = self._fields("response.in_progress", response=bare) | {"sequence_number": 10**12}
        return json_bytes(fields)

    def _short(self, error: Json | None) -> Json | None:
        """Return an error as the terminal event has room for it."""
        if self._message_bytes is None or error is None or "message" not in error:
            return error
        return error | {"message": beginning(error["message"], ERROR_BYTES)}

    def _begun_event(self, event_type: str) -> LoggedEvent:
        self.outline.note(event_type, {})
        return self._response_event(event_type)

    def _response_event(self, event_type: str) -> LoggedEvent:
        """Return an event with the response, without instructions that no message can carry."""
        event = self._fields(event_type, response=self.response)
        return self._logged(encoded(event, message_bytes=self._message_bytes))

    def _event(self, event_type: str, **fields: object) -> LoggedEvent:
        begins = event_type == "response.output_item.added" and fields["output_index"] == 0
        if begins and self.early_usage is not None:
            fields |= {"usage": self.early_usage.wire()}
        self.outline.note(event_type, fields)
        return self._logged(dumps(self._fields(event_type, **fields)))

    def _fields(self, event_type: str, **fields: object) -> Json:
        event: Json = {"type": event_type, "sequence_number": self.next_sequence, **fields}
        return with_stream_id(event, self._stream_id)

    def _logged(self, data: bytes) -> LoggedEvent:
        logged = LoggedEvent(self.next_sequence, data, tuple(self._unlogged_ids))
        self._unlogged_ids.clear()
        self.next_sequence += 1
        return logged
