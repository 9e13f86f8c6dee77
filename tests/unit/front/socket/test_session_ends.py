import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from axon.event_log.attendance import leaving_window_s
from axon.event_log.log import Status
from axon.jobs import Job
from tests.support import virtual_time
from tests.support.principals import a_principal
from tests.unit.axon.samples import TENANT
from tests.unit.front.socket.socket_harness import SocketHarness, code_of, kinds


def in_virtual_time(test: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(test)


@pytest.mark.parametrize(
    ("setting", "field", "cancelled"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
def test_session_whose_client_leaves_cancels_what_is_to_be_cancelled(
    setting: bool, field: bool | None, cancelled: bool
) -> None:
    async def run() -> None:
        harness = SocketHarness(cancel_on_disconnect=setting)
        async with harness:
            harness.create(cancel_on_disconnect=field)
            (response_id,) = await harness.submitted()
            await harness.received(1)
        harness.responses.now += leaving_window_s()
        assert await harness.responses.valkey.abandoned() == ([response_id] if cancelled else [])

    in_virtual_time(run())


def test_session_whose_client_has_resumed_elsewhere_cancels_nothing() -> None:
    async def run() -> None:
        async with SocketHarness(cancel_on_disconnect=True) as old:
            old.create()
            (response_id,) = await old.submitted()
            await old.received(1)
            # On another socket of the process, which attends nothing in this test.
            other = old.reader.open(response_id, principal=a_principal(TENANT))
            async with other:
                old.leave()
                await old.running
                await old.reader.drain()
        harness = old.responses
        harness.now += leaving_window_s()
        assert await harness.valkey.abandoned() == []
        # On another front: it extends the time that the one that leaves has shortened.
        async with SocketHarness(responses=harness, cancel_on_disconnect=True) as old:
            old.send("response.resume", response_id=response_id)
            await old.received(1)
            old.leave()
        async with SocketHarness(responses=harness) as new:
            new.send("response.resume", response_id=response_id)
            await new.received(1)
            await new.reader.attend()
            harness.now += leaving_window_s()
            assert await harness.valkey.abandoned() == []

    in_virtual_time(run())


def test_session_that_the_server_closes_cancels_nothing() -> None:
    async def run() -> None:
        async with SocketHarness(cancel_on_disconnect=True) as harness:
            harness.create()
            (response_id,) = await harness.submitted()
            await harness.received(1)
            harness.session.close()
            await harness.running
        assert harness.close_code == 1012
        assert await harness.responses.status(response_id) is Status.QUEUED
        harness.responses.now += leaving_window_s()
        assert await harness.responses.valkey.abandoned() == []

    in_virtual_time(run())


@pytest.mark.parametrize("client_leaves", [True, False])
def test_session_that_ends_while_it_submits_cancels_only_if_its_client_has_left(
    client_leaves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with SocketHarness(cancel_on_disconnect=True) as harness:
            send = harness.responses.jobs.send

            async def slowly(job: Job) -> None:
                await send(job)
                await asyncio.sleep(1)

            monkeypatch.setattr(harness.responses.jobs, "send", slowly)
            harness.create()
            (response_id,) = await harness.submitted()
            if client_leaves:
                harness.leave()
            else:
                harness.session.close()
            await harness.running
        harness.responses.now += leaving_window_s()
        abandoned = await harness.responses.valkey.abandoned()
        assert abandoned == ([response_id] if client_leaves else [])
        assert await harness.responses.status(response_id) is Status.QUEUED

    in_virtual_time(run())


def test_session_of_a_client_that_does_not_read_is_closed_to_be_resumed() -> None:
    async def run() -> None:
        async with SocketHarness(cancel_on_disconnect=True) as harness:
            harness.create()
            (response_id,) = await harness.submitted()
            await harness.received(1)
            harness.socket.stalled = True
            await harness.responses.say(response_id, "Hel")
            await harness.running
        assert harness.close_code == 1013
        assert await harness.responses.status(response_id) is Status.IN_PROGRESS
        harness.responses.now += leaving_window_s()
        assert await harness.responses.valkey.abandoned() == []

    in_virtual_time(run())


def test_session_that_leaves_closes_when_its_answers_are_sent() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            harness.create()
            (response_id,) = await harness.submitted()
            before = len(await harness.settled())
            harness.session.leave()
            harness.create(stream_id="late")
            (refused,) = (await harness.settled())[before:]
            assert (code_of(refused), refused["stream_id"]) == ("server_overloaded", "late")
            assert harness.close_code is None
            await harness.responses.answer(response_id, "Hello")
            await harness.running
        assert kinds(harness.socket.sent)[-1] == "completed"
        assert harness.close_code == 1012

    in_virtual_time(run())


def test_session_that_takes_no_more_requests_refuses_them_in_their_lane() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            harness.create()
            (response_id,) = await harness.submitted()
            await harness.received(1)
            harness.session.leave()
            harness.create()
            assert "error" not in kinds(await harness.settled())
            await harness.responses.answer(response_id, "Hello")
            await harness.running
        assert kinds(harness.socket.sent)[-2:] == ["completed", "error"]
        assert code_of(harness.socket.sent[-1]) == "server_overloaded"
        assert harness.close_code == 1012

    in_virtual_time(run())


def test_session_ends_after_an_hour_with_openais_error() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            began = virtual_time.now()
            await harness.running
            assert virtual_time.now() - began == pytest.approx(3600)
        (error,) = harness.socket.sent
        assert code_of(error) == "websocket_connection_limit_reached"
        assert harness.close_code == 1001

    in_virtual_time(run())


def test_session_of_a_revoked_key_says_so_and_closes() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            harness.session.revoke()
            await harness.running
        (error,) = harness.socket.sent
        assert code_of(error) == "invalid_api_key"
        assert harness.close_code == 1008

    in_virtual_time(run())
