"""SignedClient: HTTP requests signed with Signature Version 4, under every AWS API that Axon calls.

boto3 spends 0.8 ms of CPU on a call and needs a thread for each that waits; this spends 0.2 ms, and
a long poll ends as soon as it is cancelled. See docs/adr/0003-dependencies.md.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from urllib.parse import urlsplit

import aiohttp
from typing_extensions import override
from yarl import URL

from axon.adapters.aws.sigv4 import Credentials, SigV4Signer
from axon.adapters.closing import AsyncClosing

_PART_BYTES = 2**20
KEEP_ALIVE_S = 15.0
"""Seconds that an idle connection is kept: less than the servers keep it.

A request therefore hardly ever meets a connection that the server has just closed, which could not
be told apart from a request that was lost on its way.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    body: bytes

    @override
    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.body[:300].decode(errors='replace')}"


class SignedClient(AsyncClosing):
    """Sends signed requests to one endpoint over a pool of connections; repeats nothing.

    It opens its connections with the first request, works on one event loop, and may be used again
    after it was closed.

    Parameters
    ----------
    origin : str
        Scheme, host and port of the endpoint.
    service, region : str
        The credential scope that requests are signed for, for example ``sqs``.
    credentials : Callable[[], Credentials]
        Called for each request, so it must not block.
    pool_size : int
        Most requests in flight; further ones wait for a connection.
    """

    def __init__(
        self,
        *,
        origin: str,
        service: str,
        region: str,
        credentials: Callable[[], Credentials],
        pool_size: int = 32,
    ) -> None:
        self._origin = origin
        self._credentials = credentials
        self._pool_size = pool_size
        self._signer = SigV4Signer(service=service, region=region, host=urlsplit(origin).netloc)
        self._session: aiohttp.ClientSession | None = None
        self._url = lru_cache(maxsize=4096)(self._url_of)

    async def request(
        self,
        method: str,
        path: str,
        body: bytes,
        *,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - not one duration: connect, read, total
        target: str | None = None,
        content_type: str | None = None,
        digest: str | None = None,
    ) -> Answer:
        """Sign and send one request; return the answer, whatever its status.

        Parameters
        ----------
        method : str
            HTTP method, in upper case.
        path : str
            As it is sent: percent-encoded.
        body : bytes
            Signed with the request; empty for none.
        timeout : aiohttp.ClientTimeout
            Limits of this request; nothing is repeated here.
        target : str | None
            The operation, for services that take it in ``X-Amz-Target``.
        content_type : str | None
            The header `Content-Type`; None to send none.
        digest : str | None
            SHA-256 of the body, in hexadecimal digits; None to compute it.

        Raises
        ------
        aiohttp.ClientError
            There was no connection, or it broke.
        TimeoutError
            The answer did not come in time.
        """
        # Signed at the last moment: AWS refuses a signature that is older than five minutes, and
        # credentials may have changed since an earlier attempt.
        headers = self._signer.sign(
            method=method,
            path=path,
            body=body,
            credentials=self._credentials(),
            now=time.time(),
            target=target,
            digest=digest,
        )
        if content_type is not None:
            headers["Content-Type"] = content_type
        async with self._open().request(
            method,
            self._url(path),
            # A large one in parts: written at once, it would be copied while nothing else runs.
            data=body if len(body) <= _PART_BYTES else BytesIO(body),
            headers=headers,
            timeout=timeout,
            allow_redirects=False,  # the signature is for this host only
        ) as answer:
            return Answer(answer.status, await answer.read())

    @override
    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._pool_size, keepalive_timeout=KEEP_ALIVE_S
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            )
        return self._session

    def _url_of(self, path: str) -> URL:
        return URL(self._origin + path, encoded=True)
