"""Messages of a socket: what a client has sent, and the events that it gets. No I/O."""

from dataclasses import dataclass

from axon.exceptions import RequestError
from axon.protocol.messages import parse_object
from axon.protocol.requests import ClientEvent, parse_event, stream_id_of
from axon.serialization import dumps, loads

_AT_ONCE = ("response.cancel", "response.delete")
_LABEL = b'"stream_id":'


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientMessage:
    """A message as it was read.

    Parameters
    ----------
    event : ClientEvent | RequestError
        What the client asks for, or why that is refused.
    stream_id : str | None
        The stream id for the answer, also for the refusal.
    at_once : bool
        True for what is answered outside of its lane: it may be about the answer that runs there.
    """

    event: ClientEvent | RequestError
    stream_id: str | None
    at_once: bool


def read_message(message: bytes) -> ClientMessage:
    """Decode and validate a message."""
    stream_id, at_once = None, False
    event: ClientEvent | RequestError
    try:
        value = parse_object(message)
        stream_id, at_once = stream_id_of(value), value.get("type") in _AT_ONCE
        event = parse_event(value)
    except RequestError as error:
        event = error
    return ClientMessage(event=event, stream_id=stream_id, at_once=at_once)


def labelled(data: bytes, stream_id: str | None) -> bytes:
    """Return an event of a log with this stream id in place of the log's.

    They differ where a response was asked for by another request: in a resumption, and for a
    repeated idempotency key.
    """
    if stream_id is None:
        if _LABEL not in data:
            return data
    elif data.endswith(b",%b%b}" % (_LABEL, dumps(stream_id))):
        return data
    event = loads(data)
    event.pop("stream_id", None)
    return dumps(event if stream_id is None else event | {"stream_id": stream_id})
