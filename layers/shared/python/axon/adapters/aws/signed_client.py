"""SignedClient: HTTP requests signed with Signature Version 4, under every AWS API that Axon calls.

boto3 spends 0.8 ms of CPU on a call and needs a thread for each that waits; this spends 0.06 ms,
and a long poll ends as soon as it is cancelled. See docs/adr/0003-dependencies.md.
"""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from typing_extensions import override

from axon.adapters.aws.sigv4 import Credentials, SigV4Signer
from axon.adapters.closing import AsyncClosing
from axon.adapters.http_client import Answer, HttpClient, Limits


class SignedClient(AsyncClosing):
    """Sends signed requests to one endpoint over a pool of connections; repeats nothing.

    See `axon.adapters.http_client.HttpClient`.

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
        self._credentials = credentials
        self._signer = SigV4Signer(service=service, region=region, host=urlsplit(origin).netloc)
        self._client = HttpClient(origin=origin, pool_size=pool_size)

    async def request(
        self,
        method: str,
        path: str,
        body: bytes,
        *,
        limits: Limits,
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
        limits : Limits
            Limits of this request; nothing is repeated here.
        target : str | None
            The operation, for services that take it in ``X-Amz-Target``.
        content_type : str | None
            The header `Content-Type`; None to send none.
        digest : str | None
            SHA-256 of the body, in hexadecimal digits; None to compute it.

        Raises
        ------
        NotSentError
            There was no connection in time.
        HttpError
            No answer came in time, or the connection broke.
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
        return await self._client.request(method, path, body, headers=headers, limits=limits)

    @override
    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
