"""The service's API: Lambda's Invoke, and /health."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from local.http.access import Access
from local.http.messages import Request, Response
from local.http.server import Answer
from local.lambda_service.functions import Function
from local.lambda_service.invocation import Outcome

logger = logging.getLogger(__name__)

HEALTH = "/health"
_PREFIX = "/2015-03-31/functions/"
_SUFFIX = "/invocations"
REQUEST_LIMIT_BYTES = 6 * 1024 * 1024
EVENT_LIMIT_BYTES = 1024 * 1024
_JSON = "application/json"


class InvokeApi:
    """Answers Lambda's `Invoke` for the given functions."""

    def __init__(
        self,
        *,
        functions: Mapping[str, Function],
        event_retry_delays_s: Sequence[float],
        access: Access,
    ) -> None:
        self._access = access
        self._functions = functions
        self._event_retry_delays_s = event_retry_delays_s
        self._events: set[asyncio.Task[None]] = set()

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        path = request.target.partition("?")[0]
        if path == HEALTH:
            return self._health(details=self._access.has_token(request.headers))
        if request.method != "POST" or not (path.startswith(_PREFIX) and path.endswith(_SUFFIX)):
            return _error(404, "ResourceNotFoundException", f"no such operation: {path}")
        name = unquote(path[len(_PREFIX) : -len(_SUFFIX)]).rsplit(":", 1)[-1]
        function = self._functions.get(name)
        if function is None:
            return _error(404, "ResourceNotFoundException", f"Function not found: {name}")
        return self._invoke(function, request)

    def close(self) -> None:
        """Cancel the asynchronous invocations that run or wait for their next try."""
        for task in self._events:
            task.cancel()

    def _health(self, *, details: bool) -> Response:
        warm = all(function.warm for function in self._functions.values())
        body: dict[str, Any] = {"status": "ok" if warm else "starting"}
        if details:
            body["functions"] = {name: each.counts() for name, each in self._functions.items()}
        return Response(200 if warm else 503, json.dumps(body).encode(), {"Content-Type": _JSON})

    def _invoke(self, function: Function, request: Request) -> Answer:
        kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
        limit = EVENT_LIMIT_BYTES if kind == "Event" else REQUEST_LIMIT_BYTES
        if len(request.body) > limit:
            message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
            return _error(413, "RequestTooLargeException", message)
        if kind == "Event":
            return self._invoke_later(function, request.body or b"{}")
        if kind != "RequestResponse":
            return _error(400, "InvalidParameterValueException", f"unsupported type: {kind}")
        return _Reply(function.invoke(request.body or b"{}")).future

    def _invoke_later(self, function: Function, payload: bytes) -> Response:
        task = asyncio.get_running_loop().create_task(self._deliver(function, payload))
        self._events.add(task)
        task.add_done_callback(self._events.discard)
        return Response(202, b"", {"x-amzn-RequestId": str(uuid4())})

    async def _deliver(self, function: Function, payload: bytes) -> None:
        for delay_s in (*self._event_retry_delays_s, None):
            outcome = await function.invoke(payload)
            if not outcome.failed:
                return
            logger.warning("%s: an asynchronous invocation failed", function.arn)
            if delay_s is not None:
                await asyncio.sleep(delay_s)


class _Reply:
    """An HTTP response made from an outcome by callbacks: a task for each would cost CPU time."""

    def __init__(self, outcome: asyncio.Future[Outcome]) -> None:
        self.future: asyncio.Future[Response] = outcome.get_loop().create_future()
        self._outcome = outcome
        outcome.add_done_callback(self._on_outcome)
        self.future.add_done_callback(self._on_answered)

    def _on_outcome(self, outcome: asyncio.Future[Outcome]) -> None:
        if not self.future.done():
            self.future.set_result(_response(outcome.result()))

    def _on_answered(self, future: asyncio.Future[Response]) -> None:
        # The caller has disconnected: the invocation must not take an environment from another.
        if future.cancelled():
            self._outcome.cancel()


def _response(outcome: Outcome) -> Response:
    headers = {
        "Content-Type": _JSON,
        "X-Amz-Executed-Version": "$LATEST",
        "x-amzn-RequestId": str(uuid4()),
    }
    if outcome.failed:
        headers["X-Amz-Function-Error"] = "Unhandled"
    return Response(200, outcome.payload, headers)


def _error(status: int, error_type: str, message: str) -> Response:
    body = json.dumps({"Type": "User", "Message": message}).encode()
    return Response(status, body, {"Content-Type": _JSON, "x-amzn-ErrorType": error_type})
