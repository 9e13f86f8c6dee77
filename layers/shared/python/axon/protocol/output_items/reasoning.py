"""ReasoningItem: what the model thinks before it answers."""

from typing_extensions import override

from axon.protocol.objects import Json
from axon.protocol.output_items.item import LONGEST_STATUS, OutputItem
from axon.protocol.output_items.text_part import (
    REASONING_TEXT,
    SUMMARY_TEXT,
    Draft,
    PartKind,
    TextPart,
)
from axon.protocol.sizes import json_bytes


class ReasoningItem(OutputItem):
    """Reasoning: one text, and a summary in any number of parts, in any order."""

    def __init__(self, *, item_id: str, output_index: int) -> None:
        super().__init__(item_id=item_id, output_index=output_index)
        # In the order in which they began, which is the order in which they are closed: an item
        # that was rebuilt from its events must close them in the same order.
        self._parts: list[TextPart] = []

    @property
    def text(self) -> str:
        """The reasoning text so far."""
        return "".join(part.text for part in self._of(REASONING_TEXT))

    @property
    @override
    def empty(self) -> bool:
        return not any(part.text for part in self._parts)

    @property
    @override
    def size(self) -> int:
        empty = self._shown(summary=[], content=[]) | {"status": LONGEST_STATUS}
        return json_bytes(empty) + sum(part.size + 1 for part in self._parts)

    @override
    def wire(self) -> Json:
        return self._shown(
            summary=[part.wire() for part in self._of(SUMMARY_TEXT)],
            content=[part.wire() for part in self._of(REASONING_TEXT)],
        )

    def add_text(self, text: str) -> list[Draft]:
        """Add reasoning text; the first call also begins its content part.

        Raises
        ------
        ValueError
            The item has ended.
        """
        return [*self.open(), *self._current(REASONING_TEXT).add(text)]

    def add_summary(self, text: str) -> list[Draft]:
        """Add text to the summary's current part; begin one if the last one has ended.

        Raises
        ------
        ValueError
            The item has ended.
        """
        return [*self.open(), *self._current(SUMMARY_TEXT).add(text)]

    def end_summary_part(self) -> list[Draft]:
        """End the summary's current part, if one is open: the next text begins another."""
        parts = self._of(SUMMARY_TEXT)
        return parts[-1].close() if parts and not parts[-1].closed else []

    @override
    def _close_content(self) -> list[Draft]:
        return [draft for part in self._parts if not part.closed for draft in part.close()]

    @override
    def _replay_content(self, event: Json) -> None:
        kind = SUMMARY_TEXT if SUMMARY_TEXT.index in event else REASONING_TEXT
        if event["type"] == f"{kind.part}.added":
            self._begin(kind)
        self._of(kind)[event[kind.index]].replay(event)

    def _shown(self, **parts: list[Json]) -> Json:
        return {"id": self.item_id, "type": "reasoning", "status": self.status, **parts}

    def _current(self, kind: PartKind) -> TextPart:
        parts = self._of(kind)
        return parts[-1] if parts and not parts[-1].closed else self._begin(kind)

    def _begin(self, kind: PartKind) -> TextPart:
        part = TextPart(
            kind,
            item_id=self.item_id,
            output_index=self.output_index,
            index=len(self._of(kind)),
        )
        self._parts.append(part)
        return part

    def _of(self, kind: PartKind) -> list[TextPart]:
        return [part for part in self._parts if part.kind is kind]
