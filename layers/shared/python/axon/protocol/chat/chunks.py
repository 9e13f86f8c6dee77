"""Streams of chunks: what those of both APIs have in common, and their encoding."""

from abc import ABC, abstractmethod

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


class ChunkStream(ABC):
    """Translates the events of one response, from event 0 on, to the data of SSE events.

    Parameters
    ----------
    include_usage : bool
        The stream ends with a chunk of the usage (`stream_options.include_usage`).
    index : int
        The place of the response among the choices of its completion.
    """

    def __init__(self, *, include_usage: bool = False, index: int = 0) -> None:
        self._include_usage = include_usage
        self._index = index

    @abstractmethod
    def feed(self, event: Json, *, last: bool = True) -> list[bytes]:
        """Return the chunks of an event: none for most that carry no text.

        Parameters
        ----------
        event : Json
            The next event.
        last : bool
            The end of the response is that of the stream.

        Raises
        ------
        FailedResponseError
            The event ends the response without an answer to show.
        """
