"""MessageItem: text for the client."""

from functools import cached_property

from typing_extensions import override

from axon.protocol.objects import STOP_SEQUENCE, Json, message_item
from axon.protocol.output_items.item import LONGEST_STATUS, OutputItem
from axon.protocol.output_items.text_part import OUTPUT_TEXT, Draft, TextPart
from axon.protocol.sizes import json_bytes


class MessageItem(OutputItem):
    """An assistant's message with one text part.

    Attributes
    ----------
    stop : str | None
        The stop string that ended it. Its item shows that as `stop_sequence`, a field which the
        Responses API does not have: only requests of its views ask for stop strings. So it is in
        the log with the end of the text, for a later attempt, and in the response for the views.
        Such requests come over HTTP, where an item may have any length: `size` leaves it out.
    """

    def __init__(self, *, item_id: str, output_index: int) -> None:
        super().__init__(item_id=item_id, output_index=output_index)
        self.stop: str | None = None
        self._part = TextPart(OUTPUT_TEXT, item_id=item_id, output_index=output_index, index=0)

    @property
    def text(self) -> str:
        """The text so far."""
        return self._part.text

    @property
    @override
    def empty(self) -> bool:
        return not self._part.text

    @property
    @override
    def size(self) -> int:
        return self._empty_bytes + self._part.text_bytes

    @override
    def wire(self) -> Json:
        text = self._part.text if self._part.begun else None
        item = message_item(self.item_id, text=text, status=self.status)
        return item if self.stop is None else item | {STOP_SEQUENCE: self.stop}

    def add_text(self, text: str) -> list[Draft]:
        """Add text; the first call also opens the message, even with an empty text.

        Raises
        ------
        ValueError
            The message has ended.
        """
        return [*self.open(), *self._part.add(text)]

    @override
    def replay(self, event: Json) -> None:
        super().replay(event)
        if event["type"] == "response.output_item.done":
            self.stop = event["item"].get(STOP_SEQUENCE)

    @cached_property
    def _empty_bytes(self) -> int:
        return json_bytes(message_item(self.item_id, text="", status=LONGEST_STATUS))

    @override
    def _open_content(self) -> list[Draft]:
        return self._part.open()

    @override
    def _close_content(self) -> list[Draft]:
        return self._part.close()

    @override
    def _replay_content(self, event: Json) -> None:
        self._part.replay(event)
