"""A function URL without Lambda: gives invocations to a function's runtime, and takes answers."""

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from local.lambda_service.invoke_api import REQUEST_LIMIT_BYTES

TIMEOUT_S = 900.0
TOO_LARGE = b'{"Message":"Request must be smaller than 6291456 bytes"}'
"""Body of the answer 413 (a guess: AWS documents the status alone)."""


@dataclass(kw_only=True)
class UrlAnswer:
    """The answer to one invocation, as far as it has come."""

    prelude: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""
    error: dict[str, Any] | None = None
    complete: bool = False
    broken_off: bool = False

    @property
    def ended(self) -> bool:
        return self.complete or self.broken_off or self.error is not None


class FunctionUrl:
    """The Runtime API of one environment (version 2018-06-01) with the URL before it."""

    def __init__(self) -> None:
        self.address = ""
        self.asked = 0
        """The number of times that the runtime has asked for an invocation."""
        self._events: asyncio.Queue[tuple[str, dict[str, Any], float]] = asyncio.Queue()
        self._answers: dict[str, UrlAnswer] = {}

    def invoke(self, event: dict[str, Any], *, timeout_s: float = TIMEOUT_S) -> UrlAnswer:
        """Queue an invocation; return its answer, which grows. One that is too long is refused."""
        if exceeds_invocation(event):
            return UrlAnswer(prelude={"statusCode": 413}, body=TOO_LARGE, complete=True)
        request_id = f"invocation-{len(self._answers)}"
        self._answers[request_id] = answer = UrlAnswer()
        self._events.put_nowait((request_id, event, timeout_s))
        return answer

    @asynccontextmanager
    async def serve(self, *, port: int = 0) -> AsyncIterator["FunctionUrl"]:
        application = web.Application(client_max_size=2**24)
        at = "/2018-06-01/runtime/invocation"
        application.router.add_get(f"{at}/next", self._next)
        application.router.add_post(f"{at}/{{id}}/response", self._response)
        application.router.add_post(f"{at}/{{id}}/error", self._error)
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.address = f"127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _next(self, _request: web.Request) -> web.Response:
        self.asked += 1
        request_id, event, timeout_s = await self._events.get()
        return web.json_response(
            event,
            headers={
                "Lambda-Runtime-Aws-Request-Id": request_id,
                "Lambda-Runtime-Deadline-Ms": str(int(1000 * (time.time() + timeout_s))),
            },
        )

    async def _response(self, request: web.Request) -> web.Response:
        assert request.headers["Lambda-Runtime-Function-Response-Mode"] == "streaming"
        assert (
            request.headers["Content-Type"] == "application/vnd.awslambda.http-integration-response"
        )
        answer = self._answers[request.match_info["id"]]
        received = b""
        try:
            async for part in request.content.iter_any():
                received += part
                head, delimiter, answer.body = received.partition(bytes(8))
                if delimiter:
                    answer.prelude = json.loads(head)
            answer.complete = True
        finally:
            answer.broken_off = not answer.complete
        return web.Response(status=202)

    async def _error(self, request: web.Request) -> web.Response:
        answer = self._answers[request.match_info["id"]]
        if answer.prelude:
            return web.Response(status=403)
        answer.error = await request.json()
        return web.Response(status=202)


def url_event(
    method: str,
    path: str,
    *,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    text: str | None = None,
    source_ip: str = "203.0.113.9",
) -> dict[str, Any]:
    """Return an event of payload format 2.0, as a function URL makes it.

    A body of a text type, such as JSON that is not compressed, is in it as `text`.
    """
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {
            "host": "abc.lambda-url.eu-central-1.on.aws",
            "x-forwarded-for": "198.51.100.1",
            "x-forwarded-proto": "https",
            **(headers or {}),
        },
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": source_ip}
        },
        "body": b64encode(body).decode() if text is None else text,
        "isBase64Encoded": text is None,
    }


def exceeds_invocation(event: dict[str, Any]) -> bool:
    """Return whether Lambda refuses an event: as JSON it has more than 6 MB."""
    return len(json.dumps(event, ensure_ascii=False).encode()) > REQUEST_LIMIT_BYTES
