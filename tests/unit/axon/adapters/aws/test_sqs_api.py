import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from botocore.credentials import ReadOnlyCredentials

from axon.adapters.aws import sqs_api
from axon.adapters.aws.signed_client import SignedClient
from axon.adapters.aws.sqs_api import RETRY, SqsApi
from axon.adapters.http_client import Answer, HttpError, Limits
from axon.catalog import INTEGRATION_LIMIT_S
from axon.exceptions import PermanentRefusalError, UnavailableError
from axon.retry import RetryPolicy
from axon.serialization import loads
from tests.support import virtual_time

IMPATIENT = replace(RETRY, first_pause_s=0, longest_pause_s=0)


class Service:
    """Answers as told, one request after the other; then with `{}`."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes] | Literal["hang", "hang up", "drops"]] = []
        self.requests: list[tuple[dict[str, str], dict[str, object]]] = []
        self.arrived = asyncio.Event()
        self.abandoned = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((dict(request.headers), loads(await request.read())))
        self.arrived.set()
        answer = self.answers.pop(0) if self.answers else (200, b"{}")
        match answer:
            case (status, body):
                return web.Response(status=status, body=body)
            case "hang up":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "drops":
                return await self._drip(request)
        try:
            await asyncio.Event().wait()
        finally:
            self.abandoned.set()
        raise AssertionError

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        """Answer a byte now and then, without an end."""
        stream = web.StreamResponse()
        await stream.prepare(request)
        while True:
            await stream.write(b" ")
            await asyncio.sleep(0.02)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def api(service: Service) -> AsyncIterator[SqsApi]:
    application = web.Application()
    application.router.add_post("/", service.answer)
    async with TestServer(application) as server:
        api = client(str(server.make_url("/000000000000/jobs")))
        yield api
        await api.close()


def client(queue_url: str, *, retry: RetryPolicy = IMPATIENT) -> SqsApi:
    return SqsApi(
        queue_url=queue_url,
        region="eu-central-1",
        credentials=lambda: ReadOnlyCredentials("AKID", "secret", "token"),
        retry=retry,
    )


async def test_sqs_api_signs_a_call_with_operation_and_queue(api: SqsApi, service: Service) -> None:
    service.answers = [(200, b'{"MessageId": "1"}')]
    assert await api.call("SendMessage", MessageBody="hello") == {"MessageId": "1"}
    headers, body = service.requests[0]
    assert headers["X-Amz-Target"] == "AmazonSQS.SendMessage"
    assert headers["Content-Type"] == "application/x-amz-json-1.0"
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert "/eu-central-1/sqs/aws4_request" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "token"
    assert body["MessageBody"] == "hello"
    assert str(body["QueueUrl"]).endswith("/000000000000/jobs")


async def test_sqs_api_returns_an_empty_object_for_an_empty_answer(
    api: SqsApi, service: Service
) -> None:
    service.answers = [(200, b"")]
    assert await api.call("DeleteMessage") == {}


@pytest.mark.parametrize(
    "fault",
    [
        (500, b""),
        (503, b""),
        (429, b""),
        (400, b'{"__type": "com.amazonaws.sqs#RequestThrottled"}'),
        (400, b'{"__type": "com.amazon.coral.availability#ThrottlingException"}'),
        "hang up",
    ],
)
async def test_sqs_api_retries_transient_failures(
    api: SqsApi, service: Service, fault: tuple[int, bytes] | Literal["hang up"]
) -> None:
    service.answers = [fault, fault, fault, (200, b'{"done": 1}')]
    assert await api.call("SendMessage") == {"done": 1}
    assert len(service.requests) == 4


async def test_sqs_api_gives_up_after_four_attempts(api: SqsApi, service: Service) -> None:
    service.answers = [(500, b"down")] * 9
    with pytest.raises(UnavailableError, match=r"SQS SendMessage.*500.*down"):
        await api.call("SendMessage")
    assert len(service.requests) == 4


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "com.amazonaws.sqs#QueueDoesNotExist"),
        (403, "AccessDeniedException"),
        (400, "com.amazon.coral.service#InvalidParameterValue"),
        (400, "com.amazonaws.sqs#BatchRequestTooLong"),
        (400, "com.amazonaws.sqs#InvalidMessageContents"),
        (400, "com.amazonaws.sqs#KmsAccessDenied"),
        (413, ""),
    ],
)
async def test_sqs_api_does_not_retry_a_refusal(
    api: SqsApi, service: Service, status: int, code: str
) -> None:
    body = f'{{"__type": "{code}"}}'.encode() if code else b"too large"
    service.answers = [(status, body)]
    with pytest.raises(PermanentRefusalError, match=code.partition("#")[2] or str(status)):
        await api.call("SendMessage")
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "ExpiredTokenException"),
        (403, "com.amazonaws.sqs#OverLimit"),
        (400, "com.amazonaws.sqs#QueueDeletedRecently"),
        (403, ""),  # not SQS: something on the way there
    ],
)
async def test_sqs_api_takes_a_refusal_that_passes_for_unavailability(
    api: SqsApi, service: Service, status: int, code: str
) -> None:
    service.answers = [(status, f'{{"__type": "{code}"}}'.encode() if code else b"<html>")]
    with pytest.raises(UnavailableError) as caught:
        await api.call("SendMessage")
    assert not isinstance(caught.value, PermanentRefusalError)


async def test_sqs_api_raises_unavailable_without_a_service() -> None:
    api = client("http://127.0.0.1:1/0/jobs")
    with pytest.raises(UnavailableError, match="SQS SendMessage"):
        await api.call("SendMessage")
    await api.close()


async def test_sqs_api_ends_a_cancelled_long_poll_at_the_service(
    api: SqsApi, service: Service
) -> None:
    service.answers = ["hang"]
    poll = asyncio.create_task(api.call("ReceiveMessage", wait_s=20))
    async with asyncio.timeout(5):
        await service.arrived.wait()
        poll.cancel()
        await service.abandoned.wait()
    with pytest.raises(asyncio.CancelledError):
        await poll


async def test_sqs_api_works_again_after_it_was_closed(api: SqsApi, service: Service) -> None:
    await api.call("SendMessage")
    await api.close()
    await api.close()
    await api.call("SendMessage")
    assert len(service.requests) == 2


@pytest.mark.parametrize("operation", ["SendMessage", "SendMessageBatch"])
def test_sqs_api_gives_up_within_the_limit_of_an_integration(
    monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    async def time_out(_client: SignedClient, *_: object, limits: Limits, **__: object) -> Answer:
        await asyncio.sleep(limits.connect_s + limits.answer_s)
        raise HttpError

    async def story() -> float:
        with pytest.raises(UnavailableError, match=f"SQS {operation}"):
            await client("http://sqs.test/0/jobs", retry=RETRY).call(operation)
        return virtual_time.now()

    monkeypatch.setattr(SignedClient, "request", time_out)
    # The pauses are random: this is the longest of each.
    monkeypatch.setattr(random, "uniform", lambda _, longest: longest)
    assert virtual_time.run(story()) == pytest.approx(28.75)
    assert virtual_time.run(story()) < INTEGRATION_LIMIT_S


async def test_sqs_api_bounds_an_attempt_whose_answer_comes_in_drops(
    api: SqsApi, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs_api, "_CONNECT_S", 0.1)
    monkeypatch.setattr(sqs_api, "_ANSWER_S", 0.1)
    service.answers = ["drops"] * 4
    with pytest.raises(UnavailableError, match="no answer within"):
        await api.call("SendMessage")
    assert len(service.requests) == 4
