"""Requests that generate nothing: they end at once, whatever happens in between."""

from typing import Any

import pytest

from axon.event_log.log import Status
from axon.exceptions import MissingResponseError, UnavailableError
from axon.history import HistoryRecord
from axon.responses.warm_up import UNSENT
from tests.support.principals import a_principal
from tests.support.sdk_events import validate_stream
from tests.unit.axon.responses.service_harness import ResponseHarness
from tests.unit.axon.samples import CONNECTION, TENANT, a_request


@pytest.fixture
async def harness() -> ResponseHarness:
    harness = ResponseHarness()
    await harness.begin()
    return harness


class TestWarmUp:
    @pytest.mark.parametrize("stream_id", [None, "stream-7"])
    async def test_ends_at_once_and_empty(
        self, harness: ResponseHarness, stream_id: str | None
    ) -> None:
        response_id = await harness.submit(generate=False, stream_id=stream_id)
        log = await harness.valkey.read(response_id)
        decoded = validate_stream(log, stream_id=stream_id)
        assert [event["type"] for event in decoded] == [
            "response.created",
            "response.in_progress",
            "response.completed",
        ]
        assert decoded[-1]["response"]["output"] == []
        assert harness.jobs_sent() == []

    @pytest.mark.parametrize("store", [True, False])
    async def test_can_be_continued(self, harness: ResponseHarness, store: bool) -> None:
        first = await harness.submit(generate=False, store=store)
        await harness.submit(previous_response_id=first, store=store)
        (job,) = harness.jobs_sent()
        assert job.previous_response_id == first
        assert (first in harness.history.records) is store

    @pytest.mark.parametrize("store", [True, False])
    async def test_fails_when_it_cannot_be_stored(
        self, harness: ResponseHarness, store: bool
    ) -> None:
        harness.history.fail_with = UnavailableError("no queue")
        response_id = await harness.submit(generate=False, store=store)
        last = (await harness.events(response_id))[-1]
        assert last["type"] == ("response.failed" if store else "response.completed")
        assert last["response"]["error"] == (UNSENT if store else None)

    async def test_leaves_a_response_that_was_ended_meanwhile(
        self, harness: ResponseHarness
    ) -> None:
        send = harness.history.send

        async def end_meanwhile(record: HistoryRecord) -> None:
            harness.history.send = send  # type: ignore[method-assign]
            await harness.terminator.end(record.response_id, Status.CANCELLED)

        harness.history.send = end_meanwhile  # type: ignore[method-assign]
        response_id = await harness.submit(generate=False)
        assert await harness.status(response_id) is Status.CANCELLED

    async def test_completes_though_another_claim_came_between_and_died(
        self, harness: ResponseHarness
    ) -> None:
        send = harness.history.send

        async def claim_meanwhile(record: HistoryRecord) -> None:
            harness.history.send = send  # type: ignore[method-assign]
            await harness.valkey.claim(record.response_id)

        harness.history.send = claim_meanwhile  # type: ignore[method-assign]
        response_id = await harness.submit(generate=False)
        last = (await harness.events(response_id))[-1]
        assert last["type"] == "response.completed"

    async def test_fails_when_it_was_fenced_and_cannot_be_stored(
        self, harness: ResponseHarness
    ) -> None:
        async def claim_meanwhile(record: HistoryRecord) -> None:
            del harness.history.send
            harness.history.fail_with = UnavailableError("no queue")
            await harness.valkey.claim(record.response_id)

        harness.history.send = claim_meanwhile  # type: ignore[method-assign]
        response_id = await harness.submit(generate=False)
        assert await harness.status(response_id) is Status.FAILED

    async def test_fails_when_it_cannot_be_stored_and_its_log_was_lost(
        self, harness: ResponseHarness
    ) -> None:
        async def lose(record: HistoryRecord) -> None:
            harness.valkey.lose()
            await harness.begin()
            raise UnavailableError(record.response_id)

        harness.history.send = lose  # type: ignore[method-assign]
        response_id = await harness.submit(generate=False)
        assert (await harness.events(response_id))[-1]["response"]["error"] == UNSENT

    async def test_is_fenced_by_its_nonce(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        append, passed = harness.valkey.append, dict[str, Any]()

        async def note(response_id: str, **options: Any) -> str:
            meta = await harness.valkey.describe(response_id)
            assert meta is not None
            passed.update(options, claimed=meta.nonce)
            return await append(response_id, **options)

        monkeypatch.setattr(harness.valkey, "append", note)
        await harness.submit(generate=False)
        assert passed["nonce"] == passed["claimed"] != ""
        assert "predecessor" in passed

    @pytest.mark.parametrize("step", ["claim", "append"])
    async def test_asks_to_retry_when_its_log_has_just_been_lost(
        self, harness: ResponseHarness, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        async def lose(response_id: str, **_options: Any) -> None:
            raise MissingResponseError(response_id)

        monkeypatch.setattr(harness.valkey, step, lose)
        with pytest.raises(UnavailableError):
            await harness.submit(generate=False)

    async def test_refuses_an_unknown_model(self, harness: ResponseHarness) -> None:
        assert (await harness.refusal(generate=False, model="gpt-9")).code == "model_not_found"

    async def test_does_nothing_on_a_closed_connection(self, harness: ResponseHarness) -> None:
        await harness.valkey.remove(CONNECTION)
        request = a_request(generate=False)
        assert (
            await harness.service.submit(
                request, principal=a_principal(TENANT), connection_id=CONNECTION
            )
            is None
        )
