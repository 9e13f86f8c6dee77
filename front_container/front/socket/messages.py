"""Messages of a socket: what a client has sent, and the events that it gets. No I/O."""

from dataclasses import dataclass

from axon.exceptions import RequestError
from axon.protocol.messages import parse_object
from axon.protocol.requests import ClientEvent, parse_event, stream_id_of

_AT_ONCE = ("response.cancel", "response.delete")


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
    kind : str
        The event's type, for metrics; "invalid" for what is refused for its form.
    """

    event: ClientEvent | RequestError
    stream_id: str | None
    at_once: bool
    kind: str


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
    kind = "invalid" if isinstance(event, RequestError) else event.type
    return ClientMessage(event=event, stream_id=stream_id, at_once=at_once, kind=kind)
