"""Messages of a socket: what a client has sent, and the events that it gets."""

from dataclasses import dataclass

from axon.exceptions import AxonError, RequestError
from axon.protocol.objects import Json
from axon.protocol.requests import ClientEvent, parse_event, stream_id_of
from front.bodies import Bodies
from front.memory import Room

_AT_ONCE = ("response.cancel", "response.delete")


@dataclass(slots=True, kw_only=True)
class ClientMessage:
    """A message as it was read.

    Parameters
    ----------
    event : ClientEvent | AxonError | None
        What the client asks for, or why that is refused; None once it is taken.
    stream_id : str | None
        The stream id for the answer, also for the refusal.
    at_once : bool
        True for what is answered outside of its lane: it may be about the answer that runs there.
    kind : str
        The event's type, for metrics; "invalid" for what is refused for its form.
    room : Room | None
        Counts the memory that the event takes.
    """

    event: ClientEvent | AxonError | None
    stream_id: str | None = None
    at_once: bool = False
    kind: str = "invalid"
    room: Room | None = None

    def take(self) -> ClientEvent:
        """Return the event, which is the caller's alone from now on.

        Raises
        ------
        AxonError
            The message is refused.
        """
        event, self.event = self.event, None
        if event is None or isinstance(event, AxonError):
            raise event or RuntimeError("the message is taken already")
        return event

    def refuse(self, error: RequestError) -> None:
        """Replace the event by a refusal, which `take` raises."""
        self.event = error
        self.release()

    def release(self) -> None:
        """Count no memory any more: nothing refers to the event."""
        if self.room is not None:
            self.room.release()


def message_of(value: Json) -> ClientMessage:
    """Validate a decoded message."""
    event: ClientEvent | AxonError
    try:
        event = parse_event(value)
    except RequestError as error:
        event = error
    return ClientMessage(
        event=event,
        stream_id=stream_id_of(value),
        at_once=value.get("type") in _AT_ONCE,
        kind="invalid" if isinstance(event, RequestError) else event.type,
    )


class MessageReader:
    """Reads the messages of one socket.

    Parameters
    ----------
    bodies : Bodies
        Decodes them, and counts what they take.
    tenant_id : str
        Whose socket it is.
    """

    def __init__(self, *, bodies: Bodies, tenant_id: str) -> None:
        self._bodies = bodies
        self._tenant_id = tenant_id

    async def read(self, message: bytes) -> ClientMessage:
        """Decode and validate a message; one that is refused says so when it is taken."""
        room = self._bodies.room_of_socket(self._tenant_id)
        try:
            room.hold(len(message))
            read = await self._bodies.decode(message, message_of, room=room)
        except AxonError as error:
            room.release()
            return ClientMessage(event=error)
        except BaseException:
            room.release()
            raise
        read.room = room
        return read
