"""Lanes: the responses of one connection with the same stream id, delivered one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, unquote

_WITHOUT_STREAM = "*"
"""The lane of the requests without a stream id: `quote` returns it for no stream id."""


@dataclass(frozen=True, slots=True)
class LanePosition:
    """A response's place in a lane of its connection.

    Parameters
    ----------
    lane : str
        Name of the lane, as `lane_of` returns it; empty if the response waits for no other one, as
        one that the version before has opened.
    order : int
        Grows with each response that joins a lane of the connection.
    before : str
        Id of the response that was the lane's last one then, and not delivered yet; empty if there
        was none. A relay that does not know it must not deliver before it has looked it up.
    """

    lane: str = ""
    order: int = 0
    before: str = ""

    @property
    def stream_id(self) -> str | None:
        """The stream id of the lane's requests."""
        return None if self.lane in ("", _WITHOUT_STREAM) else unquote(self.lane)

    def fields(self) -> dict[str, str]:
        """Return the position as fields of a publication's header."""
        if not self.lane:
            return {}
        known = {"lane": self.lane, "order": str(self.order)}
        return known | ({"before": self.before} if self.before else {})

    @classmethod
    def from_fields(cls, fields: Mapping[str, str]) -> Self:
        """Read what `fields` returned, or a response's hash.

        Raises
        ------
        ValueError
            The order is no number.
        """
        if not fields.get("lane"):
            return cls()
        return cls(fields["lane"], int(fields.get("order", "0")), fields.get("before", ""))


NO_LANE = LanePosition()
"""The position of a response that waits for no other one."""


def lane_of(stream_id: str | None) -> str:
    """Return the name of the lane of a stream id; it has neither spaces nor line breaks."""
    return _WITHOUT_STREAM if stream_id is None else quote(stream_id, safe="")
