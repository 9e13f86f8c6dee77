"""PeerWatch: decides by this process's own clock which peers are dead."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LEASE_S = 1.5
"""Seconds for which the value of a silent peer must stand still, by this process's clock. A peer is
silent after 1 s without a beat (`SILENT_S`), and read every 0.5 s: so its death is noticed at least
2.5 s and at most 3 s after its last beat."""
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
    """Finds silent peers whose value stands still, in an unbroken series of reads.

    A read returns the peers without a beat for a second by the directory's clock, and no others.
    That is not enough to take one for dead: the clock may have been set, or the beats of a moment
    lost in a failover.

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
        self._quiet_until = float("-inf")
        self._own = ""
        self._own_changed_at = float("inf")
        self._seen: dict[str, _Seen] = {}

    def observe(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Take note of a successful read of silent peers; return the dead ones and their values."""
        now = self._clock()
        if self._is_broken(now):
            self._quiet_until = now + GRACE_S
        self._read_at = now
        if (own := values.get(self._incarnation, self._own)) != self._own:
            self._own, self._own_changed_at = own, now
        for incarnation in self._seen.keys() - values.keys():
            del self._seen[incarnation]
        for incarnation, value in values.items():
            seen = self._seen.get(incarnation)
            if seen is None or seen.value != value:
                self._seen[incarnation] = _Seen(value, now)
        if now < self._quiet_until or not self._own:
            return {}
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
