"""Hosts that an upstream's URL may name, and addresses that none may have."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Self
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address

_METADATA = ip_network("fd00:ec2::/32")
"""Instance metadata, time and the credentials of EKS by IPv6 (AWS's documentation); by IPv4, and
ECS's credentials (169.254.170.2), they are link-local."""
_MAPPED = (ip_network("64:ff9b::/96"), ip_network("::/96"))
"""NAT64 (RFC 6052) and IPv4-compatible addresses: the last four bytes are an IPv4 address."""
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]*)(\.(0x[0-9a-f]*|[0-9]*))*", re.IGNORECASE)
"""Forms of an IPv4 address that `inet_aton` takes beside the usual one, as ``2852039166``."""
_ENTRY = re.compile(r"\*|(\*\.)?[a-z0-9_.-]+(:\d+)?|\[[0-9a-f:.]+\](:\d+)?", re.IGNORECASE)


def is_forbidden(address: str) -> bool:
    """Return whether no upstream may have this address.

    Link-local addresses are those of the metadata services, which give a role's credentials to
    every process of the machine that asks.
    """
    return any(map(_is_forbidden, _meanings(ip_address(address.partition("%")[0]))))


def _meanings(address: Address) -> Iterable[Address]:
    yield address
    if isinstance(address, IPv6Address):
        if (mapped := address.ipv4_mapped or address.sixtofour) is not None:
            yield mapped
        if any(address in network for network in _MAPPED):
            yield IPv4Address(address.packed[-4:])


def _is_forbidden(address: Address) -> bool:
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return True
    return isinstance(address, IPv6Address) and address in _METADATA


def check_host(host: str) -> None:
    """Check the host of a URL, as far as that is possible without asking for its addresses.

    Raises
    ------
    ValueError
        It is a forbidden address, a number that some programs read as an address, or not plain
        text: HTTP clients turn other digits and full stops into an address (IDNA, RFC 3490).
    """
    if not host.isascii():
        raise ValueError(f"{host!a} is no host: write it in punycode (xn--...)")
    try:
        forbidden = is_forbidden(host)
    except ValueError:  # a name
        if _NUMBER.fullmatch(host):
            raise ValueError(f"{host} is no host: write the address with four numbers") from None
        if "%" in host:
            raise ValueError(f"{host} is no host: write it without '%'") from None
        return
    if forbidden:
        raise ValueError(f"{host} is a link-local or metadata address, which no upstream may have")


class UpstreamHosts:
    """The hosts that the operator allows, as ``api.example.com``, ``*.example.com:8000`` or ``*``.

    An entry without a port allows all of the host's ports.

    Parameters
    ----------
    entries : Iterable[str]
        The hosts.
    own_url : str | None
        The deployment's own upstream, whose host and port are always allowed.
    """

    def __init__(self, entries: Iterable[str] = (), *, own_url: str | None = None) -> None:
        self._entries = tuple(entry.lower() for entry in entries)
        self._own = None if own_url is None else _place(own_url)

    @classmethod
    def parsed(cls, entries: Iterable[str]) -> Self:
        """Return the hosts of these entries.

        Raises
        ------
        ValueError
            One is no host.
        """
        entries = tuple(entries)
        if wrong := [entry for entry in entries if not _ENTRY.fullmatch(entry)]:
            raise ValueError(f"{wrong[0]!r} is no host: write api.example.com, *.example.com or *")
        return cls(entries)

    def allow(self, url: str) -> bool:
        """Return whether an upstream may have this URL."""
        host, port = place = _place(url)
        return place == self._own or any(self._matches(each, host, port) for each in self._entries)

    @staticmethod
    def _matches(entry: str, host: str, port: int) -> bool:
        if entry == "*":
            return True
        named = urlsplit(f"//{entry}")
        if named.port not in (None, port):
            return False
        name = named.hostname or ""
        return host.endswith(name[1:]) if name.startswith("*.") else host == name


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return (parts.hostname or "").rstrip("."), port
