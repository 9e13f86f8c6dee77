"""AWS APIs that speak JSON, for calls so rare that each opens a connection of its own.

`adapters/sqs_api.py` is for those that come with every request.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from axon.adapters.aws.sigv4 import Credentials, SigV4Signer
from axon.exceptions import UnavailableError
from axon.serialization import dumps, loads

_TIMEOUT_S = 5.0


class AwsJsonApi:
    """Calls of one service; nothing is repeated, and nothing stays open.

    Parameters
    ----------
    service : str
        As in its host name, for example ``ecs``.
    target : str
        What stands before an operation's name in ``X-Amz-Target``.
    region : str
        Whose endpoint is called, and that requests are signed for.
    credentials : Callable[[], Credentials]
        Asked for each request.
    endpoint : str | None
        Another than the region's.
    """

    def __init__(
        self,
        *,
        service: str,
        target: str,
        region: str,
        credentials: Callable[[], Credentials],
        endpoint: str | None = None,
    ) -> None:
        self._service = service
        self._target = target
        self._url = (endpoint or endpoint_of(service, region=region)).rstrip("/") + "/"
        host = urlsplit(self._url).netloc
        self._signer = SigV4Signer(service=service, region=region, host=host)
        self._credentials = credentials

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation.

        Raises
        ------
        UnavailableError
            The service refused, or did not answer in time.
        """
        try:
            return await self._call(operation, dumps(parameters))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"{self._service} {operation}: {error!r}") from error

    async def _call(self, operation: str, body: bytes) -> dict[str, Any]:
        headers = self._signer.sign(
            method="POST",
            path="/",
            body=body,
            credentials=self._credentials(),
            now=time.time(),
            target=f"{self._target}.{operation}",
        )
        headers["Content-Type"] = "application/x-amz-json-1.1"
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            content = await answer.read()
        if answer.status != 200:
            reason = content[:300].decode(errors="replace")
            raise UnavailableError(f"{self._service} {operation}: HTTP {answer.status}: {reason}")
        parsed: dict[str, Any] = loads(content)
        return parsed


def endpoint_of(service: str, *, region: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return a service's endpoint as every AWS client finds it: the environment's goes first."""
    given = environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environ.get("AWS_ENDPOINT_URL")
    if given:
        return given
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{service}.{region}.{suffix}"
