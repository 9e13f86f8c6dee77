"""The Runtime API of one environment: hands out one invocation at a time.

Its paths begin with a secret that only the environment's process knows: any other process could
take invocations, and answer them. States: starting (no `next` yet), idle (`next` waits), busy (an
invocation is out). It does no I/O; the HTTP server calls `handle`, the environment calls `submit`.
"""

import asyncio
import json
from collections.abc import Callable
from urllib.parse import unquote

from local.http.access import is_same
from local.http.messages import Request, Response
from local.http.server import Answer
from local.lambda_service.invocation import RESPONSE_LIMIT_BYTES, Invocation, deadline_ms

_PREFIX = "2018-06-01/runtime/"
_ACCEPTED = Response(202, b'{"status":"OK"}', {"Content-Type": "application/json"})


class RuntimeApi:
    """The Runtime API for one environment.

    Parameters
    ----------
    secret : str
        First part of the path of every request.
    function_arn : str
        Sent with each invocation.
    timeout_s : float
        Seconds from an invocation to its deadline.
    on_idle : Callable[[], None]
        Called whenever the runtime asks for an invocation.
    on_init_error : Callable[[bytes], None]
        Called with the JSON of the error when the runtime cannot load the handler.
    """

    def __init__(
        self,
        *,
        secret: str,
        function_arn: str,
        timeout_s: float,
        on_idle: Callable[[], None],
        on_init_error: Callable[[bytes], None],
    ) -> None:
        self._secret = secret
        self._function_arn = function_arn
        self._timeout_s = timeout_s
        self._on_idle = on_idle
        self._on_init_error = on_init_error
        self._next: asyncio.Future[Response] | None = None
        self.invocation: Invocation | None = None

    @property
    def idle(self) -> bool:
        """True while the runtime waits for an invocation."""
        return self._next is not None and not self._next.done()

    def submit(self, invocation: Invocation) -> None:
        """Give an invocation to the idle runtime.

        Raises
        ------
        RuntimeError
            The runtime is not idle.
        """
        waiting, self._next = self._next, None
        if waiting is None or waiting.done():
            raise RuntimeError("the environment is not idle")
        self.invocation = invocation
        waiting.set_result(Response(200, invocation.payload, self._headers(invocation)))

    def _headers(self, invocation: Invocation) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms(self._timeout_s)),
            "Lambda-Runtime-Invoked-Function-Arn": self._function_arn,
        }

    def handle(self, request: Request) -> Answer:
        """Answer one request of the runtime."""
        secret, _, target = request.target.removeprefix("/").partition("/")
        if not is_same(secret, self._secret):
            return _error(403, "AccessDenied", "the path does not begin with the secret")
        path = target.removeprefix(_PREFIX)
        if request.method == "GET" and path == "invocation/next":
            return self._wait_for_next()
        if request.method == "POST" and path == "init/error":
            self._on_init_error(request.body)
            return _ACCEPTED
        if request.method == "POST" and path.startswith("invocation/"):
            _, request_id, verb = (*path.split("/"), "", "")[:3]
            return self._end(unquote(request_id), verb, request.body)
        return _error(404, "InvalidPath", f"no such path: /{target}")

    def _wait_for_next(self) -> Answer:
        if self.invocation is not None:
            return _error(403, "InvalidStateTransition", "the invocation has no response yet")
        waiting = self._next = asyncio.get_running_loop().create_future()
        self._on_idle()
        return waiting

    def _end(self, request_id: str, verb: str, body: bytes) -> Response:
        invocation = self.invocation
        if invocation is None or invocation.request_id != request_id:
            return _error(400, "InvalidRequestID", f"no such invocation: {request_id}")
        if verb not in ("response", "error"):
            return _error(404, "InvalidPath", f"no such verb: {verb}")
        self.invocation = None
        if len(body) > RESPONSE_LIMIT_BYTES:
            message = f"Response payload size exceeded {RESPONSE_LIMIT_BYTES} bytes."
            invocation.fail_with("Function.ResponseSizeTooLarge", message)
            return _error(413, "RequestEntityTooLarge", message)
        if verb == "response":
            invocation.succeed(body)
        else:
            invocation.fail(body)
        return _ACCEPTED


def _error(status: int, error_type: str, message: str) -> Response:
    body = json.dumps({"errorType": error_type, "errorMessage": message})
    return Response(status, body.encode(), {"Content-Type": "application/json"})
