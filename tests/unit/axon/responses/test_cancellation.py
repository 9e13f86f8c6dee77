"""Cancellations: each call gets an answer, and only one."""

from typing import Any

import pytest

from axon.event_log.log import Status
from axon.exceptions import RequestError
from axon.responses.terminator import OVERDUE
from tests.unit.axon.responses.service_harness import ResponseHarness
from tests.unit.axon.samples import CONNECTION

OTHER = "connection-2"


@pytest.fixture
async def harness() -> ResponseHarness:
    harness = ResponseHarness()
    await harness.begin()
    return harness


async def refusal(harness: ResponseHarness, response_id: str, **who: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await harness.cancel(response_id, **who)
    return caught.value


def cancelled(response_id: str, **fields: str) -> dict[str, Any]:
    response = {"id": response_id, "object": "response", "status": "cancelled"}
    return {"type": "response.cancelled", "response": response} | fields


class TestResponseCancellation:
    async def test_is_answered_by_the_terminal_event_on_the_response_s_own_connection(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        assert await harness.cancel(response_id) is None
        last = (await harness.events(response_id))[-1]
        assert (last["type"], last["response"]["status"]) == ("response.incomplete", "cancelled")

    async def test_is_answered_on_another_connection_than_the_response_s(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        answer = await harness.cancel(response_id, connection_id=OTHER, stream_id="s")
        assert answer == cancelled(response_id, stream_id="s")
        assert await harness.status(response_id) is Status.CANCELLED

    @pytest.mark.parametrize("connection_id", [CONNECTION, OTHER])
    async def test_succeeds_twice(self, harness: ResponseHarness, connection_id: str) -> None:
        response_id = await harness.submit()
        await harness.cancel(response_id)
        before = await harness.valkey.read(response_id)
        answer = await harness.cancel(response_id, connection_id=connection_id)
        assert answer == cancelled(response_id)
        assert await harness.valkey.read(response_id) == before

    async def test_of_an_ended_response_is_refused_and_changes_nothing(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        await harness.answer(response_id, "done")
        before = await harness.events(response_id)
        error = await refusal(harness, response_id)
        assert (error.code, error.param) == ("response_cancel_not_active", "response_id")
        assert error.status == 400
        assert f"'{response_id}' is completed" in error.message
        assert await harness.events(response_id) == before

    async def test_of_a_response_whose_log_has_expired_is_answered_as_the_database_has_it(
        self, harness: ResponseHarness
    ) -> None:
        failed, stopped = await harness.submit(), await harness.submit()
        await harness.terminator.end(failed, Status.FAILED, error=OVERDUE)
        await harness.terminator.end(stopped, Status.CANCELLED)
        harness.valkey.lose()
        assert (await refusal(harness, failed)).code == "response_cancel_not_active"
        assert await harness.cancel(stopped) == cancelled(stopped)
        error = await refusal(harness, stopped, tenant_id="other")
        assert error.code == "response_not_found"

    async def test_tells_another_connection_of_an_end_that_came_first(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        response_id = await harness.submit()
        end = harness.terminator.end

        async def end_late(*arguments: Any, **options: Any) -> None:
            await harness.answer(response_id, "done")
            await end(*arguments, **options)

        monkeypatch.setattr(harness.terminator, "end", end_late)
        error = await refusal(harness, response_id, connection_id=OTHER)
        assert error.code == "response_cancel_not_active"

    @pytest.mark.parametrize("response_id", ["resp_" + "0" * 32, "x", "resp_\x00", "y" * 64])
    async def test_refuses_an_unknown_response(
        self, harness: ResponseHarness, response_id: str
    ) -> None:
        error = await refusal(harness, response_id)
        assert (error.code, error.param) == ("response_not_found", "response_id")
        assert error.status == 404

    async def test_refuses_another_tenants_response_as_unknown(
        self, harness: ResponseHarness
    ) -> None:
        response_id = await harness.submit()
        error = await refusal(harness, response_id, tenant_id="other")
        assert "not found" in error.message
        assert await harness.status(response_id) is Status.QUEUED
