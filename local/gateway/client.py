"""A client as the gateway knows it; it outlives the client's socket, for `$disconnect`."""

import base64
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qs, urlsplit


def new_id() -> str:
    """Return an id of API Gateway's shape: 16 characters of URL-safe base64, the last one `=`."""
    return base64.urlsafe_b64encode(os.urandom(11)).decode()


def now_ms() -> int:
    """Return the milliseconds since 1970."""
    return int(time.time() * 1000)


@dataclass(frozen=True, slots=True)
class HandshakeRequest:
    """The request that opens a connection: its path with the query, its headers in order."""

    target: str
    header_items: Sequence[tuple[str, str]]

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's parameters."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def multi_value_headers(self) -> dict[str, list[str]]:
        """All values by name, the names as the client wrote them."""
        headers: dict[str, list[str]] = {}
        for name, value in self.header_items:
            headers.setdefault(name, []).append(value)
        return headers

    def header(self, name: str) -> str:
        """Return the last value of a header, its name in any case; empty if there is none."""
        values = [value for key, value in self.header_items if key.lower() == name.lower()]
        return values[-1] if values else ""


@dataclass(frozen=True)
class Client:
    """Identity of one connection.

    Parameters
    ----------
    request : HandshakeRequest
        The WebSocket handshake, which the connect event describes.
    source_ip : str
        Address that the client connected from.
    authorizer : Mapping[str, str | int] | None
        Context that the authorizer returned; later events carry it.
    connected_at_ms : int
        Milliseconds of the Unix epoch.
    """

    request: HandshakeRequest
    source_ip: str
    authorizer: Mapping[str, str | int] | None = None
    id: str = field(default_factory=new_id)
    connected_at_ms: int = field(default_factory=now_ms)

    @cached_property
    def user_agent(self) -> str:
        """The User-Agent header; empty if there is none."""
        return self.request.header("User-Agent")

    @cached_property
    def host(self) -> str:
        """The Host header, which functions see as the domain name."""
        return self.request.header("Host")
