"""The end of an answer frees the upstream's slot at once."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from tests.contract.worker.engines.echo_upstream_stub import Fault
from tests.support.eventually import eventually
from tests.unit.worker.engines.openai.upstream_harness import ask, generate, serving
from worker.engines.openai.engine import OpenAiEngine
from worker.engines.protocol import EngineDeadError, TokenChunk

Generation = AsyncGenerator[TokenChunk, None]


async def abort(engine: OpenAiEngine, _: Generation) -> None:
    await engine.abort("r")


async def close(_: OpenAiEngine, generation: Generation) -> None:
    await generation.aclose()


async def close_engine(engine: OpenAiEngine, _: Generation) -> None:
    await engine.close()


@pytest.mark.parametrize("kind", ["openai", "vllm"])
@pytest.mark.parametrize("end", [abort, close, close_engine])
async def test_abort_closes_the_stream_of_an_answer_that_nobody_reads(
    kind: str, end: Callable[[OpenAiEngine, Generation], Awaitable[None]]
) -> None:
    async with serving(kind=kind, faults=[Fault(after=1, then="hang")]) as (engine, up):
        generation = generate(engine, await ask(engine, "one two"))
        await anext(generation)
        assert up.running == 1
        await end(engine, generation)
        await up.idle()
        await generation.aclose()


@pytest.mark.parametrize("fault", [
    Fault(then="mute"), Fault(then="hang"), Fault(after=1, then="hang"),
])  # fmt: skip
async def test_abort_interrupts_the_wait_for_the_upstream(fault: Fault) -> None:
    async with serving(faults=[fault], slots=1) as (engine, up):
        generation = generate(engine, await ask(engine, "one two"))
        for _ in range(fault.after):
            await anext(generation)
        waiting = asyncio.ensure_future(anext(generation))
        await eventually(lambda: up.running)
        await engine.abort("r")
        with pytest.raises(StopAsyncIteration):
            await waiting
        await up.idle()
        assert [c.text async for c in generate(engine, await ask(engine, "hi"))] == ["hi", ""]


async def test_close_ends_waiting_generations_as_dead() -> None:
    async with serving(faults=[Fault(then="hang")]) as (engine, up):
        waiting = asyncio.ensure_future(anext(generate(engine, await ask(engine, "one"))))
        await eventually(lambda: up.running)
        await engine.close()
        with pytest.raises(EngineDeadError):
            await waiting
        await up.idle()


async def test_cancelled_consumer_closes_the_stream() -> None:
    async with serving(faults=[Fault(then="hang")]) as (engine, up):
        waiting = asyncio.ensure_future(anext(generate(engine, await ask(engine, "one"))))
        await eventually(lambda: up.running)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await up.idle()


async def test_aborted_answer_yields_no_further_chunk() -> None:
    async with serving() as (engine, up):
        generation = generate(engine, await ask(engine, "count to 500", max_tokens=600))
        await anext(generation)
        await up.idle()
        await engine.abort("r")
        assert [chunk async for chunk in generation] == []
