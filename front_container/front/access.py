"""Access of web pages to the front: the Host and Origin headers that requests may have."""

import re
from collections.abc import Collection, Mapping

from axon.exceptions import RequestError

_PORT = re.compile(r":\d{1,5}\Z", re.ASCII)
_ANY_PORT = ":*"


class Access:
    """The rules for requests from browsers.

    A page can point a name of its own to a server on its reader's machine (DNS rebinding). The
    server is then of the page's origin, but the requests carry that name in their Host header.

    Parameters
    ----------
    hosts : Collection[str]
        Names in lower case, without a port, that a Host header may have. Empty for any, where only
        a balancer reaches the front; else pages of other origins than `origins` are refused, too.
    origins : Collection[str]
        Origins whose pages may read answers. One that ends in ``:*`` has any port or none; ``*``
        stands for all origins.
    """

    def __init__(self, *, hosts: Collection[str] = (), origins: Collection[str] = ()) -> None:
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)

    def allowed_origin(self, headers: Mapping[str, str]) -> str | None:
        """Return the origin of the page that asks, if it may read the answer."""
        origin = headers.get("Origin")
        return origin if origin and self._allows(origin) else None

    def check(self, headers: Mapping[str, str]) -> None:
        """Check the headers of a request.

        Raises
        ------
        RequestError
            The Host header has another name, or the request comes from a page of another origin.
            Its message is ASCII: bytes that are no UTF-8 are lone surrogates in headers, which
            JSON cannot hold.
        """
        if not self._hosts:
            return
        host = headers.get("Host", "")
        if host and _without_port(host).lower() not in self._hosts:
            raise _forbidden(
                f"The Host header may not be {host[:128]!a}. Use one of the names in "
                "AXON_ALLOWED_HOSTS; `axon dev --allow-host NAME` adds one."
            )
        origin = headers.get("Origin")
        # The front's own pages, under whichever of its names: that was checked just now.
        own = bool(host) and (origin or "").partition("://")[2].lower() == host.lower()
        if origin and not own and not self._allows(origin):
            raise _forbidden(
                f"Pages of {origin[:128]!a} may not send requests here. Send them from a program, "
                "or from a page whose origin is in AXON_CORS_ORIGINS."
            )

    def _allows(self, origin: str) -> bool:
        any_port = _without_port(origin) + _ANY_PORT
        return not self._origins.isdisjoint(("*", origin, any_port))


def _without_port(name: str) -> str:
    return _PORT.sub("", name)


def _forbidden(message: str) -> RequestError:
    return RequestError(message, code="forbidden", status=403)
