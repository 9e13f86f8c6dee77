import asyncio
from collections.abc import Mapping

import pytest

from axon.serialization import loads
from tests.support.eventually import eventually
from tests.unit.front.front_harness import KEY, FrontHarness

HEAD = (
    f"POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    "Content-Type: application/json\r\n"
)
CHUNKED = HEAD + "Transfer-Encoding: chunked\r\n\r\n"


async def ask(harness: FrontHarness, *parts: str) -> tuple[int, Mapping[str, str], bytes]:
    """Send bytes, each part when the front has read the one before; return the only answer."""
    reader, writer = await asyncio.open_connection(*harness.runner.addresses[0])
    for part in parts:
        writer.write(part.encode("latin-1"))
        if part is not parts[-1]:
            await eventually(lambda: harness.context.requests.count == 1)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    fields = dict(header.lower().split(": ", 1) for header in headers)
    return int(line.split(" ")[1]), fields, body


BODY = "Connection: close\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("nonsense\r\n\r\n", 400, "invalid_http"),
        ("GET /secret\r\nHost\r\n\r\n", 400, "invalid_http"),
        ("GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", 400, "invalid_http"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "invalid_http"),
        (f"GET /{'a' * 9000} HTTP/1.1\r\n\r\n", 431, "request_headers_too_large"),
        (f"GET / HTTP/1.1\r\nA: {'a' * 9000}\r\n\r\n", 431, "request_headers_too_large"),
        (f"{HEAD}Content-Encoding: br\r\n{BODY}", 415, "unsupported_media_type"),
        (f"{HEAD}Content-Encoding: x\r\n{BODY}", 415, "unsupported_media_type"),
        (f"{HEAD}Expect: more\r\n{BODY}", 417, "expectation_failed"),
        (f"{HEAD}Content-Length: 3\r\n{BODY}", 400, "invalid_http"),
        (f"{CHUNKED}zz\r\n{{}}\r\n0\r\n\r\n", 400, "invalid_http"),
    ],
)
async def test_protocol_answers_what_is_no_request_in_the_shape_of_the_api(
    harness: FrontHarness, text: str, status: int, code: str
) -> None:
    answered, headers, body = await ask(harness, text)
    error = loads(body)["error"]
    assert (answered, error["code"]) == (status, code)
    assert error.keys() == {"message", "type", "param", "code"}
    assert headers["content-type"] == "application/json"
    assert headers["server"] == "axon"
    assert headers["x-request-id"].startswith("req_")
    assert b"secret" not in body


async def test_protocol_ends_a_body_at_once_whose_chunks_are_malformed(
    harness: FrontHarness,
) -> None:
    status, _, body = await ask(harness, CHUNKED + "1\r\n{\r\n", "zz\r\n")
    assert (status, loads(body)["error"]["code"]) == (400, "invalid_json")
    assert harness.context.bodies.held.count == 0


async def test_protocol_answers_a_failure_outside_of_routes_in_the_shape_of_the_api(
    harness: FrontHarness,
) -> None:
    del harness.ready  # so that /readyz, which is no route with a key, fails
    async with harness.client.get("/readyz") as answer:
        assert await harness.error(answer) == (500, "internal_error", None)
        assert answer.headers["x-request-id"].startswith("req_")
