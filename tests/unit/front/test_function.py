"""The front behind a function URL: a real server, and a stub of Lambda's Runtime API."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from yarl import URL

from axon.protocol.objects import Json
from front.function import LEFT_S, RuntimeApi, UrlFunction, _session
from tests.support.eventually import eventually
from tests.support.function_url import TIMEOUT_S, FunctionUrl, UrlAnswer, url_event
from tests.unit.axon.samples import MODEL
from tests.unit.front.front_harness import KEY, FrontHarness

HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}


Limits = list[tuple[float, asyncio.Timeout]]
"""The time that each answer was given, and what ends it when the test says so."""


@pytest.fixture
def limits() -> Limits:
    return []


@pytest.fixture
async def url(harness: FrontHarness, limits: Limits) -> AsyncIterator[FunctionUrl]:
    def timeout(left_s: float) -> asyncio.Timeout:
        limits.append((left_s, asyncio.timeout(None)))
        return limits[-1][1]

    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(FunctionUrl().serve())
        api_session = await stack.enter_async_context(_session(keeps_connections=True))
        session = await stack.enter_async_context(_session(keeps_connections=False))
        running = asyncio.create_task(
            UrlFunction(
                api=RuntimeApi(address=url.address, session=api_session),
                server=URL(harness.url),
                session=session,
                settle=harness.reader.drain,
                timeout=timeout,
            ).run()
        )
        yield url
        assert not running.done()
        running.cancel()


def post(path: str, **fields: object) -> Json:
    body = json.dumps({"model": MODEL, "input": "hello"} | fields).encode()
    return url_event("POST", path, headers=HEADERS, body=body)


async def ended(answer: UrlAnswer) -> UrlAnswer:
    await eventually(lambda: answer.ended)
    return answer


async def test_function_streams_the_events_of_an_answer(
    harness: FrontHarness, url: FunctionUrl
) -> None:
    answer = url.invoke(post("/v1/responses", stream=True))
    response_id = await harness.submitted()
    # The first event is there while the response runs.
    await eventually(lambda: b"response.created" in answer.body)
    assert answer.prelude["statusCode"] == 200
    headers = answer.prelude["headers"]
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["x-request-id"].startswith("req_")
    assert not headers.keys() & {"transfer-encoding", "connection", "content-length"}
    assert not answer.ended
    await harness.responses.answer(response_id, "Hel", "lo")
    assert (await ended(answer)).complete
    assert answer.body.count(b"event: response.completed\n") == 1


async def test_function_answers_one_invocation_after_the_other(
    harness: FrontHarness, url: FunctionUrl
) -> None:
    first, second = (url.invoke(url_event("GET", path)) for path in ("/healthz", "/v1/nothing"))
    third = url.invoke(url_event("GET", "/v1/models", headers=HEADERS))
    statuses = [(await ended(each)).prelude["statusCode"] for each in (first, second, third)]
    assert statuses == [200, 404, 200]
    assert json.loads(second.body)["error"]["code"] == "unknown_url"
    assert MODEL in third.body.decode()


async def test_function_breaks_an_answer_off_before_lambda_ends_it(
    harness: FrontHarness, url: FunctionUrl, limits: Limits
) -> None:
    event = post("/v1/chat/completions", stream=True, messages=[{"role": "user", "content": "x"}])
    answer = url.invoke(event)
    response_id = await harness.submitted()
    await harness.responses.say(response_id, "Hel")
    await eventually(lambda: b"Hel" in answer.body)
    ((left_s, limit),) = limits
    assert 0 < left_s <= TIMEOUT_S - LEFT_S
    limit.reschedule(0)
    assert (await ended(answer)).broken_off
    # What cannot be resumed is cancelled before the process may be frozen.
    await eventually(lambda: url.asked == 2)
    meta = await harness.responses.valkey.describe(response_id)
    assert meta is not None
    assert meta.status == "cancelled"


async def test_function_reports_events_of_other_sources(
    harness: FrontHarness, url: FunctionUrl
) -> None:
    wrong = await ended(url.invoke({"Records": []}))
    assert wrong.error is not None
    assert wrong.error["errorType"] == "UnexpectedEventError"
    assert (await ended(url.invoke(url_event("GET", "/healthz")))).complete
