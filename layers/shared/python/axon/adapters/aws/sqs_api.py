"""SQS's JSON protocol over one pool of connections.

boto3 spends 0.8 ms of CPU on a call and needs a thread for each that waits; this spends 0.2 ms,
and a long poll ends when it is cancelled. See docs/adr/0003-dependencies.md.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from axon.adapters.aws.sigv4 import Credentials, SigV4Signer
from axon.exceptions import UnavailableError
from axon.serialization import dumps, loads

_ATTEMPTS = 4
_LONGEST_BACKOFF_S = 0.5
_KEEP_ALIVE_S = 15.0


class SqsApi:
    """Calls on one queue; opens its connections with the first call.

    Parameters
    ----------
    queue_url : str
        Names the queue and, by its host, the endpoint.
    region : str
        The region that requests are signed for.
    credentials : Callable[[], Credentials]
        Asked for each request.
    """

    def __init__(
        self, *, queue_url: str, region: str, credentials: Callable[[], Credentials]
    ) -> None:
        parts = urlsplit(queue_url)
        self._queue_url = queue_url
        self._endpoint = f"{parts.scheme}://{parts.netloc}/"
        self._credentials = credentials
        self._signer = SigV4Signer(service="sqs", region=region, host=parts.netloc)
        self._session: aiohttp.ClientSession | None = None

    async def call(self, operation: str, *, wait_s: float = 0, **parameters: Any) -> dict[str, Any]:
        """Call an operation of the queue, again after a passing fault.

        `wait_s` is how long the service itself may wait before it answers (a long poll).

        Raises
        ------
        UnavailableError
            The service refused, or stayed away.
        """
        body = dumps({"QueueUrl": self._queue_url, **parameters})
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._call(operation, body, wait_s=wait_s)
            except (aiohttp.ClientError, TimeoutError, _PassingError) as error:
                if attempt == _ATTEMPTS:
                    raise UnavailableError(f"SQS {operation}: {error!r}") from error
            await asyncio.sleep(random.uniform(0, _LONGEST_BACKOFF_S * attempt / _ATTEMPTS))  # noqa: S311
        raise AssertionError  # the last attempt returns or raises

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _call(self, operation: str, body: bytes, *, wait_s: float) -> dict[str, Any]:
        headers = self._signer.sign(
            method="POST",
            path="/",
            body=body,
            credentials=self._credentials(),
            now=time.time(),
            target=f"AmazonSQS.{operation}",
        )
        headers["Content-Type"] = "application/x-amz-json-1.0"
        timeout = aiohttp.ClientTimeout(connect=2, sock_read=5 + wait_s)
        async with self._open().post(
            self._endpoint, data=body, headers=headers, timeout=timeout, allow_redirects=False
        ) as answer:
            content = await answer.read()
        if answer.status == 200:
            parsed: dict[str, Any] = loads(content) if content else {}
            return parsed
        message = f"HTTP {answer.status}: {content[:300].decode(errors='replace')}"
        if answer.status >= 500 or answer.status == 429 or b"hrottl" in content:
            raise _PassingError(message)
        raise UnavailableError(f"SQS {operation}: {message}")

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=32, keepalive_timeout=_KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            )
        return self._session


class _PassingError(Exception):
    """The service asks for another try."""
