"""Ids of calls: those of Anthropic's API begin with `toolu_`, those of Responses with `call_`.

An id that is not Axon's own, as one of an upstream or of another server's conversation, stays what
it is: it has no unique part that another prefix could stand before.
"""

from axon.ids import is_id, same_id

_HERE, _THERE = "toolu", "call"


def tool_use_id_of(call_id: str) -> str:
    """Return the id of a call's block (`call_id_of` is its inverse)."""
    return same_id(_HERE, call_id) if is_id(_THERE, call_id) else call_id


def call_id_of(tool_use_id: str) -> str:
    """Return the id of the call that a block names."""
    return same_id(_THERE, tool_use_id) if is_id(_HERE, tool_use_id) else tool_use_id
