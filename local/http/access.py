"""Access to the local HTTP servers: for programs that have this run's token, and no web page.

Every user of the machine reaches the loopback interface, and so does every page in a browser
there, by a name that its owner points to 127.0.0.1 (DNS rebinding). Why it is done so:
docs/adr/0024-local-control-planes.md.
"""

import hmac
import json
import re
import secrets
from collections.abc import Collection, Mapping

from local.http.messages import Response

TOKEN_HEADER = "X-Amz-Security-Token"  # noqa: S105 - a header's name
"""AWS clients send the session token of their credentials (AWS_SESSION_TOKEN) in it."""

_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE | re.ASCII)
_PORT = re.compile(r":\d{1,5}\Z", re.ASCII)
_IN_CONTAINERS = "host.docker.internal"


def new_secret() -> str:
    """Return a secret of 192 bits that may stand in a header, a URL and a configuration file."""
    return secrets.token_hex(24)


def is_same(given: str, secret: str) -> bool:
    """Compare in a time that tells nothing about the secret."""
    return hmac.compare_digest(given.encode(), secret.encode())


def names_this_machine(host: str) -> bool:
    """Return whether a Host header has a name that no DNS server can point here, with any port.

    Any port, because a request may come through a tunnel or a proxy. A header that is missing is no
    browser's.
    """
    return not host or _LOOPBACK.fullmatch(host) is not None


def is_clients_host(host: str, *, allowed: Collection[str] = ()) -> bool:
    """Return whether a Host header may stand in a request to the clients' port.

    Besides this machine's names: the one that Docker gives the machine inside containers, since
    nobody can own a name below `.internal` (ICANN keeps it for private use), and those that the
    user allows, as of a tunnel.
    """
    name = _PORT.sub("", host).lower()
    return names_this_machine(host) or name == _IN_CONTAINERS or name in allowed


def is_local_page(origin: str) -> bool:
    """Return whether an Origin header is missing, or that of a page which this machine serves."""
    scheme, _, authority = origin.partition("://")
    page = scheme in ("http", "https") and authority != "" and names_this_machine(authority)
    return not origin or page


class Access:
    """The check before the handler of a control plane.

    Parameters
    ----------
    token : str | None
        Session token that AWS clients must send; None: none, since the handler has its own check.
    open_paths : frozenset[str]
        Paths that may be asked without the token.
    """

    def __init__(
        self, *, token: str | None = None, open_paths: frozenset[str] = frozenset()
    ) -> None:
        self._token = token
        self._open_paths = open_paths

    def refusal(self, target: str, headers: Mapping[str, str]) -> Response | None:
        """Return the answer to a request that is not to reach the handler, else None.

        Parameters
        ----------
        target : str
            Path and query.
        headers : Mapping[str, str]
            By their names in lower case.
        """
        if not names_this_machine(headers.get("host", "")):
            return _refused("ForbiddenException", "The Host header names another machine.")
        if "origin" in headers:
            return _refused("ForbiddenException", "Web pages have no access.")
        if target.partition("?")[0] in self._open_paths or self.has_token(headers):
            return None
        return _refused(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )

    def has_token(self, headers: Mapping[str, str]) -> bool:
        """Return whether the headers have the token, or none is needed."""
        return self._token is None or is_same(headers.get(TOKEN_HEADER.lower(), ""), self._token)


def _refused(error_type: str, message: str) -> Response:
    body = json.dumps({"message": message}).encode()
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error_type}
    return Response(403, body, headers)
