"""The memory of long requests: counted until they are accepted, free while they are answered."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import pytest

from axon.byte_budget import ByteBudget
from axon.exceptions import RequestError, UnavailableError
from axon.protocol.anthropic.content import MessageParam
from axon.protocol.chat.messages import InputMessage
from axon.protocol.items import Message
from axon.serialization import dumps
from axon.testing.payloads import FakePayloadStore
from front import memory
from front.memory import HeldBytes, Room, decoded_bytes
from tests.support.eventually import eventually
from tests.unit.axon.samples import MODEL
from tests.unit.front.front_harness import FrontHarness

SIZE = 2 * 2**20
PARTS = (Message, InputMessage, MessageParam)
JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def large_front() -> AsyncIterator[tuple[FrontHarness, FakePayloadStore]]:
    inputs = FakePayloadStore()
    gc.collect()
    harness = FrontHarness(max_bytes=2 * SIZE, inputs=inputs)
    await harness.begin()
    try:
        yield harness, inputs
    finally:
        await harness.end()


async def forgotten(
    harness: FrontHarness, inputs: FakePayloadStore, others: list[object], *, count: int = 1
) -> None:
    """Wait until nothing of requests is in memory, nor counted, though their answers have begun.

    `others` are the parts of other tests' requests, which modules may keep.
    """
    assert len(inputs.content) == count
    assert sum(map(len, inputs.content.values())) > count * SIZE * 0.9
    bodies = harness.context.bodies
    for held in (bodies.held, bodies.held_of_sockets):
        await eventually(lambda held=held: held.count == 0)  # type: ignore[misc]
    assert bodies.decoded.held == 0
    kept = {id(other) for other in others}
    # Without a run of the garbage collector.
    await eventually(lambda: all(id(part) in kept for part in parts()))


def parts() -> list[object]:
    """Return the parts of long requests that are in memory."""
    return [each for each in gc.get_objects() if type(each) in PARTS]


def conversation() -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"{number} " + "x" * 2000} for number in range(1000)]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"input": conversation()}),
        ("/v1/chat/completions", {"messages": conversation(), "n": 2}),
        ("/v1/completions", {"prompt": "x" * SIZE}),
        ("/v1/messages", {"messages": conversation(), "max_tokens": 1}),
    ],
    ids=["responses", "chat", "completions", "messages"],
)
async def test_accepted_request_takes_no_memory_while_it_is_answered(
    path: str, body: dict[str, Any], stream: bool
) -> None:
    async with large_front() as (harness, inputs):
        others = parts()
        data = dumps({"model": MODEL, "stream": stream} | body)
        choices = body.get("n", 1)
        sent = asyncio.create_task(harness.client.post(path, data=BytesIO(data), headers=JSON))
        await eventually(lambda: len(harness.reader.attended) == choices)
        await forgotten(harness, inputs, others, count=choices)
        for job in harness.responses.jobs_sent():
            await harness.responses.answer(job.response_id, "Hello")
        async with await sent as answer:
            assert answer.status == 200
            await answer.read()


async def test_accepted_message_of_a_socket_takes_no_memory_while_it_is_answered() -> None:
    create = {"type": "response.create", "model": MODEL, "input": conversation()}
    async with large_front() as (harness, inputs), harness.client.ws_connect("/v1/responses") as ws:
        others = parts()
        first, second = (dumps(create | {"stream_id": name}).decode() for name in "ab")
        await ws.send_str(first)
        await ws.send_str(second)
        # In a lane that is not its turn: it is accepted all the same.
        await ws.send_str(second)
        await eventually(lambda: len(harness.reader.attended) == 3)
        await forgotten(harness, inputs, others, count=3)


async def test_refused_request_is_not_counted() -> None:
    async with large_front() as (harness, _):
        wrong = dumps({"model": MODEL, "input": conversation(), "max_output_tokens": -1})
        async with harness.client.post(
            "/v1/responses", data=BytesIO(wrong), headers=JSON
        ) as answer:
            assert (await harness.error(answer))[::2] == (400, "max_output_tokens")
        bodies = harness.context.bodies
        assert (bodies.held.count, bodies.decoded.held) == (0, 0)


async def test_room_waits_for_memory_and_refuses_what_never_has_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, decoded = HeldBytes(most=100, longest=100), ByteBudget(most=1000)
    first, second = (Room(held, decoded, tenant_id="t") for _ in range(2))
    with pytest.raises(RequestError, match="decoded it takes up to 1,001 bytes") as caught:
        await first.hold_decoded(1001)
    assert (caught.value.code, caught.value.status) == ("request_too_large", 413)
    first.hold(60)
    await first.hold_decoded(600)
    await first.hold_decoded(700)  # in place of the first
    waiting = asyncio.create_task(second.hold_decoded(400))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.release()
    first.release()  # twice is harmless
    await waiting
    assert (held.count, decoded.held) == (0, 400)
    monkeypatch.setattr(memory, "DECODING_S", 0.0)
    with pytest.raises(UnavailableError, match="too many large requests"):
        await first.hold_decoded(700)
    first.release()
    second.release()
    assert decoded.held == 0


def test_memory_of_a_body_depends_on_its_characters_and_values() -> None:
    assert decoded_bytes(b"x" * 1000, values=2) == 5000
    assert decoded_bytes("ü".encode() * 500, values=2) == 10_000
    assert decoded_bytes(rb"\ud83d" * 100, values=0) == 5400
