"""FunctionCallItem: a call that the client is to make."""

from typing import ClassVar

from typing_extensions import override

from axon.protocol.objects import Json
from axon.protocol.output_items.item import LONGEST_STATUS, OutputItem
from axon.protocol.output_items.text_part import Draft
from axon.protocol.sizes import json_bytes, text_bytes


class FunctionCallItem(OutputItem):
    """A function call whose arguments grow as the model writes them.

    Parameters
    ----------
    item_id : str
        Id of the item, in each of its events.
    output_index : int
        Place of the item in the response's output, from 0.
    name : str
        The function's name.
    call_id : str
        What the function's output will name.
    namespace : str | None
        The namespace that the function belongs to.
    """

    TYPE: ClassVar = "function_call"
    ARGUMENTS: ClassVar = "arguments"
    EVENTS: ClassVar = "response.function_call_arguments"

    def __init__(
        self,
        *,
        item_id: str,
        output_index: int,
        name: str,
        call_id: str,
        namespace: str | None = None,
    ) -> None:
        super().__init__(item_id=item_id, output_index=output_index)
        self.name = name
        self.call_id = call_id
        self.namespace = namespace
        self._pieces: list[str] = []
        self._arguments_bytes = 0
        self._arguments_done = False

    @property
    def arguments(self) -> str:
        """The arguments so far: JSON, as the model wrote it."""
        return "".join(self._pieces)

    @property
    @override
    def empty(self) -> bool:
        return not self._pieces

    @property
    @override
    def size(self) -> int:
        empty = self._shown("") | {"status": LONGEST_STATUS}
        return json_bytes(empty) + self._arguments_bytes

    @override
    def wire(self) -> Json:
        return self._shown(self.arguments)

    def add_arguments(self, text: str) -> list[Draft]:
        """Add to the arguments; the first call also opens the item.

        Raises
        ------
        ValueError
            The arguments have ended.
        """
        if self._arguments_done:
            raise ValueError(f"the arguments of {self.item_id} have ended")
        drafts = self.open()
        if text:
            self._append(text)
            drafts.append(self._arguments_draft("delta", delta=text))
        return drafts

    @override
    def _close_content(self) -> list[Draft]:
        if self._arguments_done:
            return []
        self._arguments_done = True
        return [self._arguments_draft("done", **{self.ARGUMENTS: self.arguments})]

    @override
    def _replay_content(self, event: Json) -> None:
        kind = event["type"].removeprefix(self.EVENTS)
        if kind == ".delta":
            self._append(event["delta"])
        elif kind == ".done":
            self._arguments_done = True

    def _shown(self, arguments: str) -> Json:
        shown = {
            "id": self.item_id,
            "type": self.TYPE,
            "status": self.status,
            "call_id": self.call_id,
            "name": self.name,
            self.ARGUMENTS: arguments,
        }
        return shown if self.namespace is None else shown | {"namespace": self.namespace}

    def _append(self, text: str) -> None:
        self._pieces.append(text)
        self._arguments_bytes += text_bytes(text)

    def _arguments_draft(self, suffix: str, **fields: object) -> Draft:
        place: Json = {"item_id": self.item_id, "output_index": self.output_index}
        return f"{self.EVENTS}.{suffix}", {**place, **fields}
