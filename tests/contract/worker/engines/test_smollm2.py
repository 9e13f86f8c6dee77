"""Behaviour of the real model (SmolLM2)."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
import pytest

from tests.contract.worker.engines.engine_samples import EngineCase, answer_of
from worker.engines.openvino.process import PipelineGeneration, PipelineProcess, PipelineReason
from worker.engines.protocol import (
    ChatMessage,
    EngineDeadError,
    EngineError,
    GenerateRequest,
    Prompt,
    Sampling,
    ToolCall,
    ToolSpec,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.model]

only_smollm2 = pytest.mark.parametrize("case", ["smollm2"], indirect=True, scope="session")


def pipeline_processes() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if "worker.engines.openvino.server" in child.cmdline()]


@only_smollm2
async def test_smollm2_answers_with_a_sensible_sentence(case: EngineCase) -> None:
    answer = await case.answer("What is the capital of France?")
    assert "Paris" in answer.text
    assert answer.text.endswith(".")
    assert answer.reason == "stop"


@only_smollm2
async def test_smollm2_uses_the_models_own_chat_template(case: EngineCase) -> None:
    turns = [
        ChatMessage("user", "Hi"),
        ChatMessage("assistant", "Yes?"),
        ChatMessage("user", "Bye"),
    ]
    assert (await case.engine.assemble(case.model, turns)).text == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes?<|im_end|>\n"
        "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
    )
    own = (await case.engine.assemble(case.model, [ChatMessage("system", "Rhyme."), *turns])).text
    assert own.startswith("<|im_start|>system\nRhyme.<|im_end|>\n<|im_start|>user\nHi")


@only_smollm2
async def test_smollm2_sees_tools_though_its_template_has_none(case: EngineCase) -> None:
    call = ToolCall("c", "get_weather", '{"city": "Rome"}')
    conversation = [
        ChatMessage("user", "Weather?"),
        ChatMessage("assistant", "", calls=(call,)),
        ChatMessage("tool", "sunny", call_id="c", name="get_weather"),
    ]
    tool = ToolSpec("get_weather", "Get the weather.", {"type": "object", "properties": {}})
    text = (await case.engine.assemble(case.model, conversation, tools=[tool])).text
    assert '<tools>\n{"type": "function", "function": {"name": "get_weather", ' in text
    assert text.endswith(
        "</tool_call><|im_end|>\n<|im_start|>user\nWeather?<|im_end|>\n<|im_start|>assistant\n"
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
        "<|im_end|>\n<|im_start|>user\n<tool_response>\nsunny\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    (model,) = case.engine.info().models
    assert (model.call_format, model.reasoning_format) == ("hermes", None)


@only_smollm2
async def test_smollm2_refuses_a_conversation_that_cannot_be_rendered(case: EngineCase) -> None:
    with pytest.raises(EngineError, match="rendered"):
        await case.request("half of a surrogate pair: \ud800")


@only_smollm2
@pytest.mark.parametrize("text", ["😀😃😄😁😆😅", "你好世界我爱你"])
async def test_smollm2_returns_whole_characters_wherever_it_continues(
    case: EngineCase, text: str
) -> None:
    known = await case.tokens_of(text)
    for k in range(1, 6):
        request = await case.request(f"Repeat after me: {text}", max_tokens=k + 10, known=known[:k])
        chunks = await case.chunks(request)
        assert any(len(chunk.token_ids) > 1 for chunk in chunks)
        for chunk in chunks:
            assert "\ufffd" not in chunk.text


@only_smollm2
async def test_smollm2_samples_the_same_for_a_seed(case: EngineCase) -> None:
    async def sample(seed: int) -> tuple[int, ...]:
        asked = await case.request(case.long)
        sampling = Sampling(max_tokens=10, temperature=1.0, seed=seed)
        request = GenerateRequest(asked.request_id, asked.model, asked.prompt, sampling)
        return tuple(i for chunk in await case.chunks(request) for i in chunk.token_ids)

    assert await sample(1) == await sample(1) != await sample(2)


@only_smollm2
@pytest.mark.parametrize("token_ids", [(), (1, 60_000), (1, -1)])
async def test_smollm2_refuses_tokens_that_would_end_the_pipeline(
    case: EngineCase, token_ids: tuple[int, ...]
) -> None:
    request = GenerateRequest("r", case.model, Prompt(token_ids, ""), Sampling(max_tokens=1))
    with pytest.raises(EngineError, match="tokens"):
        await case.chunks(request)
    assert (await case.answer(case.brief)).reason == "stop"


@only_smollm2
async def test_smollm2_fails_one_request_with_refused_parameters(case: EngineCase) -> None:
    asked = await case.request(case.brief)
    sampling = Sampling(max_tokens=1, presence_penalty=9.0)
    with pytest.raises(EngineError, match="could not run"):
        await case.chunks(GenerateRequest("r", case.model, asked.prompt, sampling))
    assert (await case.answer(case.brief)).reason == "stop"


@only_smollm2
@pytest.mark.parametrize(("text", "reason"), [("brief", "stop"), ("long", "length")])
async def test_smollm2_usage_counts_the_pipelines_tokens(
    case: EngineCase, text: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    taken: list[int] = []
    deliver, submit = PipelineGeneration.deliver, PipelineProcess.submit

    def delivering(self: PipelineGeneration, ids: Sequence[int], reason: PipelineReason) -> None:
        made.extend(ids)
        deliver(self, ids, reason)

    def submitting(
        self: PipelineProcess,
        generation: PipelineGeneration,
        ids: Sequence[int],
        config: Mapping[str, Any],
    ) -> None:
        taken.extend(ids)
        submit(self, generation, ids, config)

    monkeypatch.setattr(PipelineGeneration, "deliver", delivering)
    monkeypatch.setattr(PipelineProcess, "submit", submitting)
    request = await case.request(getattr(case, text), max_tokens=30)
    answer = answer_of(await case.chunks(request))
    assert answer.reason == reason
    assert list(request.prompt.token_ids) == taken
    assert len(answer.token_ids) == len(made) - (reason == "stop")


@only_smollm2
async def test_smollm2_sleeps_when_all_requests_were_cancelled(case: EngineCase) -> None:
    for _ in range(case.slots):
        generation = case.generate(await case.request(case.long, max_tokens=1000))
        await anext(generation)
        await generation.aclose()
    await case.answer(case.brief)
    (process,) = pipeline_processes()
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(0.5)
    assert sum(process.cpu_times()[:2]) - before <= 0.05


@pytest.mark.parametrize("doomed", ["smollm2"], indirect=True)
async def test_smollm2_ends_all_requests_when_its_process_dies(doomed: EngineCase) -> None:
    child = max(pipeline_processes(), key=psutil.Process.create_time)
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGTERM)
    generations = [
        doomed.generate(await doomed.request(doomed.long, max_tokens=500)) for _ in range(2)
    ]
    for generation in generations:
        await anext(generation)
    waiting = asyncio.ensure_future(doomed.chunks(await doomed.request(doomed.brief)))
    late = await doomed.request(doomed.brief)
    child.kill()
    for generation in generations:
        with pytest.raises(EngineDeadError, match="status -9"):
            while True:
                await anext(generation)
    with pytest.raises(EngineDeadError):
        await waiting
    with pytest.raises(EngineDeadError):
        await doomed.chunks(late)
    assert not await doomed.engine.health()
