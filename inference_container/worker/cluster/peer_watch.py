"""PeerWatch: decides by this process's own clock which peers are dead."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LEASE_S = 2.5
"""Seconds for which a peer's value must stand still. It beats every 0.5 s and is read every 0.5 s,
so its death is noticed at most 3 s after its last beat."""
LONGEST_GAP_S = 1.5
"""Seconds between two reads above which nothing is known of the time between them."""
GRACE_S = 6.0
"""Seconds after such a gap for which no peer counts as dead. Valkey may have been away, and a peer
may still wait for the answer on a connection that is gone (5 s at most)."""


@dataclass(slots=True)
class _Seen:
    value: str
    since: float


class PeerWatch:
    """Finds peers whose value in the directory stands still, in an unbroken series of reads.

    No time of another machine is compared. What counts is the time between this process's own
    successful reads: while Valkey is away, or this process is stopped, nothing is read and no lease
    ends; afterwards every peer gets a whole period to beat again. The same holds while the value
    of this process stands still: Valkey answers reads, but may refuse the beats of everybody.

    Parameters
    ----------
    incarnation : str
        This process, which is never dead for itself, and beats in the same directory.
    clock : Callable[[], float]
        Monotonic time in seconds.
    """

    def __init__(self, *, incarnation: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._incarnation = incarnation
        self._clock = clock
        self._read_at = float("inf")
        self._own = ""
        self._own_changed_at = float("inf")
        self._seen: dict[str, _Seen] = {}

    def observe(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Take note of a successful read; return the dead peers and their values."""
        now = self._clock()
        if self._is_broken(now):
            for known in self._seen.values():
                known.since = now + GRACE_S - LEASE_S
        self._read_at = now
        if (own := values.get(self._incarnation, self._own)) != self._own:
            self._own, self._own_changed_at = own, now
        for incarnation in self._seen.keys() - values.keys():
            del self._seen[incarnation]
        for incarnation, value in values.items():
            seen = self._seen.get(incarnation)
            if seen is None or seen.value != value:
                self._seen[incarnation] = _Seen(value, now)
        return {
            incarnation: seen.value
            for incarnation, seen in self._seen.items()
            if incarnation != self._incarnation and now - seen.since >= LEASE_S
        }

    def _is_broken(self, now: float) -> bool:
        """Return whether peers may have beaten since the reads before without being seen."""
        # A process that starts while beats are refused has no value at all: it waits from here on.
        self._own_changed_at = min(self._own_changed_at, now)
        return now - min(self._read_at, self._own_changed_at) > LONGEST_GAP_S
