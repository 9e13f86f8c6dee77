"""Bodies that were uploaded before their requests."""

from hashlib import sha256
from typing import Any

from axon.serialization import dumps
from axon.uploads import BUDGET_BYTES, HEADER
from tests.unit.axon.samples import MODEL, TENANT
from tests.unit.front.front_harness import MAX_BODY_BYTES, OTHER_KEY, FrontHarness

BODY = dumps({"model": MODEL, "input": "of a long story " * 5000, "stream": True})
SHA256 = sha256(BODY).hexdigest()


async def begin(harness: FrontHarness, *, size: int = len(BODY), sha256: str = SHA256) -> Any:
    body = {"bytes": size, "sha256": sha256}
    async with harness.client.post("/v1/request_bodies", json=body) as answer:
        return answer.status, await answer.json()


async def test_request_is_answered_from_an_uploaded_body(harness: FrontHarness) -> None:
    status, made = await begin(harness)
    assert status == 200
    assert made["object"] == "request_body"
    assert made["upload"]["headers"]["Content-Length"] == str(len(BODY))
    headers = {HEADER: made["id"]}
    async with harness.client.post("/v1/responses", headers=headers) as answer:
        assert await harness.error(answer) == (404, "request_body_not_found", HEADER)
    key = made["upload"]["url"].removeprefix("https://payloads.example/")
    assert key == f"uploads/{TENANT}/{SHA256}"
    harness.payloads.content[key] = BODY
    async with harness.client.post("/v1/responses", headers=headers) as answer:
        assert answer.status == 200
        assert await harness.submitted()
    assert harness.context.bodies.held.count == 0

    # Nobody else's, not even who knows the id; and not with other bytes.
    other = headers | {"Authorization": f"Bearer {OTHER_KEY}"}
    async with harness.client.post("/v1/responses", headers=other) as answer:
        assert (await harness.error(answer))[:2] == (404, "request_body_not_found")
    harness.payloads.content[key] = BODY.replace(b"long", b"tall")
    async with harness.client.post("/v1/responses", headers=headers) as answer:
        assert (await harness.error(answer))[:2] == (404, "request_body_not_found")


async def test_upload_beyond_a_limit_is_refused(harness: FrontHarness) -> None:
    for size, code in ((MAX_BODY_BYTES + 1, 413), (0, 400), (True, 400)):
        assert (await begin(harness, size=size))[0] == code
    assert (await begin(harness, sha256=SHA256.upper()))[0] == 400
    assert await harness.budget.take(TENANT, BUDGET_BYTES) == 0
    status, refusal = await begin(harness)
    assert (status, refusal["error"]["code"]) == (429, "rate_limit_exceeded")


async def test_header_of_an_upload_is_checked(harness: FrontHarness) -> None:
    longer = f"body_{SHA256}_{MAX_BODY_BYTES + 1}"
    for upload_id, expected in (
        ("", (404, "request_body_not_found")),
        (f"body_{SHA256}_1/../x", (404, "request_body_not_found")),
        (longer, (413, "request_too_large")),
    ):
        async with harness.client.post("/v1/responses", headers={HEADER: upload_id}) as answer:
            assert (await harness.error(answer))[:2] == expected
    both = {HEADER: f"body_{SHA256}_{len(BODY)}"}
    async with harness.client.post("/v1/responses", json={}, headers=both) as answer:
        assert await harness.error(answer) == (400, "invalid_value", HEADER)
    harness.context.bodies.uploads = None
    async with harness.client.post("/v1/responses", headers=both) as answer:
        assert (await harness.error(answer))[:2] == (404, "unsupported_endpoint")
    assert (await begin(harness))[0] == 404
