import asyncio

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from axon.exceptions import RequestError
from front.requests import OpenRequests, idempotency_key_of
from front.server import stop_listening
from tests.support import virtual_time
from tests.support.eventually import eventually
from tests.unit.front.front_harness import KEY, FrontHarness


def test_open_requests_are_waited_for_within_a_limit() -> None:
    async def scenario() -> None:
        requests, request = OpenRequests(), make_mocked_request("GET", "/")
        await requests.drain(10)
        with requests.open(request):
            await requests.drain(10)
            assert (virtual_time.now(), requests.count) == (10, 1)
            with requests.open(request):
                pass
        await requests.drain(10)
        assert (virtual_time.now(), requests.count) == (10, 0)

    virtual_time.run(scenario())


async def test_requests_that_run_while_the_front_ends_are_completed(harness: FrontHarness) -> None:
    answer, response_id = await harness.stream()
    harness.context.requests.draining = True
    await stop_listening(harness.runner)
    await harness.responses.answer(response_id, "Hello")
    assert b"response.completed" in await answer.read()
    await harness.context.requests.drain(10)


async def test_requests_on_open_connections_are_the_last_while_the_front_ends(
    harness: FrontHarness,
) -> None:
    async with harness.client.get("/v1/models") as answer:
        assert answer.headers.get("Connection") != "close"
    harness.context.requests.draining = True
    async with harness.client.get("/v1/models") as answer:
        assert (answer.status, answer.headers["Connection"]) == (200, "close")


@pytest.mark.parametrize("begun", ["", "POST /v1/resp", "head", "body"])
async def test_requests_that_arrive_while_the_front_ends_are_answered(
    harness: FrontHarness, begun: str
) -> None:
    head = f"POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    before = {"head": head, "body": head + "{"}.get(begun, begun)
    reader, writer = await asyncio.open_connection(*harness.runner.addresses[0])
    writer.write(before.encode())
    if before.startswith(head):
        await eventually(lambda: harness.context.requests.count == 1)
    else:
        await eventually(lambda: harness.runner.server.connections)  # type: ignore[union-attr]
    harness.context.requests.draining = True
    await stop_listening(harness.runner)
    writer.write((head + "{}").removeprefix(before).encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nConnection: close\r\n" in answer
    writer.close()


async def test_requests_that_outlast_the_end_stay_incomplete(harness: FrontHarness) -> None:
    answer, _ = await harness.stream()
    await stop_listening(harness.runner)
    await harness.runner.cleanup()
    # Without the last chunk, so the client knows that there is more, and resumes.
    with pytest.raises(aiohttp.ClientPayloadError):
        await answer.read()
    assert not harness.reader.attended


@pytest.mark.parametrize("path", ["responses", "chat/completions", "completions", "messages"])
async def test_requests_with_two_different_idempotency_keys_are_refused(
    harness: FrontHarness, path: str
) -> None:
    for key, about_key in (("second", True), ("first", False)):
        # Without a model: what passes this check is refused for that.
        async with harness.client.post(
            f"/v1/{path}", json={"idempotency_key": "first"}, headers={"Idempotency-Key": key}
        ) as answer:
            message = (await answer.json())["error"]["message"]
            assert (answer.status, "'idempotency_key'" in message) == (400, about_key)


@pytest.mark.parametrize("key", ["x" * 256, "\udcff"])  # a byte that is no UTF-8 arrives so
def test_requests_with_a_wrong_idempotency_key_are_refused(key: str) -> None:
    with pytest.raises(RequestError) as refused:
        idempotency_key_of({"Idempotency-Key": key})
    assert refused.value.param == "idempotency_key"
