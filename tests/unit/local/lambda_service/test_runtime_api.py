import asyncio
import json

import pytest

from local.http.messages import Request, Response
from local.lambda_service.invocation import Invocation
from local.lambda_service.runtime_api import RuntimeApi

PREFIX = "/secret/2018-06-01/runtime"


class Runtime:
    """A runtime API and what it told its environment."""

    def __init__(self) -> None:
        self.idle = 0
        self.init_errors: list[bytes] = []
        self.api = RuntimeApi(
            secret="secret",
            function_arn="arn",
            timeout_s=9,
            on_idle=self.on_idle,
            on_init_error=self.on_init_error,
        )

    def on_idle(self) -> None:
        self.idle += 1

    def on_init_error(self, error: bytes) -> None:
        self.init_errors.append(error)

    def is_idle(self) -> bool:
        return self.api.idle

    def next(self) -> "asyncio.Future[Response]":
        answer = self.api.handle(Request("GET", f"{PREFIX}/invocation/next", {}, b""))
        assert isinstance(answer, asyncio.Future)
        return answer

    def post(self, path: str, body: bytes = b"{}") -> Response:
        answer = self.api.handle(Request("POST", f"{PREFIX}/{path}", {}, body))
        assert isinstance(answer, Response)
        return answer


def invocation(payload: bytes = b"{}") -> Invocation:
    return Invocation(payload, asyncio.get_running_loop().create_future())


async def test_runtime_api_gives_one_invocation_after_another() -> None:
    runtime = Runtime()
    for n in range(2):
        waiting = runtime.next()
        assert runtime.is_idle()
        current = invocation(b"[%d]" % n)
        runtime.api.submit(current)
        response = waiting.result()
        assert (response.status, response.body) == (200, b"[%d]" % n)
        assert response.headers["Lambda-Runtime-Aws-Request-Id"] == current.request_id
        assert response.headers["Lambda-Runtime-Invoked-Function-Arn"] == "arn"
        assert int(response.headers["Lambda-Runtime-Deadline-Ms"]) > 1_600_000_000_000
        assert not runtime.is_idle()
        assert runtime.post(f"invocation/{current.request_id}/response", b"7").status == 202
        assert current.outcome.result().payload == b"7"
        assert not current.outcome.result().failed
    assert runtime.idle == 2


@pytest.mark.parametrize(
    "target",
    [
        "/2018-06-01/runtime/invocation/next",
        "/wrong/2018-06-01/runtime/invocation/next",
        "//2018-06-01/runtime/invocation/next",
        "/s\xe9cret/2018-06-01/runtime/invocation/next",
        "/",
    ],
)
async def test_runtime_api_gives_nothing_to_a_process_without_the_secret(target: str) -> None:
    runtime = Runtime()
    refused = runtime.api.handle(Request("GET", target, {}, b""))
    assert isinstance(refused, Response)
    assert refused.status == 403
    forged = target.replace("invocation/next", "init/error")
    assert isinstance(runtime.api.handle(Request("POST", forged, {}, b"{}")), Response)
    assert (runtime.idle, runtime.init_errors) == (0, [])


async def test_runtime_api_takes_an_error() -> None:
    runtime = Runtime()
    runtime.next()
    current = invocation()
    runtime.api.submit(current)
    assert runtime.post(f"invocation/{current.request_id}/error", b'{"a":1}').status == 202
    assert current.outcome.result().failed
    assert current.outcome.result().payload == b'{"a":1}'


async def test_runtime_api_takes_an_init_error() -> None:
    runtime = Runtime()
    assert runtime.post("init/error", b'{"a":1}').status == 202
    assert runtime.init_errors == [b'{"a":1}']


async def test_runtime_api_ignores_a_caller_that_gave_up() -> None:
    runtime = Runtime()
    runtime.next()
    current = invocation()
    runtime.api.submit(current)
    current.outcome.cancel()
    assert runtime.post(f"invocation/{current.request_id}/response").status == 202
    runtime.next()
    assert runtime.is_idle()


async def test_runtime_api_refuses_wrong_requests() -> None:
    runtime = Runtime()
    assert runtime.post("invocation/unknown/response").status == 400
    runtime.next()
    current = invocation()
    runtime.api.submit(current)
    again = runtime.api.handle(Request("GET", f"{PREFIX}/invocation/next", {}, b""))
    assert isinstance(again, Response)
    assert again.status == 403
    assert json.loads(again.body)["errorType"] == "InvalidStateTransition"
    assert runtime.post(f"invocation/{current.request_id}/other").status == 404
    assert runtime.post("nothing").status == 404
    assert not current.outcome.done()


async def test_runtime_api_submits_nothing_to_a_busy_runtime() -> None:
    runtime = Runtime()
    with pytest.raises(RuntimeError):
        runtime.api.submit(invocation())
