"""Reads of sets in pages, so that no command returns an unbounded number of members."""

from collections.abc import AsyncIterator

from axon.adapters.valkey.client import Valkey

PAGE = 64
"""Members of a page, on average; a script that is given a page takes about 1 ms."""


async def page_of(valkey: Valkey, key: str, cursor: int) -> tuple[int, list[bytes]]:
    """Return the cursor after a page of a set, 0 at the end, and the members in the page.

    Members that are in the set all the time are in some page, perhaps in two.
    """
    following, members = await valkey.call("SSCAN", key, cursor, "COUNT", PAGE)
    return int(following), list(members)


async def pages(valkey: Valkey, key: str) -> AsyncIterator[list[bytes]]:
    """Yield all pages of a set, the last one also when it is empty."""
    cursor, members = await page_of(valkey, key, 0)
    yield members
    while cursor:
        cursor, members = await page_of(valkey, key, cursor)
        yield members


async def members_of(valkey: Valkey, key: str) -> set[str]:
    """Return all members of a set."""
    return {member.decode() async for page in pages(valkey, key) for member in page}
