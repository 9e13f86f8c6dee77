"""Wrong keys: how many an address may try before they are refused without a look-up."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Protocol

BURST = 20
"""Wrong keys that an address may try at once."""
INTERVAL_S = 3.0
"""Seconds after which it may try another one, up to `BURST`: 20 a minute."""
_SUBSCRIBER_PREFIX = 64
"""An IPv6 subscriber has at least a /64 (RFC 6177): single addresses cost nothing there."""


class WrongKeys(Protocol):
    """A token bucket of wrong keys for each address. Kept in Valkey; a fake in `axon.testing`."""

    async def wait_s(self, address: str) -> float:
        """Return the seconds until the address may try another unknown key; 0: now."""
        ...

    async def count(self, address: str) -> None:
        """Count a wrong key of the address."""
        ...


@lru_cache(maxsize=1024)
def subscriber_of(source_ip: str) -> str | None:
    """Return what wrong keys are counted by: an IPv4 address, or an IPv6 network of 64 bits.

    None for what is no address: its wrong keys are not counted.
    """
    try:
        address = ip_address(source_ip)
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), _SUBSCRIBER_PREFIX), strict=False))
