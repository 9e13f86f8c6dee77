"""Authentication of HTTP requests: an API key in a header, of OpenAI's or Anthropic's SDKs."""

from typing import Protocol

from aiohttp import web

from axon.exceptions import RequestError, WrongKeysError
from axon.tenants.principal import Principal
from axon.tenants.wrong_keys import subscriber_of


class KeyAuthenticator(Protocol):
    """The part of `axon.tenants.api_keys.ApiKeys` that finds the principal of a key."""

    async def authenticate(self, secret: str, *, address: str | None = None) -> Principal | None:
        """Return the principal of a valid key, or None."""
        ...

    def recent(self, secret: str) -> Principal | None:
        """Return the principal of a key that was valid a moment ago, or None."""
        ...


class Authenticator:
    """Finds the principal of a request by its API key.

    Parameters
    ----------
    keys : KeyAuthenticator
        Has all keys.
    trusted_proxies : int
        Proxies that each request has passed, by which the client's address is known.
    """

    def __init__(self, *, keys: KeyAuthenticator, trusted_proxies: int = 0) -> None:
        self._keys = keys
        self._trusted_proxies = trusted_proxies

    async def authenticate(self, request: web.Request, *, opens: bool = False) -> Principal:
        """Return the principal of a request.

        Parameters
        ----------
        request : web.Request
            The request.
        opens : bool
            The request opens a response, and does nothing before. The event log refuses that for a
            revoked key, so one that was valid a moment ago is not asked for again.

        Raises
        ------
        RequestError
            It has no key (401), a wrong one (401), or its address has sent too many (429).
        UnavailableError
            The key cannot be looked up.
        """
        secret = _secret_of(request)
        if not secret:
            raise RequestError(
                "You did not provide an API key. Send it in the Authorization header: "
                "'Authorization: Bearer YOUR_KEY'.",
                code="invalid_api_key",
                status=401,
            )
        if opens and (recent := self._keys.recent(secret)) is not None:
            return recent
        try:
            principal = await self._keys.authenticate(
                secret, address=_address_of(request, self._trusted_proxies)
            )
        except WrongKeysError as error:
            raise RequestError(
                "Too many wrong API keys came from this address. Wait a minute, then send a valid "
                "one.",
                code="rate_limit_exceeded",
                status=429,
            ) from error
        if principal is None:
            raise RequestError(
                "Incorrect API key provided. Send a key that is not revoked.",
                code="invalid_api_key",
                status=401,
            )
        return principal


def _secret_of(request: web.Request) -> str:
    """Return the key; the Authorization header counts first, as SDKs may send both."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    return request.headers.get("x-api-key", "").strip()


def _address_of(request: web.Request, trusted_proxies: int) -> str | None:
    """Return what wrong keys of the client are counted by.

    Each proxy appends the address that connected to it to X-Forwarded-For. So the client's is as
    far from the end as there are trusted proxies; what stands before it, the client may have
    written. A request with fewer addresses has not passed them all: it is counted by its peer.
    """
    address = request.remote or ""
    if trusted_proxies:
        passed = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        if len(passed) >= trusted_proxies and passed[-trusted_proxies].strip():
            address = passed[-trusted_proxies].strip()
    return subscriber_of(address)
