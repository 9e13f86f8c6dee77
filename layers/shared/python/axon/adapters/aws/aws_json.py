"""AWS APIs that speak JSON, for calls so rare that each opens a connection of its own.

`axon.adapters.aws.sqs_api` is for those that come with every request.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from axon.adapters.aws.signed_client import SignedClient
from axon.adapters.aws.sigv4 import Credentials
from axon.adapters.http_client import HttpError, Limits
from axon.exceptions import UnavailableError
from axon.serialization import dumps, loads

_TIMEOUT_S = 5.0
"""For a whole call, its connection included."""


class AwsJsonApi:
    """Calls operations of one service; repeats nothing and keeps no connection.

    Parameters
    ----------
    service : str
        As in its host name, for example ``ecs``.
    target : str
        The prefix of an operation's name in ``X-Amz-Target``.
    region : str
        Region whose endpoint is called, and that requests are signed for.
    credentials : Callable[[], Credentials]
        Called for each request.
    endpoint : str | None
        URL of another endpoint than the region's.
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
        parts = urlsplit(endpoint or endpoint_of(service, region=region))
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._service = service
        self._target = target
        self._region = region
        self._credentials = credentials

    async def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation.

        Raises
        ------
        UnavailableError
            The service refused, or did not answer in time.
        """
        # A client for each call: a pool would keep connections open that no other call uses.
        client = SignedClient(
            origin=self._origin,
            service=self._service,
            region=self._region,
            credentials=self._credentials,
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S), client:
                answer = await client.request(
                    "POST",
                    "/",
                    dumps(parameters),
                    limits=Limits(connect_s=_TIMEOUT_S, answer_s=_TIMEOUT_S),
                    target=f"{self._target}.{operation}",
                    content_type="application/x-amz-json-1.1",
                )
        except (HttpError, TimeoutError) as error:
            raise UnavailableError(f"{self._service} {operation}: {error!r}") from error
        if answer.status != 200:
            raise UnavailableError(f"{self._service} {operation}: {answer}")
        parsed: dict[str, Any] = loads(answer.body)
        return parsed


def endpoint_of(service: str, *, region: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return a service's endpoint, found as every AWS client finds it.

    The environment's ``AWS_ENDPOINT_URL_<SERVICE>`` comes first, then its ``AWS_ENDPOINT_URL``,
    then the region's public endpoint.
    """
    given = environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environ.get("AWS_ENDPOINT_URL")
    if given:
        return given
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{service}.{region}.{suffix}"
