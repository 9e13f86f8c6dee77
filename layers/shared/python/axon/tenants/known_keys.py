"""The valid keys as one process knows them: further wrong keys cost the store nothing."""

import asyncio
import logging
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol

from axon.exceptions import UnavailableError

REFRESH_S = 60.0
"""Seconds after which the list is read again. The cache knows keys that are created meanwhile."""
RETRY_S = 4.0
"""Seconds after which a list that could not be read is read again."""
READ_S = 5.0
"""Seconds for reading the list; calls wait for the one that reads it."""
UNLISTED_LOOKUPS = 20
"""Look-ups of keys that are in no current list, between two attempts to read one: 5 a second."""
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

    The list is read when it is needed first, and then once in `REFRESH_S` at most. While it cannot
    be read, an older one stays in use for the keys that it has. The store decides on all others,
    for they may have been created since, or all be right if no list was read: `UNLISTED_LOOKUPS` of
    them in `RETRY_S`. So no key is called wrong for want of a list.

    What remains: a key that was created less than `REFRESH_S` ago, while Valkey was away or had no
    memory to take it, is missing both there and in a list that counts as current.
    """

    def __init__(self, *, store: PrefixStore) -> None:
        self._store = store
        self._sorted = array("Q")
        self._current = False
        self._unlisted_left = 0
        self._read_again_at = float("-inf")
        self._reading = asyncio.Lock()

    async def may_have(self, key_hash: str) -> bool:
        """Return False for a key that the store does not have.

        Raises
        ------
        UnavailableError
            The list cannot be read, and too many keys were looked up for want of it.
        """
        await self._refresh()
        if self._lists(key_hash):
            return True
        if self._current:
            return False
        if self._unlisted_left == 0:
            raise UnavailableError("the keys cannot be listed, and too many are to be looked up")
        self._unlisted_left -= 1
        return True

    def _lists(self, key_hash: str) -> bool:
        prefix = _number(key_hash)
        position = bisect_left(self._sorted, prefix)
        return position < len(self._sorted) and self._sorted[position] == prefix

    async def _refresh(self) -> None:
        # Calls that come while the first list is read wait for it: an empty one has no right key.
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if now < self._read_again_at:
                return
            try:
                async with asyncio.timeout(READ_S):
                    prefixes = await self._store.prefixes()
            except (UnavailableError, TimeoutError) as error:
                logger.warning("the keys cannot be listed: %r", error)
                self._current, self._unlisted_left = False, UNLISTED_LOOKUPS
                # From the end of the attempt: it may have taken longer than the pause.
                self._read_again_at = asyncio.get_running_loop().time() + RETRY_S
                return
            self._sorted = array("Q", sorted(map(_number, prefixes)))
            self._current, self._read_again_at = True, now + REFRESH_S


def _number(key_hash: str) -> int:
    return int(key_hash[:PREFIX_DIGITS], 16)
