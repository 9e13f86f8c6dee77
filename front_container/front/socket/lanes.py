"""Lanes of one socket: answers with the same stream id, sent one after the other. No I/O."""

import asyncio


class LanePlace:
    """The place of one answer in its lane; `leave` must be called in the end.

    Parameters
    ----------
    before : LanePlace | None
        The place before it, if that has not been left.
    """

    def __init__(self, before: "LanePlace | None" = None) -> None:
        self._before = before
        self._left = asyncio.Event()

    async def turn(self) -> None:
        """Wait until the answers before it have been sent."""
        if self._before is not None:
            await self._before.wait_left()
            self._before = None

    @property
    def waits(self) -> bool:
        """True while an answer before it has not been sent."""
        return self._before is not None and not self._before.is_left

    async def wait_left(self) -> None:
        """Wait until the place is left."""
        await self._left.wait()

    def leave(self) -> None:
        """Give the turn to the next answer of the lane."""
        self._left.set()

    @property
    def is_left(self) -> bool:
        """True once `leave` was called."""
        return self._left.is_set()


class Lanes:
    """Gives each request of a socket its place, in the order in which the messages are read."""

    def __init__(self) -> None:
        self._last: dict[str | None, LanePlace] = {}

    def take(self, stream_id: str | None) -> LanePlace:
        """Return the last place of a lane; None is the lane of the requests without a stream id."""
        # Lanes whose answers are sent are forgotten here: clients may use a new name for each
        # request, and the number of those that wait is bounded.
        self._last = {name: place for name, place in self._last.items() if not place.is_left}
        place = self._last[stream_id] = LanePlace(self._last.get(stream_id))
        return place
