"""A response that is deleted while a worker generates it: the worker stops and restores nothing."""

from axon.protocol.requests import DeleteResponse
from tests.integration.worker.conftest import CONNECTION, TENANT, WorkerHarness, text_of
from tests.support.principals import a_principal


async def test_worker_stops_and_restores_nothing_when_its_response_is_deleted(
    harness: WorkerHarness,
) -> None:
    async with harness.worker(slots="1", echo_token_ms="10"):
        response_id = await harness.submit(input="count to 1000")
        await harness.logged(response_id, count=6)
        # Delivered so far, so that nothing is kept for a relay.
        await harness.remove_delivery(response_id)
        request = DeleteResponse(type="response.delete", response_id=response_id)
        await harness.service.delete(request, principal=a_principal(TENANT))
        # The only slot is free within a flush, and nothing came back.
        assert text_of(await harness.ended(await harness.submit(input="next"))) == "next"
        await harness.done()
    assert await harness.log.read(response_id) == []
    meta = await harness.describe(response_id)
    assert (meta.tenant_id, meta.job, meta.connection_id) == ("", b"", CONNECTION)
    assert await harness.turn_fields(response_id) == {b"deleted": b"1"}
