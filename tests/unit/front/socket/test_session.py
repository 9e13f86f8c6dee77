import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from axon.event_log.attendance import leaving_window_s
from axon.event_log.log import Status
from axon.exceptions import UnavailableError
from axon.ids import new_id
from axon.jobs import Job
from front.socket import session as session_module
from tests.support import virtual_time
from tests.support.principals import a_principal
from tests.support.sdk_events import validate_stream
from tests.unit.axon.samples import CONNECTION, TENANT
from tests.unit.front.socket.socket_harness import SocketHarness, code_of, kinds


def in_virtual_time(test: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(test)


def test_session_sends_the_events_of_the_log() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            response_id = await harness.answered()
            events = validate_stream(await harness.responses.valkey.read(response_id))
            assert harness.socket.sent == events
            await harness.answered(stream_id="s")
            labels = [event.get("stream_id") for event in harness.socket.sent]
            assert labels == [None] * len(events) + ["s"] * len(events)
        assert harness.close_code is None  # its client has closed it

    in_virtual_time(run())


def test_session_answers_a_lane_in_the_order_of_its_messages() -> None:
    """Whatever ends first; also a refused request waits, and other lanes go on."""

    async def run() -> None:
        async with SocketHarness() as harness:
            harness.create(input="first")
            harness.create(input="second")
            harness.send("response.create", input="no model")
            harness.create(input="other", stream_id="other")
            ids = await harness.submitted(3)
            first, second, other = ids
            await harness.responses.answer(second, "2")
            await harness.responses.answer(other, "o")
            sent = await harness.settled()
            assert kinds(sent)[-1] == "completed"
            assert {event.get("stream_id") for event in sent[1:]} == {"other"}
            before = len(sent)
            await harness.responses.answer(first, "1")
            sent = (await harness.settled())[before:]
        texts = [event["delta"] for event in sent if "delta" in event]
        assert texts == ["1", "2"]
        assert kinds(sent)[-2:] == ["completed", "error"]
        assert code_of(sent[-1]) == "missing_required_parameter"
        created = ("response.create", "ok")
        assert harness.counted == [created] * 3 + [("invalid", "missing_required_parameter")]

    in_virtual_time(run())


def test_session_keeps_a_response_attended_that_waits_in_its_lane() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            harness.create()
            harness.create()
            ids = await harness.submitted(2)
            await harness.settled()
            assert harness.reader.attended == frozenset(ids)
            for response_id in ids:
                await harness.responses.answer(response_id, "x")

    in_virtual_time(run())


def test_session_resumes_after_an_event_with_the_stream_id_that_asks() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            response_id = await harness.answered(stream_id="first")
            before = list(harness.socket.sent)
            resume = {"response_id": response_id, "starting_after": 2}
            harness.send("response.resume", **resume, stream_id="again")
            harness.send("response.resume", **resume)
            sent = (await harness.settled())[len(before) :]
        half = len(sent) // 2
        by_stream = {
            name: [each for each in sent if each.get("stream_id") == name]
            for name in ("again", None)
        }
        assert by_stream["again"] == [event | {"stream_id": "again"} for event in before[3:]]
        assert [event | {"stream_id": "again"} for event in by_stream[None]] == by_stream["again"]
        assert half == len(before) - 3

    in_virtual_time(run())


def test_session_answers_each_repetition_of_an_idempotency_key() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            for name in ("a", "b"):
                harness.create(idempotency_key="key", stream_id=name)
                await asyncio.sleep(0.1)
            response_id, *_ = await harness.submitted()
            await harness.responses.answer(response_id, "Hello")
            sent = await harness.settled()
        a, b = ([each for each in sent if each["stream_id"] == name] for name in "ab")
        assert [event | {"stream_id": "b"} for event in a] == b
        assert kinds(b)[-1] == "completed"

    in_virtual_time(run())


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"response_id": "resp_nope"}, "response_not_found"),
        ({"response_id": new_id("resp")}, "response_not_found"),
        ({"response_id": "?", "starting_after": 99}, "response_lost"),
        ({"response_id": 1}, "invalid_value"),
    ],
)
def test_session_refuses_what_cannot_be_resumed(fields: dict[str, Any], code: str) -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            response_id = await harness.answered()
            before = len(harness.socket.sent)
            named = {"response_id": response_id} if fields["response_id"] == "?" else {}
            harness.send("response.resume", **(fields | named), stream_id="s")
            (error,) = (await harness.received(before + 1))[before:]
        assert (code_of(error), error["stream_id"]) == (code, "s")

    in_virtual_time(run())


def test_session_cancels_what_it_sends_with_the_responses_own_end() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            harness.create()
            (response_id,) = await harness.submitted()
            await harness.responses.say(response_id, "Hel")
            harness.send("response.cancel", response_id=response_id, stream_id="c")
            sent = await harness.settled()
            assert kinds(sent)[-1] == "incomplete"
            assert sent[-1]["response"]["status"] == "cancelled"
            before = len(sent)
            harness.send("response.cancel", response_id=response_id, stream_id="c")
            harness.send("response.cancel", response_id=new_id("resp"))
            sent = (await harness.settled())[before:]
        assert kinds(sent) == ["cancelled", "error"]
        assert sent[0]["stream_id"] == "c"

    in_virtual_time(run())


def test_session_answers_the_cancellation_of_a_response_that_it_does_not_send() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            response_id = await harness.responses.submit(connection_id="")
            harness.send("response.cancel", response_id=response_id)
            sent = await harness.settled()
        assert kinds(sent) == ["cancelled"]
        assert await harness.responses.status(response_id) is Status.CANCELLED

    in_virtual_time(run())


def test_session_deletes_a_response_outside_of_the_lane() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            response_id = await harness.answered()
            harness.create()
            await harness.submitted()
            before = len(await harness.settled())
            harness.send("response.delete", response_id=response_id, stream_id="d")
            (deleted,) = (await harness.settled())[before:]
        assert deleted["type"] == "response.deleted"
        assert (deleted["response"]["id"], deleted["stream_id"]) == (response_id, "d")

    in_virtual_time(run())


def test_session_ends_a_warm_up_at_once() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            harness.create(generate=False)
            sent = await harness.settled()
            warm = sent[-1]["response"]
            assert (kinds(sent)[-1], warm["output"]) == ("completed", [])
            second = await harness.answered(previous_response_id=warm["id"])
        assert await harness.responses.status(second) is Status.COMPLETED

    in_virtual_time(run())


def test_session_continues_an_unstored_response_on_its_own_socket_only() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            first = await harness.answered(store=False)
            second = await harness.answered(store=False, previous_response_id=first)
            async with SocketHarness(responses=harness.responses) as other:
                other.create(previous_response_id=second)
                (error,) = await other.received(1)
                assert code_of(error) == "previous_response_not_found"
            socket_id = harness.responses.turns.turns[first].connection_id
            assert socket_id is not None
            assert socket_id not in harness.responses.valkey._gone
        assert socket_id in harness.responses.valkey._gone

    in_virtual_time(run())


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


def test_session_refuses_more_requests_than_it_answers_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_module, "MAX_REQUESTS", 2)

    async def run() -> None:
        async with SocketHarness() as harness:
            for number in range(3):
                harness.create(stream_id=str(number))
            ids = await harness.submitted(2)
            sent = await harness.settled()
            (refused,) = [event for event in sent if event["type"] == "error"]
            assert (code_of(refused), refused["stream_id"]) == ("rate_limit_exceeded", "2")
            harness.send("response.cancel", response_id=ids[0])  # which is always possible
            assert kinds(await harness.settled())[-1] == "incomplete"
            await harness.answered(stream_id="3")

    in_virtual_time(run())


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (UnavailableError("Valkey is away"), "server_overloaded"),
        (ConnectionResetError("of a service, not of the client"), "internal_error"),
    ],
)
def test_session_answers_every_failure_and_goes_on(
    failure: Exception, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise failure

    async def run() -> None:
        async with SocketHarness() as harness:
            with monkeypatch.context() as patch:
                patch.setattr(harness.responses.valkey, "open", fail)
                harness.create(stream_id="s")
                (error,) = await harness.received(1)
            assert (code_of(error), error["stream_id"]) == (code, "s")
            await harness.answered()
        assert len(harness.failures) == 1

    in_virtual_time(run())


def test_session_leaves_a_response_of_a_gateways_connection_there() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            response_id = await harness.responses.submit()
            harness.send("response.resume", response_id=response_id)
            await harness.received(1)
            assert await harness.responses.where(response_id) == (CONNECTION, 0)
            await harness.responses.answer(response_id, "x")

    in_virtual_time(run())
