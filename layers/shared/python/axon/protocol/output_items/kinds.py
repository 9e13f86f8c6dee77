"""The kinds of output items, by type: a new kind plugs in by one entry of `KINDS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from axon.ids import derived_id
from axon.protocol.objects import Json
from axon.protocol.output_items.custom_tool_call import CustomToolCallItem
from axon.protocol.output_items.function_call import FunctionCallItem
from axon.protocol.output_items.item import OutputItem
from axon.protocol.output_items.message import MessageItem
from axon.protocol.output_items.reasoning import ReasoningItem


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPlace:
    """The place of a new item, from which its ids derive: the same ones in every attempt.

    Parameters
    ----------
    response_id : str
        Id of the item's response.
    index : int
        The item's index in the response's output.
    """

    response_id: str
    index: int

    def derive_id(self, prefix: str) -> str:
        """Return the id with this prefix."""
        return derived_id(prefix, self.response_id, self.index)


def new_message(place: ItemPlace, _fields: Json) -> MessageItem:
    """Return a message without events."""
    return MessageItem(item_id=place.derive_id("msg"), output_index=place.index)


def new_reasoning(place: ItemPlace, _fields: Json) -> ReasoningItem:
    """Return a reasoning item without events."""
    return ReasoningItem(item_id=place.derive_id("rs"), output_index=place.index)


def new_function_call(place: ItemPlace, fields: Json) -> FunctionCallItem:
    """Return a function call without events.

    Parameters
    ----------
    place : ItemPlace
        The item's place in the output, from which its id derives.
    fields : Json
        ``name``, ``namespace`` if it has one, and ``call_id`` unless it derives from the
        response's id.
    """
    return FunctionCallItem(
        item_id=place.derive_id("fc"),
        output_index=place.index,
        name=fields["name"],
        call_id=fields.get("call_id") or place.derive_id("call"),
        namespace=fields.get("namespace"),
    )


def new_custom_tool_call(place: ItemPlace, fields: Json) -> CustomToolCallItem:
    """Return a custom tool's call without events; the parameters are `new_function_call`'s."""
    return CustomToolCallItem(
        item_id=place.derive_id("ctc"),
        output_index=place.index,
        name=fields["name"],
        call_id=fields.get("call_id") or place.derive_id("call"),
        namespace=fields.get("namespace"),
    )


KINDS: Mapping[str, Callable[[ItemPlace, Json], OutputItem]] = {
    "message": new_message,
    "reasoning": new_reasoning,
    "function_call": new_function_call,
    "custom_tool_call": new_custom_tool_call,
}
"""Makers of new items, by the item's ``type`` in the API."""


def new_item(place: ItemPlace, fields: Json) -> OutputItem:
    """Return a new item of the kind that its fields name, without events.

    Parameters
    ----------
    place : ItemPlace
        The item's place in the output, from which its id derives.
    fields : Json
        The item as its event ``response.output_item.added`` shows it.

    Raises
    ------
    ValueError
        There is no such kind.
    """
    if (make := KINDS.get(fields["type"])) is None:
        raise ValueError(f"unknown type of output item: {fields['type']!r}")
    return make(place, fields)
