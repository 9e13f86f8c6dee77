"""ArrivingMessages: counts what a socket has received of a message that is not complete."""

from axon.exceptions import RequestError
from front.bodies import Bodies

_LONGEST_HEADER = 14
"""Bytes before a frame's content: two, eight of a length, four of a mask (RFC 6455, 5.2)."""
_CONTROL = 8
"""Frames with this opcode, and higher ones, are no part of a message."""


class ArrivingMessages:
    """Counts the bytes of one socket's incomplete message among those that a process holds.

    The library keeps them, up to the length of a message for each socket, and tells nobody. So this
    follows the frames itself: their headers, and how much of each is still to come.

    Parameters
    ----------
    bodies : Bodies
        Counts what the process holds.

    Attributes
    ----------
    refused : RequestError | None
        Why no more is taken: the process holds too much.
    """

    def __init__(self, bodies: Bodies) -> None:
        self.refused: RequestError | None = None
        self._bodies = bodies
        self._held = 0
        self._header = b""
        self._left = 0
        self._in_frame = False

    def feed(self, data: bytes) -> bool:
        """Count received bytes; return False if they are to be dropped."""
        position = 0
        while self.refused is None and position < len(data):
            if self._in_frame:
                step = min(self._left, len(data) - position)
                self._take(step)
                position += step
            else:
                position += self._read_header(data, position)
            if self._in_frame and not self._left:
                self._end_frame()
        return self.refused is None

    def release(self) -> None:
        """Count nothing any more."""
        self._bodies.release(self._held)
        self._held = 0

    def _read_header(self, data: bytes, position: int) -> int:
        """Read a frame's header, or a part of it; return how many bytes of the data it takes."""
        known = len(self._header)
        header = (self._header + data[position : position + _LONGEST_HEADER])[:_LONGEST_HEADER]
        size, length = _frame(header)
        if len(header) < size:
            self._header = header
            return len(header) - known
        self._header, self._left, self._in_frame = header[:size], length, True
        return size - known

    def _take(self, count: int) -> None:
        self._left -= count
        if self._header[0] & 15 >= _CONTROL:
            return
        try:
            self._bodies.hold(count)
        except RequestError as error:
            self.refused = error
        else:
            self._held += count

    def _end_frame(self) -> None:
        last = self._header[0] >> 7
        if last and self._header[0] & 15 < _CONTROL:
            self.release()
        self._header, self._in_frame = b"", False


def _frame(header: bytes) -> tuple[int, int]:
    """Return the size of a frame's header, and the length of its content; 14 and 0 if unknown."""
    if len(header) < 2:
        return _LONGEST_HEADER, 0
    mask, length = 4 * (header[1] >> 7), header[1] & 127
    more = {126: 2, 127: 8}.get(length, 0)
    if more and len(header) >= 2 + more:
        length = int.from_bytes(header[2 : 2 + more], "big")
    return 2 + more + mask, length
