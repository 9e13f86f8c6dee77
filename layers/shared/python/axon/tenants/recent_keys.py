"""Keys that a process has looked up a moment ago."""

import asyncio
from collections import OrderedDict

from axon.tenants.principal import Principal

MOST = 4096
"""Keys that a process remembers at most."""


class RecentKeys:
    """Principals by the hashes of their keys, each for a limited time."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Principal, float]] = OrderedDict()

    def get(self, key_hash: str) -> Principal | None:
        """Return the principal of a key, if its time is not over."""
        principal, until = self._known.get(key_hash, (None, 0.0))
        return principal if asyncio.get_running_loop().time() < until else None

    def note(self, key_hash: str, principal: Principal, left_s: float) -> None:
        """Remember the principal of a key for this number of seconds."""
        self._known[key_hash] = principal, asyncio.get_running_loop().time() + left_s
        self._known.move_to_end(key_hash)
        if len(self._known) > MOST:
            self._known.popitem(last=False)
