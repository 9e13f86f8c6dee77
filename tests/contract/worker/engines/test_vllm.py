"""Behaviour of vLLM only: adapters, priorities, formats, metrics and death."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psutil
import pytest

from axon.adapters.observability.metrics import exposition, new_registry
from tests.contract.worker.engines.engine_samples import NEEDS_VLLM, EngineCase
from tests.vllm.on_cpu import ADAPTERS, tiny_adapters
from worker.engines.protocol import (
    BusyError,
    EngineDeadError,
    EngineError,
    GenerateRequest,
    RefusedError,
    TokenChunk,
)
from worker.engines.vllm.engine import VllmEngine
from worker.engines.vllm.metrics import EngineMetrics

pytestmark = pytest.mark.asyncio(loop_scope="session")

only_vllm = pytest.mark.parametrize(
    "case", [pytest.param("vllm", marks=NEEDS_VLLM)], indirect=True, scope="session"
)

SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}, "river": {"type": "boolean"}},
    "required": ["city", "river"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "name": "answer", "schema": SCHEMA}


def ids_of(chunks: list[TokenChunk]) -> tuple[int, ...]:
    return tuple(i for chunk in chunks for i in chunk.token_ids)


def text_of(chunks: list[TokenChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


@only_vllm
async def test_vllm_serves_an_adapter_as_a_model_of_its_own(case: EngineCase) -> None:
    names = [model.id for model in case.engine.info().models]
    assert names == ["small", *ADAPTERS]
    asked = await case.request(case.long, max_tokens=20)
    answers = [ids_of(await case.chunks(replace(asked, model=name))) for name in names]
    assert len(set(answers)) == 3
    assert ids_of(await case.chunks(replace(asked, model=ADAPTERS[0]))) == answers[1]


@only_vllm
async def test_vllm_loads_swaps_and_unloads_an_adapter_while_it_serves(case: EngineCase) -> None:
    engine = case.engine
    assert isinstance(engine, VllmEngine)
    places = tiny_adapters()
    asked = await case.request(case.long, max_tokens=20)
    known = [ids_of(await case.chunks(replace(asked, model=name))) for name in ADAPTERS]
    for name, answer in zip(ADAPTERS, known, strict=True):  # the second takes the first's place
        await engine.load_adapter("guest", places[name])
        assert ids_of(await case.chunks(replace(asked, model="guest"))) == answer
    running = case.generate(replace(asked, model="guest"))
    begun = [await anext(running)]
    await engine.unload_adapter("guest")
    assert ids_of(begun + [chunk async for chunk in running]) == known[1]
    with pytest.raises(RefusedError):
        await case.chunks(replace(asked, model="guest"))
    assert [model.id for model in engine.info().models] == ["small", *ADAPTERS]
    with pytest.raises(EngineError, match=r"no adapter_config\.json"):
        await engine.load_adapter("guest", "/nowhere")


@only_vllm
async def test_vllm_runs_a_higher_priority_first(
    case: EngineCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiting request with a higher priority runs first; vLLM gets it with the opposite sign."""
    assert isinstance(case.engine, VllmEngine)
    told: dict[str, int] = {}
    generate = case.engine._vllm.generate

    def spy(prompt: Any, parameters: Any, request_id: str, **more: Any) -> Any:
        told[request_id] = more["priority"]
        return generate(prompt, parameters, request_id, **more)

    monkeypatch.setattr(case.engine._vllm, "generate", spy)
    assert case.engine._vllm.vllm_config.scheduler_config.policy == "priority"
    holders = [
        case.generate(await case.request(case.long, max_tokens=900)) for _ in range(case.slots)
    ]
    for holder in holders:
        await anext(holder)
    low = await case.request(case.brief)
    high = replace(await case.request(case.brief), priority=7)
    running = [asyncio.create_task(case.chunks(request)) for request in (low, high)]
    await asyncio.sleep(0)
    for holder in holders:
        await holder.aclose()
    await asyncio.gather(*running)
    assert [name for name in told if name in (low.request_id, high.request_id)] == [
        high.request_id,
        low.request_id,
    ]
    assert (told[high.request_id], told[low.request_id]) == (-7, 0)


@only_vllm
async def test_vllm_answers_by_a_schema(case: EngineCase) -> None:
    request = replace(await case.request(case.brief, max_tokens=200), text_format=FORMAT)
    chunks = await case.chunks(request)
    answer = json.loads(text_of(chunks))
    assert answer.keys() == {"city", "river"}
    assert answer["city"] in ("Paris", "Rome")
    assert chunks[-1].finish_reason == "stop"


@only_vllm
async def test_vllm_continues_an_answer_by_a_schema(case: EngineCase) -> None:
    request = replace(await case.request(case.brief, max_tokens=200), text_format=FORMAT)
    chunks = await case.chunks(request)
    ids = ids_of(chunks)
    for k in (1, len(ids) // 2, len(ids)):
        rest = await case.chunks(replace(request, request_id=f"r-{k}", generated_token_ids=ids[:k]))
        assert ids_of(rest) == ids[k:]
        assert text_of(chunks).endswith(text_of(rest))
        assert rest[-1].finish_reason == "stop"


@only_vllm
async def test_vllm_fails_if_the_beginning_is_not_generated_again(case: EngineCase) -> None:
    request = replace(
        await case.request(case.brief), text_format=FORMAT, generated_token_ids=(5, 5, 5)
    )
    with pytest.raises(EngineError, match="cannot be generated again"):
        await case.chunks(request)
    assert (await case.answer(case.brief)).reason == "stop"


@only_vllm
async def test_vllm_refuses_an_invalid_schema(case: EngineCase) -> None:
    request = replace(
        await case.request(case.brief), text_format={**FORMAT, "schema": {"type": "nonsense"}}
    )
    with pytest.raises(RefusedError, match=r"text\.format"):
        await case.chunks(request)
    assert (await case.answer(case.brief)).reason == "stop"


async def later_attempt(case: EngineCase, request: GenerateRequest) -> list[TokenChunk]:
    """Ask until the engine is not busy: on a busy machine the compiler starts in minutes."""
    while True:
        with suppress(BusyError):
            return await case.chunks(request)


@only_vllm
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "(" * 30_000 + ")" * 30_000},
        {"type": "string", "pattern": "a" + "*" * 30_000},
    ],
    ids=["dies", "hangs"],
)
async def test_vllm_survives_a_format_that_its_compiler_does_not(
    case: EngineCase, schema: dict[str, Any]
) -> None:
    """The bounds at the door refuse these two; others like them may pass."""
    core = engine_core().pid
    request = replace(await case.request(case.brief), text_format={**FORMAT, "schema": schema})
    for _ in range(2):
        with pytest.raises(RefusedError, match=r"'text\.format' 'answer': it (makes|takes)"):
            await later_attempt(case, request)
    assert engine_core().pid == core
    asked = replace(await case.request(case.brief, max_tokens=200), text_format=FORMAT)
    assert (await later_attempt(case, asked))[-1].finish_reason == "stop"


@only_vllm
async def test_vllm_metrics_are_in_the_workers_registry(case: EngineCase) -> None:
    registry = new_registry()
    registry.register(EngineMetrics())
    await case.answer(case.brief)
    lines = exposition(registry).decode().splitlines()
    names = {line.split("{")[0] for line in lines if not line.startswith("#")}
    assert {
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:prefix_cache_hits_total",
        "vllm:time_to_first_token_seconds_bucket",
        "vllm:inter_token_latency_seconds_bucket",
    } <= names
    assert all(name.startswith("vllm:") for name in names)


@only_vllm
@pytest.mark.parametrize(("text", "reason"), [("brief", "stop"), ("long", "length")])
async def test_vllm_usage_counts_vllms_tokens(
    case: EngineCase, text: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(case.engine, VllmEngine)
    outputs: list[Any] = []
    generate = case.engine._vllm.generate

    async def spy(*arguments: Any, **more: Any) -> AsyncGenerator[Any, None]:
        async for output in generate(*arguments, **more):
            outputs.append(output)
            yield output

    monkeypatch.setattr(case.engine._vllm, "generate", spy)
    request = await case.request(getattr(case, text), max_tokens=30)
    chunks = await case.chunks(request)
    assert chunks[-1].finish_reason == reason
    assert list(request.prompt.token_ids) == outputs[0].prompt_token_ids
    made = sum(len(output.outputs[0].token_ids) for output in outputs)
    assert len(ids_of(chunks)) == made - (reason == "stop")


@only_vllm
async def test_vllm_tells_how_much_of_a_prompt_was_in_its_cache(case: EngineCase) -> None:
    text = " ".join([case.long] * 8)
    for known in (False, True):
        request = await case.request(text, max_tokens=4)
        usage = (await case.chunks(request))[-1].usage
        assert usage is not None
        assert (usage.input_tokens, usage.output_tokens) == (len(request.prompt.token_ids), 4)
        assert (usage.cached_tokens > 0) == known


@only_vllm
async def test_vllm_aborts_a_request_that_a_stop_string_has_ended(case: EngineCase) -> None:
    assert isinstance(case.engine, VllmEngine)
    text = (await case.answer(case.long, max_tokens=30)).text
    answer = await case.answer(case.long, max_tokens=900, stop=(text[10:14],))
    assert answer.text == text[: text.index(text[10:14])]
    async with asyncio.timeout(30):
        while case.engine._vllm.output_processor.has_unfinished_requests():
            await asyncio.sleep(0.01)


@only_vllm
async def test_vllm_sleeps_only_if_enabled(case: EngineCase) -> None:
    assert isinstance(case.engine, VllmEngine)
    with pytest.raises(EngineError, match="AXON_ENABLE_SLEEP_MODE"):
        await case.engine.sleep()


def engine_core() -> psutil.Process:
    children = psutil.Process().children(recursive=True)
    (core,) = [child for child in children if "EngineCore" in " ".join(child.cmdline())]
    return core


@only_vllm
async def test_vllm_ends_all_requests_when_its_process_dies(case: EngineCase) -> None:
    """The last test: nobody has the engine afterwards."""
    running = [
        case.generate(await case.request(case.long, max_tokens=900)) for _ in range(case.slots)
    ]
    brief, late = [await case.request(case.brief) for _ in range(2)]
    core = engine_core()
    await asyncio.gather(*(anext(generation) for generation in running))
    waiting = asyncio.ensure_future(case.chunks(brief))
    await asyncio.sleep(0)  # it waits now; and no answer may end before the engine does
    core.kill()
    for generation in running:
        async with asyncio.timeout(30):
            with pytest.raises(EngineDeadError):
                while True:
                    await anext(generation)
    with pytest.raises(EngineDeadError):
        await waiting
    with pytest.raises(EngineDeadError):
        await case.chunks(late)
    assert not await case.engine.health()
    await case.engine.close()
    await case.lives()
