"""The valid keys as one process knows them: further wrong keys cost the store nothing."""

import asyncio
import logging
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol

from axon.exceptions import UnavailableError

REFRESH_S = 60.0
"""Seconds for which the list is used. The cache knows keys that are created meanwhile."""
PREFIX_DIGITS = 16
"""Hexadecimal digits of a hash in the list, 8 bytes: of a million keys it takes 8 MB, and one wrong
key of 10^13 is looked up for nothing."""

logger = logging.getLogger(__name__)


class PrefixStore(Protocol):
    """The part of the store that `KnownKeys` reads; see `axon.tenants.api_keys.ApiKeyStore`."""

    async def prefixes(self) -> Sequence[str]:
        """Return the first `PREFIX_DIGITS` of the hashes of all valid keys."""
        ...


class KnownKeys:
    """Tells right keys from wrong ones where an address tries too many to look each of them up.

    The list is read when it is needed first, and then once in `REFRESH_S` at most.
    """

    def __init__(self, *, store: PrefixStore) -> None:
        self._store = store
        self._sorted = array("Q")
        self._fresh_until = float("-inf")

    async def may_have(self, key_hash: str) -> bool:
        """Return False for a key that the store does not have."""
        await self._refresh()
        prefix = _number(key_hash)
        position = bisect_left(self._sorted, prefix)
        return position < len(self._sorted) and self._sorted[position] == prefix

    async def _refresh(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._fresh_until:
            return
        # Also after a failure, so that a store that is away does not delay every refusal.
        self._fresh_until = now + REFRESH_S
        try:
            self._sorted = array("Q", sorted(map(_number, await self._store.prefixes())))
        except UnavailableError as error:
            logger.warning("the keys cannot be listed: %s", error)


def _number(key_hash: str) -> int:
    return int(key_hash[:PREFIX_DIGITS], 16)
