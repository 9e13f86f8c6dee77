"""Invoke Lambda functions and read a proxy integration's answer."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from local.http.client import HttpClient, HttpClientError, NotConnectedError

_RETRY_PAUSE_S = 0.05


class IntegrationError(Exception):
    """The function failed, could not be invoked, or returned a malformed answer."""

    def __init__(self, message: str, *, error_message: str | None = None) -> None:
        super().__init__(message)
        self.error_message = error_message


class IntegrationTimeoutError(IntegrationError):
    """The function took longer than the integration timeout."""


@dataclass(frozen=True, slots=True)
class ProxyResult:
    """Status and body that a Lambda proxy integration returned."""

    status: int
    body: str


class FunctionClient:
    """Invokes functions with the Lambda service's API, over connections that are kept open."""

    def __init__(self, *, client: HttpClient, timeout_s: float, retry_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._retry_s = retry_s

    async def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Return what the function returned.

        Raises
        ------
        IntegrationTimeoutError
            No answer within `timeout_s`; the function runs on.
        IntegrationError
            The function failed or could not be invoked.
        """
        payload = json.dumps(event).encode()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._invoke(function, payload)
        except TimeoutError:
            raise IntegrationTimeoutError(f"{function}: no answer in time") from None

    async def invoke_proxy(self, function: str, event: dict[str, Any]) -> ProxyResult:
        """Return the function's answer, checked as that of a proxy integration.

        Raises
        ------
        IntegrationError
            As for `invoke`; or the answer has no valid status, or a body that is not text.
        """
        answer = await self.invoke(function, event)
        if not isinstance(answer, dict):
            raise IntegrationError(f"{function}: malformed proxy response")
        status, body = answer.get("statusCode"), answer.get("body")
        if isinstance(status, str) and status.isdecimal():
            status = int(status)
        if not isinstance(status, int) or not 200 <= status <= 599:
            raise IntegrationError(f"{function}: malformed status code: {status!r}")
        if not isinstance(body, str | None):
            raise IntegrationError(f"{function}: malformed proxy response")
        return ProxyResult(status, body or "")

    async def _invoke(self, function: str, payload: bytes) -> Any:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._retry_s
        while True:
            try:
                return await self._post(function, payload)
            except NotConnectedError as error:
                # Nothing was sent, so that nothing can run twice: the service is restarting.
                if loop.time() >= give_up:
                    raise IntegrationError(f"{function}: {error}") from error
                await asyncio.sleep(_RETRY_PAUSE_S)
            except HttpClientError as error:
                raise IntegrationError(f"{function}: {error}") from error

    async def _post(self, function: str, payload: bytes) -> Any:
        target = f"/2015-03-31/functions/{quote(function)}/invocations"
        response = await self._client.request("POST", target, body=payload)
        if response.status != 200:
            raise IntegrationError(f"{function}: HTTP {response.status}: {response.body[:200]!r}")
        try:
            answer = json.loads(response.body or b"null")
        except ValueError as error:
            raise IntegrationError(f"{function}: not JSON") from error
        if "x-amz-function-error" in response.headers:
            message = answer.get("errorMessage") if isinstance(answer, dict) else None
            raise IntegrationError(f"{function}: {message}", error_message=message)
        return answer
