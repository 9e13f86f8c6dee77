"""Names of upstreams, and the addresses that they may have."""

import socket
from errno import EACCES

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from typing_extensions import override

from axon.upstream_hosts import is_forbidden


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses those that have an address of a metadata service.

    A name is allowed by the operator's list; who owns it decides what it resolves to, at any time.
    The connection is made to the very addresses that were checked.

    Parameters
    ----------
    resolver : AbstractResolver | None
        Does the work; None for aiohttp's own.
    """

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver or DefaultResolver()

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host.

        Raises
        ------
        OSError
            It has none, or one that no upstream may have.
        """
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            if is_forbidden(each["host"]):
                raise OSError(
                    EACCES,
                    f"{host} resolves to {each['host']}, a link-local or metadata address, which "
                    "no upstream may have",
                )
        return found

    @override
    async def close(self) -> None:
        await self._resolver.close()
