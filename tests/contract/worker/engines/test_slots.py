"""Each way to end a generation frees its slot."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.contract.worker.engines.engine_samples import Answer, EngineCase
from worker.engines.protocol import GenerateRequest, TokenChunk

pytestmark = pytest.mark.asyncio(loop_scope="session")


class SlotHolder:
    """A generation that keeps its slot; `advance` takes one chunk."""

    def __init__(self, case: EngineCase, request: GenerateRequest) -> None:
        self.case = case
        self.request = request
        self.generation: AsyncGenerator[TokenChunk, None] = case.generate(self.request)

    async def advance(self) -> None:
        async with asyncio.timeout(30):
            await anext(self.generation)


@asynccontextmanager
async def full(case: EngineCase) -> AsyncIterator[list[SlotHolder]]:
    """Occupy every slot."""
    holders = [
        SlotHolder(case, await case.request(case.long, max_tokens=5000)) for _ in range(case.slots)
    ]
    for holder in holders:
        await holder.advance()
    try:
        yield holders
    finally:
        for holder in holders:
            await holder.generation.aclose()


async def is_waiting(task: asyncio.Future[Answer], holders: list[SlotHolder]) -> bool:
    """Return whether the task still waits after the holders of the slots have advanced."""
    for _ in range(4):
        for holder in holders:
            await holder.advance()
        await asyncio.sleep(0)
    return not task.done()


async def abort(holder: SlotHolder) -> None:
    await holder.case.engine.abort(holder.request.request_id)
    with pytest.raises(StopAsyncIteration):
        await holder.advance()


async def close(holder: SlotHolder) -> None:
    await holder.generation.aclose()


async def cancel(holder: SlotHolder) -> None:
    async def consume() -> None:
        async for _ in holder.generation:
            await asyncio.sleep(0)

    task = asyncio.create_task(consume())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # Where the cancellation met the consumer between two chunks, closing is the consumer's part.
    await holder.generation.aclose()


@pytest.mark.parametrize("end", [abort, close, cancel])
async def test_engine_begins_the_next_generation_when_one_ends(
    case: EngineCase, end: Callable[[SlotHolder], Awaitable[None]]
) -> None:
    async with full(case) as holders:
        next_one = asyncio.ensure_future(case.answer(case.brief))
        assert await is_waiting(next_one, holders)
        await end(holders[0])
        async with asyncio.timeout(30):
            assert (await next_one).reason == "stop"
        for holder in holders[1:]:
            await holder.advance()


async def test_engine_frees_the_slot_of_a_completed_generation(case: EngineCase) -> None:
    for _ in range(case.slots * 2):
        assert (await case.answer(case.long, max_tokens=2)).reason == "length"


async def test_engine_aborts_a_waiting_generation(case: EngineCase) -> None:
    async with full(case) as holders:
        request = await case.request(case.brief)
        waiting = asyncio.ensure_future(case.chunks(request))
        for _ in range(3):
            await asyncio.sleep(0)
        await case.engine.abort(request.request_id)
        assert await waiting == []
        await holders[0].advance()


async def test_engine_gives_no_slot_to_a_cancelled_wait(case: EngineCase) -> None:
    async with full(case) as holders:
        impatient = asyncio.ensure_future(case.answer(case.brief))
        patient = asyncio.ensure_future(case.answer(case.brief))
        assert await is_waiting(impatient, holders)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        await close(holders[0])
        assert (await patient).reason == "stop"


async def test_engine_ignores_the_abort_of_an_unknown_or_ended_request(case: EngineCase) -> None:
    request = await case.request(case.brief)
    await case.chunks(request)
    await case.engine.abort(request.request_id)
    await case.engine.abort("never seen")
    assert await case.engine.health()


async def test_engine_gives_no_slot_to_an_iterator_that_was_never_started(case: EngineCase) -> None:
    idle = [case.generate(await case.request(case.brief)) for _ in range(case.slots)]
    assert (await case.answer(case.brief)).reason == "stop"
    for generation in idle:
        await generation.aclose()
