"""API Gateway's ``@connections`` over HTTP: one signed request a call."""

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote, urlsplit

from typing_extensions import override

from axon.adapters.aws.signed_client import SignedClient
from axon.adapters.aws.sigv4 import Credentials
from axon.adapters.closing import AsyncClosing
from axon.adapters.http_client import Answer, HttpError, Limits, NotSentError
from axon.management_api import (
    ConnectionGoneError,
    ConnectionsApi,
    ConnectionsApiError,
    PayloadTooLargeError,
    PostThrottledError,
    PostUncertainError,
)


class HttpConnectionsApi(AsyncClosing, ConnectionsApi):
    """See `axon.management_api.ConnectionsApi`; an asynchronous context manager.

    Parameters
    ----------
    endpoint : str
        ``https://{api}.execute-api.{region}.amazonaws.com/{stage}``, or a stand-in's URL.
    region : str
        The region that requests are signed for.
    credentials : Callable[[], Credentials]
        Called for each request, so it must not block.
    pool_size : int
        Most requests in flight; further ones wait for a connection.
    connect_timeout_s : float
        Seconds to wait for a connection, including the wait for one of the pool.
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
        self._prefix = f"{parts.path}/@connections/"
        self._limits = Limits(connect_s=connect_timeout_s, answer_s=answer_timeout_s)
        self._client = SignedClient(
            origin=self._origin,
            service="execute-api",
            region=region,
            credentials=credentials,
            pool_size=pool_size,
        )
        self._path = lru_cache(maxsize=4096)(self._path_of)

    @override
    async def close(self) -> None:
        await self._client.close()

    @override
    async def post(self, connection_id: str, data: bytes) -> None:
        await self._request("POST", connection_id, data)

    @override
    async def delete(self, connection_id: str) -> None:
        await self._request("DELETE", connection_id, b"")

    async def _request(self, method: str, connection_id: str, data: bytes) -> None:
        try:
            answer = await self._client.request(
                method, self._path(connection_id), data, limits=self._limits
            )
        # First: nothing was sent, so the request may be sent again. All other errors leave in doubt
        # whether the message has arrived.
        except NotSentError as error:
            raise PostThrottledError(str(error)) from error
        except HttpError as error:
            raise PostUncertainError(f"no answer from {self._origin}: {error!r}") from error
        if answer.status >= 300:
            raise _refusal(answer)

    def _path_of(self, connection_id: str) -> str:
        return self._prefix + quote(connection_id, safe="")


def _refusal(answer: Answer) -> ConnectionsApiError:
    message = str(answer)
    if answer.status == 410:
        return ConnectionGoneError(message)
    if answer.status == 413:
        return PayloadTooLargeError(message)
    # 403: credentials or permissions are being rotated, and the next request is signed with the new
    # ones.
    if answer.status in (403, 429) or answer.status >= 500:
        return PostThrottledError(message)
    return ConnectionsApiError(message)
