"""API Gateway's ``@connections`` over HTTP: one signed request a call."""

import time
from collections.abc import Callable
from functools import lru_cache
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from axon.adapters.aws.sigv4 import Credentials, SigV4Signer
from axon.management_api import (
    ConnectionGoneError,
    ConnectionsApi,
    ConnectionsApiError,
    PayloadTooLargeError,
    PostThrottledError,
    PostUncertainError,
)

# The gateway keeps idle connections for longer: a post hardly ever meets one that it just closed.
KEEP_ALIVE_S = 15.0


class HttpConnections(ConnectionsApi):
    """See `axon.management_api.ConnectionsApi`; made on a running event loop.

    Parameters
    ----------
    endpoint : str
        ``https://{api}.execute-api.{region}.amazonaws.com/{stage}``, or a stand-in's URL.
    region : str
        The region that requests are signed for.
    credentials : Callable[[], Credentials]
        Asked for each request, so it must not block.
    pool_size : int
        The most requests in flight; more wait for their turn.
    connect_timeout_s : float
        Seconds to wait for a connection, its turn included.
    answer_timeout_s : float
        Seconds to wait for the answer once the request was sent.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        region: str,
        credentials: Callable[[], Credentials],
        pool_size: int = 256,
        connect_timeout_s: float = 5.0,
        answer_timeout_s: float = 10.0,
    ) -> None:
        parts = urlsplit(endpoint.rstrip("/"))
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._path = f"{parts.path}/@connections/"
        self._credentials = credentials
        self._signer = SigV4Signer(service="execute-api", region=region, host=parts.netloc)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=pool_size, keepalive_timeout=KEEP_ALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(connect=connect_timeout_s, sock_read=answer_timeout_s),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )
        self._target = lru_cache(maxsize=4096)(self._target_of)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def post(self, connection_id: str, data: bytes) -> None:
        await self._request("POST", connection_id, data)

    async def delete(self, connection_id: str) -> None:
        await self._request("DELETE", connection_id, b"")

    async def _request(self, method: str, connection_id: str, data: bytes) -> None:
        path, url = self._target(connection_id)
        headers = self._signer.sign(
            method=method, path=path, body=data, credentials=self._credentials(), now=time.time()
        )
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, allow_redirects=False
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise PostThrottledError(f"cannot reach {self._origin}: {error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PostUncertainError(f"no answer from {self._origin}: {error!r}") from error
        if answer.status >= 300:
            raise _refusal(answer.status, body)

    def _target_of(self, connection_id: str) -> tuple[str, URL]:
        path = self._path + quote(connection_id, safe="")
        return path, URL(self._origin + path, encoded=True)


def _refusal(status: int, body: bytes) -> ConnectionsApiError:
    message = f"HTTP {status}: {body[:200].decode(errors='replace')}"
    if status == 410:
        return ConnectionGoneError(message)
    if status == 413:
        return PayloadTooLargeError(message)
    # 403: a rotation of credentials or permissions is under way; the next request is signed anew.
    if status in (403, 429) or status >= 500:
        return PostThrottledError(message)
    return ConnectionsApiError(message)
