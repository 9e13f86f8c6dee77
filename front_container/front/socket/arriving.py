"""ArrivingMessages: counts what a socket has received of messages that are not read yet."""

import asyncio
from collections.abc import Callable

from axon.exceptions import RequestError
from front.bodies import BODY_S
from front.memory import HeldBytes

_LONGEST_HEADER = 14
"""Bytes before a frame's content: two, eight of a length, four of a mask (RFC 6455, 5.2)."""
_CONTROL = 8
"""Frames with this opcode, and higher ones, are no part of a message."""
_TOO_SLOW = RequestError(
    f"A message did not arrive within {BODY_S:.0f} seconds. Connect again, and send it again.",
    code="request_timeout",
    status=408,
)


class ArrivingMessages:
    """Counts the bytes of one socket's unread messages, and limits the time that one takes.

    The library keeps them, up to the length of a message for each socket, and tells nobody. So this
    follows the frames itself: their headers, and how much of each is still to come.

    Parameters
    ----------
    held : HeldBytes
        Counts what the process holds.
    tenant_id : str
        Whose socket it is.
    late : Callable[[], None]
        Called when a message has not arrived within `front.bodies.BODY_S`.

    Attributes
    ----------
    refused : RequestError | None
        Why no more is taken: the process holds too much, or the message arrives too slowly.
    """

    def __init__(self, held: HeldBytes, *, tenant_id: str, late: Callable[[], None]) -> None:
        self.refused: RequestError | None = None
        self._bytes = held
        self._tenant_id = tenant_id
        self._late = late
        self._timer: asyncio.TimerHandle | None = None
        self._in_message = False
        self._held = 0
        self._complete = 0
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
        # After the data: most messages come whole, and need no timer. A new frame of the same
        # message does not start it again: a client could send one byte in each.
        if self._in_message and self._timer is None and self.refused is None:
            self._timer = asyncio.get_running_loop().call_later(BODY_S, self._refuse_late)
        return self.refused is None

    def release(self) -> None:
        """Count nothing any more."""
        self._end_message()
        self.take(self._complete)

    def take(self, count: int) -> None:
        """Count bytes no longer of a message that is complete, and is read now."""
        count = min(count, self._complete)
        self._bytes.release(count, tenant_id=self._tenant_id)
        self._complete -= count

    def _end_message(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._in_message = False
        self._complete += self._held
        self._held = 0

    def _refuse_late(self) -> None:
        self.refused = _TOO_SLOW
        self._late()

    def _read_header(self, data: bytes, position: int) -> int:
        """Read a frame's header, or a part of it; return how many bytes of the data it takes."""
        known = len(self._header)
        header = (self._header + data[position : position + _LONGEST_HEADER])[:_LONGEST_HEADER]
        size, length = _frame(header)
        if len(header) < size:
            self._header = header
            return len(header) - known
        self._header, self._left, self._in_frame = header[:size], length, True
        self._in_message |= self._is_data
        return size - known

    def _take(self, count: int) -> None:
        self._left -= count
        if not self._is_data:
            return
        # The library refuses a message that is longer, and says so. Counted to its end, it would be
        # refused here for what the process holds.
        count = min(count, self._bytes.longest - self._held)
        try:
            self._bytes.hold(count, tenant_id=self._tenant_id)
        except RequestError as error:
            self.refused = error
        else:
            self._held += count

    def _end_frame(self) -> None:
        last = self._header[0] >> 7
        if last and self._is_data:
            self._end_message()
        self._header, self._in_frame = b"", False

    @property
    def _is_data(self) -> bool:
        return self._header[0] & 15 < _CONTROL


def _frame(header: bytes) -> tuple[int, int]:
    """Return the size of a frame's header, and the length of its content; 14 and 0 if unknown."""
    if len(header) < 2:
        return _LONGEST_HEADER, 0
    mask, length = 4 * (header[1] >> 7), header[1] & 127
    more = {126: 2, 127: 8}.get(length, 0)
    if more and len(header) >= 2 + more:
        length = int.from_bytes(header[2 : 2 + more], "big")
    return 2 + more + mask, length
