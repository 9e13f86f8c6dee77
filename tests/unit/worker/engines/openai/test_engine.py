from typing import Any

import pytest

from axon.protocol.objects import Usage
from tests.contract.worker.engines.echo_upstream_stub import Fault
from tests.unit.worker.engines.openai.upstream_harness import chunks_of, joined, serving
from worker.engines.protocol import ChatMessage, ContextOverflowError, EngineError

TEXT = "one two three four five"


async def test_openai_engine_returns_the_upstreams_usage() -> None:
    async with serving() as (engine, _):
        chunks = await chunks_of(engine, TEXT)
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].usage == Usage(input_tokens=7, output_tokens=5)


async def test_openai_engine_returns_the_usage_of_the_whole_continued_answer() -> None:
    async with serving(faults=[Fault(after=2, then="cut")]) as (engine, _):
        chunks = await chunks_of(engine, TEXT)
        known = [token_id for chunk in chunks for token_id in chunk.token_ids][:4]
        later = await chunks_of(engine, TEXT, known=known)
    assert chunks[-1].usage == later[-1].usage == Usage(input_tokens=7, output_tokens=5)


async def test_openai_engine_returns_no_usage_if_the_upstream_counts_none() -> None:
    async with serving(usage=False) as (engine, _):
        chunks = await chunks_of(engine, TEXT)
        prompt = await engine.assemble("echo", [ChatMessage("user", TEXT)])
    assert chunks[-1].usage is None
    assert prompt.estimated


async def test_openai_engine_counts_vllms_tokens() -> None:
    async with serving(kind="vllm") as (engine, _):
        chunks = await chunks_of(engine, TEXT)
        prompt = await engine.assemble("echo", [ChatMessage("user", TEXT)])
    assert (len(prompt.token_ids), prompt.estimated) == (7, False)
    assert chunks[-1].usage is None
    assert sum(len(chunk.token_ids) for chunk in chunks) == 5


@pytest.mark.parametrize("kind", ["openai", "vllm"])
async def test_openai_engine_returns_whole_characters_however_the_bytes_arrive(kind: str) -> None:
    text = "naïve 😀 日本語 ﷽"
    async with serving(kind=kind, dribble=True) as (engine, _):
        assert joined(await chunks_of(engine, text)) == text


async def test_openai_engine_passes_on_sampling_and_leaves_the_rest_open() -> None:
    async with serving() as (engine, up):
        await chunks_of(engine, TEXT)
        asked: dict[str, Any] = {
            "temperature": 0.5, "top_p": 0.9, "presence_penalty": 1.0, "frequency_penalty": -1.0,
            "seed": 7,
        }  # fmt: skip
        await chunks_of(engine, TEXT, stop=("END",), **asked)
    plain, chosen = up.requests
    assert set(plain) == {"model", "messages", "stream", "stream_options", "max_tokens"}
    assert plain["stream_options"] == {"include_usage": True}
    assert {name: chosen[name] for name in asked} == asked
    assert chosen["stop"] == ["END"]


async def test_openai_engine_sends_no_limit_that_only_the_window_sets() -> None:
    async with serving(settings={"context_window": 1000}) as (engine, up):
        await chunks_of(engine, TEXT, max_tokens=991)
        await chunks_of(engine, TEXT, max_tokens=900)
    assert "max_tokens" not in up.requests[0]
    assert up.requests[1]["max_tokens"] == 900


async def test_openai_engine_cuts_an_endless_answer_at_the_window() -> None:
    async with serving(settings={"context_window": 50}) as (engine, up):
        chunks = await chunks_of(engine, "count to 5000", max_tokens=5000)
        await up.idle()
    assert chunks[-1].finish_reason == "length"
    assert len(joined(chunks).split()) == 50 - 7
    assert len(up.requests) == 1


async def test_openai_engine_refuses_ids_of_another_engine() -> None:
    async with serving() as (engine, _):
        with pytest.raises(EngineError, match="another engine"):
            await chunks_of(engine, TEXT, known=[5, 6])


async def test_openai_engine_says_what_a_vllm_without_token_ids_needs() -> None:
    async with serving(kind="vllm") as (engine, up):
        up.ids = False
        with pytest.raises(EngineError, match="AXON_UPSTREAM_KIND=openai"):
            await chunks_of(engine, TEXT)


async def test_openai_engine_refuses_a_prompt_estimated_beyond_the_window() -> None:
    async with serving(settings={"context_window": 10}) as (engine, up):
        with pytest.raises(ContextOverflowError, match="10"):
            await chunks_of(engine, "word " * 50)
        assert up.requests == []
