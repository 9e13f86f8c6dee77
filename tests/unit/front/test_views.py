import asyncio

import pytest

from axon.event_log.log import Status
from axon.protocol.objects import Json
from tests.support.eventually import eventually
from tests.unit.axon.samples import MODEL
from tests.unit.front.front_harness import FrontHarness

BODY: Json = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 9,
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_view_whose_client_leaves_while_it_is_accepted_is_cancelled(
    harness: FrontHarness, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    accepted, go_on = asyncio.Event(), asyncio.Event()
    submit = harness.context.service.submit
    response_ids: list[str | None] = []

    async def slow(*arguments: object, **keywords: object) -> str | None:
        response_ids.append(await submit(*arguments, **keywords))  # type: ignore[arg-type]
        accepted.set()
        await go_on.wait()
        return response_ids[0]

    monkeypatch.setattr(harness.context.service, "submit", slow)
    asking = asyncio.create_task(harness.client.post(path, json=BODY))
    await accepted.wait()
    asking.cancel()
    await eventually(lambda: harness.context.requests.count == 0)
    go_on.set()
    await harness.reader.drain()
    (response_id,) = response_ids
    assert response_id is not None
    assert await harness.responses.status(response_id) is Status.CANCELLED
