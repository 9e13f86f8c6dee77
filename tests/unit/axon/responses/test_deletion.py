"""ResponseDeletion over fakes: whose response, in which order, and what a failure leaves."""

import pytest

from axon.event_log.log import Status
from axon.exceptions import RequestError, UnavailableError
from axon.ids import new_id
from axon.protocol.requests import DeleteResponse
from tests.support.principals import a_principal
from tests.unit.axon.responses.service_harness import ResponseHarness
from tests.unit.axon.samples import TENANT


@pytest.fixture
async def harness() -> ResponseHarness:
    harness = ResponseHarness()
    await harness.begin()
    return harness


async def delete(
    harness: ResponseHarness, response_id: str, *, tenant_id: str = TENANT
) -> RequestError | None:
    """Delete a response; return the refusal, if it is refused."""
    request = DeleteResponse(type="response.delete", response_id=response_id)
    try:
        await harness.service.delete(request, principal=a_principal(tenant_id))
    except RequestError as error:
        return error
    return None


async def test_deletion_erases_a_response_that_has_ended(harness: ResponseHarness) -> None:
    response_id = await harness.submit(generate=False)
    assert response_id in harness.history.records
    assert await delete(harness, response_id) is None
    assert response_id not in harness.history.records
    assert harness.traces.erased == [response_id]
    refused = await harness.refusal(previous_response_id=response_id)
    assert refused.code == "previous_response_not_found"


async def test_deletion_cancels_a_running_response_first(harness: ResponseHarness) -> None:
    response_id = await harness.submit()
    assert await delete(harness, response_id) is None
    meta = await harness.valkey.describe(response_id)
    assert meta is not None
    assert meta.status is Status.CANCELLED
    assert not harness.history.records
    assert harness.traces.erased == [response_id]


@pytest.mark.parametrize("running", [True, False])
async def test_deletion_is_for_the_tenant_of_the_response(
    harness: ResponseHarness, running: bool
) -> None:
    response_id = await harness.submit(generate=running)
    for refused in (
        await delete(harness, response_id, tenant_id="other"),
        await delete(harness, new_id("resp")),
        await delete(harness, "*"),
    ):
        assert refused is not None
        assert (refused.code, refused.status) == ("response_not_found", 404)
    meta = await harness.valkey.describe(response_id)
    assert meta is not None
    assert meta.status is not Status.CANCELLED
    assert not harness.traces.erased


async def test_deletion_knows_a_response_whose_record_is_on_its_way(
    harness: ResponseHarness,
) -> None:
    """Its log has expired, its turn, too, and the database does not have it yet."""
    response_id = new_id("resp")
    harness.pending.tenants[response_id] = TENANT
    assert await delete(harness, response_id, tenant_id="other") is not None
    assert await delete(harness, response_id) is None
    assert harness.deleted.tenants == {response_id: TENANT}


async def test_deletion_that_failed_halfway_is_completed_by_the_next(
    harness: ResponseHarness,
) -> None:
    response_id = await harness.submit(generate=False)
    harness.deleted.fail_with = UnavailableError("PostgreSQL")
    with pytest.raises(UnavailableError):
        await delete(harness, response_id)
    # Nothing is erased before the tombstone: a record could bring it back.
    assert not harness.traces.erased
    harness.deleted.fail_with = None
    for _ in range(2):
        assert await delete(harness, response_id) is None
    assert harness.traces.erased == [response_id] * 2
