"""Indexes of the event log: running, overdue and abandoned responses."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from tests.contract.axon.event_log.event_log_samples import NEW, end, open_and_claim, prepare
from tests.contract.conftest import EventLogHarness, MakeHarness
from tests.support.principals import a_principal


class TestRunningIndex:
    async def test_lists_the_open_responses_of_a_connection(self, harness: EventLogHarness) -> None:
        await harness.connections.register("c2", principal=a_principal())
        claim = await open_and_claim(harness.log)
        await open_and_claim(harness.log, "resp_2")
        await harness.log.open(replace(NEW, response_id="resp_3", connection_id="c2"))
        assert await harness.log.running_for("c1") == {"resp_1", "resp_2"}
        await end(harness.log, claim)
        assert await harness.log.running_for("c1") == {"resp_2"}
        assert await harness.log.running_for("c2") == {"resp_3"}
        assert await harness.log.running_for("c3") == set()

    async def test_outlives_the_connection(self, harness: EventLogHarness) -> None:
        await open_and_claim(harness.log)
        await harness.connections.remove("c1")
        assert await harness.log.running_for("c1") == {"resp_1"}


class TestDeadlineIndex:
    async def test_lists_a_response_from_its_deadline_on(self, make_harness: MakeHarness) -> None:
        async with make_harness(deadline_s=0.5) as harness:
            await prepare(harness)
            await harness.log.open(NEW)
            assert await harness.log.overdue() == []
            await harness.seconds(0.52)
            assert await harness.log.overdue() == ["resp_1"]

    async def test_lists_no_ended_response(self, make_harness: MakeHarness) -> None:
        async with make_harness(deadline_s=0.01) as harness:
            await prepare(harness)
            await end(harness.log, await open_and_claim(harness.log))
            await harness.log.open(replace(NEW, response_id="resp_2"))
            await harness.seconds(0.03)
            assert await harness.log.overdue() == ["resp_2"]

    async def test_lists_at_most_the_limit(self, make_harness: MakeHarness) -> None:
        async with make_harness(deadline_s=0.01) as harness:
            await prepare(harness)
            for number in range(5):
                await harness.log.open(replace(NEW, response_id=f"resp_{number}"))
            await harness.seconds(0.03)
            assert len(await harness.log.overdue(limit=3)) == 3
            assert len(await harness.log.overdue()) == 5

    async def test_lists_no_forgotten_response(self, make_harness: MakeHarness) -> None:
        async with make_harness(deadline_s=0.01) as harness:
            await prepare(harness)
            await harness.log.open(NEW)
            await harness.log.forget("resp_1")
            await harness.log.forget("resp_unknown")
            await harness.seconds(0.03)
            assert await harness.log.overdue() == []


class TestAbandonedIndex:
    """With a window of half a second."""

    @pytest.fixture
    async def harness(self, make_harness: MakeHarness) -> AsyncIterator[EventLogHarness]:
        async with make_harness(resume_window_s=0.5) as made:
            await prepare(made)
            yield made

    async def test_lists_a_response_after_the_resume_window(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        assert await harness.log.abandoned() == []
        await harness.log.abandon("c1")
        assert await harness.log.abandoned() == []
        await harness.seconds(0.52)
        assert await harness.log.abandoned() == ["resp_1"]

    @pytest.mark.parametrize("connection", [True, False])
    async def test_lists_at_once_what_a_disconnect_cancels(
        self, harness: EventLogHarness, connection: bool
    ) -> None:
        await harness.connections.register(
            "c3", principal=a_principal(), cancel_on_disconnect=connection
        )
        for response_id, own in (("resp_1", True), ("resp_2", False), ("resp_3", None)):
            await harness.log.open(
                replace(NEW, response_id=response_id, connection_id="c3", cancel_on_disconnect=own)
            )
        assert await harness.log.abandoned() == []
        await harness.connections.remove("c3")
        await harness.log.abandon("c3")
        at_once = {"resp_1", "resp_3"} if connection else {"resp_1"}
        assert set(await harness.log.abandoned()) == at_once
        await harness.seconds(0.52)
        assert len(await harness.log.abandoned()) == 3

    async def test_gives_a_client_that_the_server_has_disconnected_the_time_to_come_back(
        self, harness: EventLogHarness
    ) -> None:
        await harness.connections.register("c3", principal=a_principal(), cancel_on_disconnect=True)
        await harness.log.open(replace(NEW, connection_id="c3", cancel_on_disconnect=True))
        await harness.log.interrupt("c3")
        await harness.connections.remove("c3")
        await harness.log.abandon("c3")
        assert await harness.log.abandoned() == []
        # On its next connection, the response keeps its own setting.
        await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=0)
        await harness.log.abandon("c2")
        assert await harness.log.abandoned() == ["resp_1"]

    @pytest.mark.parametrize("gone", [True, False])
    async def test_lists_a_response_that_waits_for_its_lane_when_its_client_has_left(
        self, harness: EventLogHarness, gone: bool
    ) -> None:
        await harness.log.open(NEW)
        if gone:
            await harness.connections.remove("c1")
        await harness.log.abandon("c1")
        closed = DeliveryCheckpoint(0, TailState.CLOSED)
        await harness.log.checkpoint("resp_1", closed, relay_id="r1", connection_id="c1")
        await harness.seconds(0.52)
        assert await harness.log.abandoned() == (["resp_1"] if gone else [])

    async def test_lists_no_response_of_another_connection(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        await harness.log.open(replace(NEW, response_id="resp_2", connection_id="c2"))
        await harness.log.abandon("c2")
        await harness.log.abandon("unknown")
        await harness.seconds(0.52)
        assert await harness.log.abandoned() == ["resp_2"]

    async def test_repeated_abandonment_does_not_restart_the_window(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(NEW)
        await harness.log.abandon("c1")
        await harness.seconds(0.3)
        await harness.log.abandon("c1")
        await harness.seconds(0.3)
        assert await harness.log.abandoned() == ["resp_1"]

    async def test_lists_no_ended_response(self, harness: EventLogHarness) -> None:
        before, after = (
            await open_and_claim(harness.log, "resp_2"),
            await open_and_claim(harness.log),
        )
        await end(harness.log, before, response_id="resp_2")
        await harness.log.abandon("c1")
        await end(harness.log, after)
        await harness.seconds(0.52)
        assert await harness.log.abandoned() == []

    async def test_lists_no_forgotten_response(self, harness: EventLogHarness) -> None:
        await harness.log.open(NEW)
        await harness.log.abandon("c1")
        await harness.log.forget("resp_1")
        await harness.seconds(0.52)
        assert await harness.log.abandoned() == []

    async def test_lists_at_most_the_limit(self, harness: EventLogHarness) -> None:
        for number in range(5):
            await harness.log.open(replace(NEW, response_id=f"resp_{number}"))
        await harness.log.abandon("c1")
        await harness.seconds(0.52)
        assert len(await harness.log.abandoned(limit=3)) == 3
        assert len(await harness.log.abandoned()) == 5

    async def test_lists_a_resumed_response_only_when_it_is_abandoned_again(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(NEW)
        await harness.log.abandon("c1")
        await harness.log.resume("resp_1", tenant_id="t", connection_id="c2", first=0)
        await harness.log.abandon("c1")  # this one's end was noticed late
        await harness.seconds(0.52)
        assert await harness.log.abandoned() == []
        await harness.log.abandon("c2")
        await harness.seconds(0.52)
        assert await harness.log.abandoned() == ["resp_1"]

    async def test_lists_no_response_that_is_being_delivered(
        self, harness: EventLogHarness
    ) -> None:
        await harness.log.open(NEW)
        await harness.log.abandon("c1")
        checkpoint = DeliveryCheckpoint(0, TailState.IN_DOUBT)
        await harness.log.checkpoint("resp_1", checkpoint, relay_id="r1", connection_id="c1")
        await harness.seconds(0.52)
        assert await harness.log.abandoned() == []
