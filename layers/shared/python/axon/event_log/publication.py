"""Publications: messages of the event log to relays, a header line and then one event a line.

The header of version 1 has four fields. A later version adds ``v2`` (and so on) as the fifth one,
which readers of version 1 refuse. Fields after it are optional, have the form ``name=value``, and
are ignored by readers that do not know them: a position in a lane (`axon.event_log.lanes`) where a
response begins or resumes, and ``to``, the connection that a response has moved to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self

from axon.event_log.lanes import NO_LANE, LanePosition
from axon.formats import Format, UnreadableError, check


class Kind(Enum):
    """The meaning of a publication; the value is its flag in the header.

    RESUMED: deliver from event `first` on, to this connection.
    MOVED: deliver nothing more to this connection.
    """

    EVENTS = b"-"
    LAST_EVENTS = b"T"
    RESUMED = b"R"
    MOVED = b"M"


@dataclass(frozen=True, slots=True)
class Publication:
    """News of one response.

    Parameters
    ----------
    response_id : str
        The response that has grown, ended or moved.
    connection_id : str
        The connection that waits for it.
    first : int
        The number of the first event.
    kind : Kind
        Says what happened.
    events : Sequence[bytes]
        As they were appended.
    granted : bool
        The relay may post the events without a checkpoint first: all earlier ones have certainly
        arrived, and the log has written the grant.
    generation : str
        Generation of the server that has published it, known from the subscription; not encoded.
    position : LanePosition
        Place in the connection's lane; only with event 0 and with a resumption.
    to : str
        The connection that a response has moved to; empty if that is not known.
    """

    response_id: str
    connection_id: str
    first: int
    kind: Kind
    events: Sequence[bytes] = ()
    granted: bool = False
    generation: str = ""
    position: LanePosition = NO_LANE
    to: str = ""

    @property
    def terminal(self) -> bool:
        """True if nothing follows these events."""
        return self.kind is Kind.LAST_EVENTS

    def encode(self) -> bytes:
        """Return the publication as it is sent; `publish.lua` formats the same bytes."""
        flags = self.kind.value + (b"!" if self.granted else b"")
        header = b"%b %b %d %b" % (
            self.response_id.encode(),
            self.connection_id.encode(),
            self.first,
            flags,
        )
        fields = self.position.fields() | ({"to": self.to} if self.to else {})
        if fields:
            named = " ".join(f"{name}={value}" for name, value in fields.items())
            header += b" v1 " + named.encode()
        return b"\n".join([header, *self.events])

    @classmethod
    def decode(cls, payload: bytes, *, generation: str = "") -> Self:
        """Read what `encode` wrote; the events stay encoded.

        Parameters
        ----------
        payload : bytes
            A message of the channel.
        generation : str
            Generation of the server that the subscription is with.

        Raises
        ------
        UnreadableError
            Not a publication, or one of a higher version.
        """
        header, *events = payload.split(b"\n")
        try:
            response_id, connection_id, first, flags, *version = header.split(b" ")
            if version:
                check(Format.PUBLICATION, int(version[0].removeprefix(b"v")))
            fields = dict(field.decode().partition("=")[::2] for field in version[1:])
            return cls(
                response_id.decode(),
                connection_id.decode(),
                int(first),
                Kind(flags.removesuffix(b"!")),
                events,
                granted=flags.endswith(b"!"),
                generation=generation,
                position=LanePosition.from_fields(fields),
                to=fields.get("to", ""),
            )
        except UnreadableError:
            raise
        except ValueError as error:
            raise UnreadableError(Format.PUBLICATION, "its header is something else") from error
