"""OutputItem: what all output items have in common."""

from abc import ABC, abstractmethod
from typing import Literal

from axon.protocol.objects import Json
from axon.protocol.output_items.text_part import Draft

ItemStatus = Literal["in_progress", "completed", "incomplete"]
LONGEST_STATUS: ItemStatus = "in_progress"
"""By which sizes are counted, since an item's last status is not known before its end."""


class OutputItem(ABC):
    """One item of a response's output: its events while it grows, and its JSON.

        new -> open: item added, content -> closed: content done, item done

    Each method gives only the events that are still missing and takes them as logged, so the
    caller must log them. An item that was rebuilt by `replay` continues behind its last event.

    Parameters
    ----------
    item_id : str
        The same one in every attempt at the response.
    output_index : int
        The item's place in the response's output.
    """

    def __init__(self, *, item_id: str, output_index: int) -> None:
        self.item_id = item_id
        self.output_index = output_index
        self.status: ItemStatus = "in_progress"
        self._added = False

    @property
    def closed(self) -> bool:
        """True if no event of the item follows."""
        return self.status != "in_progress"

    @property
    def begun(self) -> bool:
        """True if an event has shown the item."""
        return self._added

    @property
    @abstractmethod
    def empty(self) -> bool:
        """True if the item has no text yet."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes of the item as JSON, however it ends: at most what `wire` has after `close`."""

    @abstractmethod
    def wire(self) -> Json:
        """Return the item as the response shows it now."""

    def open(self) -> list[Draft]:
        """Begin the item.

        Raises
        ------
        ValueError
            The item has ended.
        """
        if self.closed:
            raise ValueError(f"{self.item_id} has ended")
        drafts = [] if self._added else [self._item_draft("added")]
        self._added = True
        return drafts + self._open_content()

    def close(self, *, complete: bool = True) -> list[Draft]:
        """End the item; `complete` False when it was cut short. Repeating it adds nothing."""
        if self.closed:
            return []
        drafts = [*self.open(), *self._close_content()]
        self.cut(complete=complete)
        return [*drafts, self._item_draft("done")]

    def cut(self, *, complete: bool = False) -> None:
        """End the item without events: the terminal event shows how it ended."""
        if not self.closed:
            self.status = "completed" if complete else "incomplete"

    def replay(self, event: Json) -> None:
        """Follow one of the item's own events, as it was logged."""
        match event["type"]:
            case "response.output_item.added":
                self._added = True
            case "response.output_item.done":
                self.status = event["item"]["status"]
            case _:
                self._replay_content(event)

    def _open_content(self) -> list[Draft]:
        """Begin what every item of this kind has, if anything."""
        return []

    @abstractmethod
    def _close_content(self) -> list[Draft]:
        """End what has begun."""

    @abstractmethod
    def _replay_content(self, event: Json) -> None:
        """Follow an event of the item's content."""

    def _item_draft(self, suffix: str) -> Draft:
        fields: Json = {"output_index": self.output_index, "item": self.wire()}
        return f"response.output_item.{suffix}", fields
