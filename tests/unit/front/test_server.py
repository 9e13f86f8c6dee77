import asyncio

import pytest

from tests.unit.front.front_harness import (
    AWAY_KEY,
    BUSY_KEY,
    MAX_BODY_BYTES,
    ORIGIN,
    FrontHarness,
)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "unknown_url"),
        ("GET", "/v1/nothing", 404, "unknown_url"),
        ("OPTIONS", "/v1/%0d%0a", 404, "unknown_url"),
        ("PUT", "/v1/responses", 405, "method_not_allowed"),
        ("PATCH", "/v1/responses/resp_1", 405, "method_not_allowed"),
    ],
)
async def test_server_answers_unknown_paths_and_methods(
    harness: FrontHarness, method: str, path: str, status: int, code: str
) -> None:
    async with harness.client.request(method, path) as answer:
        assert await harness.error(answer) == (status, code, None)
        if status == 405:
            assert "POST" in answer.headers["Allow"] or "DELETE" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        (None, 401, "invalid_api_key"),
        ("Bearer ", 401, "invalid_api_key"),
        ("Bearer sk-wrong", 401, "invalid_api_key"),
        ("Basic sk-right", 401, "invalid_api_key"),
        (f"Bearer {BUSY_KEY}", 429, "rate_limit_exceeded"),
        (f"Bearer {AWAY_KEY}", 503, "server_overloaded"),
    ],
)
async def test_server_refuses_requests_without_a_right_key(
    harness: FrontHarness, key: str | None, status: int, code: str
) -> None:
    headers = {"Authorization": key or "", "Idempotency-Key": "1"}
    async with harness.client.get("/v1/models", headers=headers) as answer:
        assert await harness.error(answer) == (status, code, None)
        assert ("Retry-After" in answer.headers) == (status > 401)


async def test_server_takes_the_key_of_anthropics_sdk(harness: FrontHarness) -> None:
    headers = {"Authorization": "", "x-api-key": "sk-right"}
    async with harness.client.get("/v1/models", headers=headers) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"model=echo", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"{", "application/json", 400, "invalid_json"),
        (b"[]", "application/json; charset=utf-8", 400, "invalid_json"),
        (b" " * (MAX_BODY_BYTES + 1), "application/json", 413, "request_too_large"),
    ],
)
@pytest.mark.parametrize("length", [True, False], ids=["length", "chunked"])
async def test_server_refuses_bodies_that_are_no_json_object(
    harness: FrontHarness, body: bytes, content_type: str, status: int, code: str, length: bool
) -> None:
    async def chunks() -> object:
        yield body

    data = body if length else chunks()
    headers = {"Content-Type": content_type}
    async with harness.client.post("/v1/responses", data=data, headers=headers) as answer:
        assert await harness.error(answer) == (status, code, None)


async def test_server_gives_each_answer_a_request_id(harness: FrontHarness) -> None:
    for path in ("/healthz", "/v1/nothing", "/v1/models"):
        async with harness.client.get(path) as answer:
            assert answer.headers["x-request-id"].startswith("req_")
            assert answer.headers["Server"] == "axon"
    for given, returned in (("my-id.1", True), ("a b", False), ("x" * 200, False)):
        headers = {"X-Client-Request-Id": given}
        async with harness.client.get("/healthz", headers=headers) as answer:
            assert (answer.headers["x-request-id"] == given) is returned


async def test_server_lets_pages_of_the_setting_call_it(harness: FrontHarness) -> None:
    asked = {"Access-Control-Request-Headers": "authorization, x-stainless-os"}
    async with harness.client.options(
        "/v1/responses", headers={"Origin": ORIGIN, "Authorization": "", **asked}
    ) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Access-Control-Allow-Headers"] == "authorization, x-stainless-os"
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://other.example", None)):
        async with harness.client.get("/v1/models", headers={"Origin": origin}) as answer:
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed


async def test_server_health_and_readiness_are_two_questions(harness: FrontHarness) -> None:
    async def statuses() -> tuple[int, int]:
        headers = {"Authorization": ""}
        async with (
            harness.client.get("/healthz", headers=headers) as health,
            harness.client.get("/readyz", headers=headers) as ready,
        ):
            return health.status, ready.status

    assert await statuses() == (200, 200)
    harness.ready = False
    assert await statuses() == (200, 503)
    harness.ready, harness.context.requests.draining = True, True
    assert await statuses() == (200, 503)


async def test_server_quotes_no_malformed_request_in_its_log(
    harness: FrontHarness, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.url.rpartition(":")[2])
    writer.write(b"GET /secret\r\nHost\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.0 400")
    writer.close()
    assert "secret" not in caplog.text
