"""Wrong keys as one process counts them: bounds that hold also while Valkey counts nothing."""

import asyncio
from collections import OrderedDict

from axon.tenants.wrong_keys import BURST, INTERVAL_S

UNKNOWN_S = 10.0
"""Seconds for which an unknown key is not looked up again."""
ENTRIES = 4096
"""Addresses, and unknown keys, that a process knows at most: 1 MB of each."""


class ExpiringTimes:
    """Times by name until they have passed, at most `ENTRIES`: those set longest ago go first."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, float] = OrderedDict()

    def left_s(self, name: str) -> float:
        """Return the seconds until the name's time; 0 if it has none."""
        return max(0.0, self._times.get(name, 0.0) - _now())

    def set(self, name: str, left_s: float) -> None:
        """Set the name's time to this number of seconds from now."""
        self._times[name] = _now() + left_s
        self._times.move_to_end(name)
        if len(self._times) > ENTRIES:
            self._times.popitem(last=False)

    def remove(self, name: str) -> None:
        """Remove the name's time."""
        self._times.pop(name, None)


class AddressLookups:
    """A token bucket of look-ups for each address, of the size of its bucket of wrong keys.

    A token is taken before a look-up, so that keys that are tried at the same time are bounded too.
    It is put back if the key is right.
    """

    def __init__(self) -> None:
        self._full = ExpiringTimes()

    def take(self, address: str) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        full_s = self._full.left_s(address)
        wait_s = full_s - INTERVAL_S * (BURST - 1)
        if wait_s > 0:
            return wait_s
        self._full.set(address, full_s + INTERVAL_S)
        return 0.0

    def put_back(self, address: str) -> None:
        """Put a token back."""
        self._full.set(address, max(0.0, self._full.left_s(address) - INTERVAL_S))


class UnknownKeys:
    """Hashes of the keys that the store did not have, for `UNKNOWN_S`.

    Only those that Valkey could not note: there, a key that is created is known at once.
    """

    def __init__(self) -> None:
        self._until = ExpiringTimes()

    def note(self, key_hash: str) -> None:
        """Note that the store does not have a key."""
        self._until.set(key_hash, UNKNOWN_S)

    def has(self, key_hash: str) -> bool:
        """Return whether the store was found not to have the key a moment ago."""
        return self._until.left_s(key_hash) > 0

    def forget(self, key_hash: str) -> None:
        """Forget a key, which is created now."""
        self._until.remove(key_hash)


def _now() -> float:
    return asyncio.get_running_loop().time()
