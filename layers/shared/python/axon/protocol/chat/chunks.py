"""ChunkEncoder: the JSON of a stream's chunks, of which only the choice changes."""

from axon.protocol.chat.objects import usage_of
from axon.protocol.objects import Json
from axon.serialization import dumps


class ChunkEncoder:
    """Encodes once what all chunks of a stream begin and end with.

    Parameters
    ----------
    head : Json
        The fields before the choices.
    include_usage : bool
        All chunks have a `usage`; it is null but in the last one.
    """

    def __init__(self, head: Json, *, include_usage: bool) -> None:
        self._head = dumps(head).removesuffix(b"}") + b',"choices":['
        self._tail = b'],"usage":null}' if include_usage else b"]}"
        self._include_usage = include_usage

    def chunk(self, choice: Json) -> bytes:
        """Return the chunk with this choice."""
        return self._head + dumps(choice) + self._tail

    def usage(self, response: Json) -> list[bytes]:
        """Return the chunk without a choice that shows the usage, if that was asked for."""
        if not self._include_usage:
            return []
        return [self._head + b'],"usage":' + dumps(usage_of(response)) + b"}"]
