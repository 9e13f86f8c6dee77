import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from axon.event_log.log import Status
from axon.exceptions import UnavailableError
from axon.ids import new_id
from front.socket import session as session_module
from tests.support import virtual_time
from tests.support.sdk_events import validate_stream
from tests.unit.axon.samples import CONNECTION
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
            # Nothing is kept of the second one meanwhile.
            assert list(harness.responses.valkey.channels.listeners) == ids[:1]
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


def test_session_that_reads_a_gateways_response_cancels_it_with_one_answer() -> None:
    async def run() -> None:
        async with SocketHarness() as harness:
            response_id = await harness.responses.submit()
            harness.send("response.resume", response_id=response_id)
            await harness.received(1)
            harness.send("response.cancel", response_id=response_id, stream_id="c")
            sent = await harness.settled()
        assert kinds(sent) == ["created", "incomplete"]
        assert sent[-1]["response"]["status"] == "cancelled"

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
