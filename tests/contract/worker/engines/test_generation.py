"""Answers of every engine: chunks, limits, continuation, usage."""

import asyncio

import pytest

from axon.protocol.objects import Usage
from tests.contract.worker.engines.engine_samples import EngineCase, answer_of
from worker.engines.protocol import (
    ChatMessage,
    ContextOverflowError,
    EngineDeadError,
    EngineError,
    GenerateRequest,
    Prompt,
    Sampling,
    TokenChunk,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_engine_is_healthy_and_knows_its_model(case: EngineCase) -> None:
    assert await case.engine.health()
    model = case.engine.info().models[0]
    assert 0 < model.max_output_tokens <= model.context_window


async def test_engine_sets_the_reason_in_the_last_chunk_only(case: EngineCase) -> None:
    for text, max_tokens, reason in ((case.brief, 100, "stop"), (case.long, 20, "length")):
        chunks = await case.chunks(await case.request(text, max_tokens=max_tokens))
        assert [chunk.finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
        assert chunks[-1].finish_reason == reason


async def test_engine_streams_chunks_as_they_are_generated(case: EngineCase) -> None:
    chunks = await case.chunks(await case.request(case.long, max_tokens=20))
    assert len(chunks[0].token_ids) == 1
    assert len(chunks) > 1


async def test_engine_returns_text_in_every_chunk_but_the_last(case: EngineCase) -> None:
    chunks = await case.chunks(await case.request(case.long, max_tokens=20))
    assert all(chunk.text and chunk.token_ids for chunk in chunks[:-1])


async def test_engine_gives_the_same_greedy_answer_again(case: EngineCase) -> None:
    assert await case.answer(case.brief) == await case.answer(case.brief)


@pytest.mark.parametrize("max_tokens", [1, 5])
async def test_engine_generates_exactly_max_tokens(case: EngineCase, max_tokens: int) -> None:
    answer = await case.answer(case.long, max_tokens=max_tokens)
    assert len(answer.token_ids) == max_tokens
    assert answer.reason == "length"


async def test_engine_gives_the_beginning_for_a_shorter_limit(case: EngineCase) -> None:
    short = await case.answer(case.long, max_tokens=10)
    longer = await case.answer(case.long, max_tokens=15)
    assert longer.text.startswith(short.text)
    assert longer.token_ids[:10] == short.token_ids


async def test_engine_continues_with_exactly_the_rest(case: EngineCase) -> None:
    for text, max_tokens in ((case.brief, 100), (case.long, 40)):
        chunks = await case.chunks(await case.request(text, max_tokens=max_tokens))
        ids = tuple(i for chunk in chunks for i in chunk.token_ids)
        for k in {0, 1, len(ids) // 2, len(ids) - 1, len(ids)}:
            rest = await case.answer(text, max_tokens=max_tokens, known=ids[:k])
            assert ids[:k] + rest.token_ids == ids
            assert rest.reason == chunks[-1].finish_reason
            assert "".join(chunk.text for chunk in chunks).endswith(rest.text)
            assert rest.text == texts_by_position(chunks).get(k, rest.text)


def texts_by_position(chunks: list[TokenChunk]) -> dict[int, str]:
    """The text that follows each number of tokens at which a chunk begins or the answer ends."""
    rest = {sum(len(chunk.token_ids) for chunk in chunks): ""}
    for index in range(len(chunks)):
        begins = sum(len(chunk.token_ids) for chunk in chunks[:index])
        rest[begins] = "".join(chunk.text for chunk in chunks[index:])
    return rest


async def test_engine_does_not_mix_concurrent_answers(case: EngineCase) -> None:
    texts = [case.brief, case.long, f"{case.brief} {case.long}", case.long]
    alone = [await case.answer(text, max_tokens=15) for text in texts]
    together = await asyncio.gather(*(case.answer(text, max_tokens=15) for text in texts))
    assert list(together) == alone


async def test_engine_does_not_mix_answers_that_are_read_alternately(case: EngineCase) -> None:
    texts = (case.long, f"{case.brief} {case.long}")
    alone = [await case.answer(text, max_tokens=15) for text in texts]
    requests = [await case.request(text, max_tokens=15) for text in texts]
    taken: dict[str, list[TokenChunk]] = {request.request_id: [] for request in requests}
    running = {request.request_id: case.generate(request) for request in requests}
    while running:
        for name, generation in list(running.items()):
            chunk = await anext(generation, None)
            if chunk is None:
                del running[name]
            else:
                taken[name].append(chunk)
    assert [answer_of(chunks) for chunks in taken.values()] == alone


@pytest.mark.parametrize(
    ("text", "max_tokens"), [("brief", 100), ("long", 7)], ids=["stop", "length"]
)
async def test_engine_returns_the_usage_that_the_upstream_counts(
    case: EngineCase, text: str, max_tokens: int
) -> None:
    if case.upstream is None:
        pytest.skip("counts itself")
    request = await case.request(getattr(case, text), max_tokens=max_tokens)
    chunks = await case.chunks(request)
    counted = case.upstream.counted[-1]
    usage = chunks[-1].usage or Usage(
        input_tokens=len(request.prompt.token_ids), output_tokens=len(answer_of(chunks).token_ids)
    )
    assert request.prompt.estimated == (chunks[-1].usage is not None)
    assert usage.input_tokens == counted["prompt_tokens"]
    assert usage.output_tokens == counted["completion_tokens"]


async def test_engine_refuses_a_prompt_beyond_the_window_and_serves_others(
    case: EngineCase,
) -> None:
    window = case.engine.info().models[0].context_window
    with pytest.raises(ContextOverflowError, match=str(window)):
        await case.answer(case.beyond)
    assert (await case.answer(case.brief)).reason == "stop"


async def test_engine_refuses_another_model(case: EngineCase) -> None:
    request = GenerateRequest("r", "another", Prompt((1,), "hi"), Sampling(max_tokens=1))
    with pytest.raises(EngineError, match="another"):
        await anext(case.generate(request))
    with pytest.raises(EngineError, match="another"):
        await case.engine.assemble("another", [])


async def test_engine_counts_more_tokens_for_more_messages(case: EngineCase) -> None:
    turns = [
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "Hi."),
        ChatMessage("assistant", "Hello!"),
        ChatMessage("user", "Bye."),
    ]
    prompts = [await case.engine.assemble(case.model, turns[:n]) for n in (2, 3, 4)]
    counts = [len(prompt.token_ids) for prompt in prompts]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("doomed", ["echo", "openai", "openai-vllm"], indirect=True)
async def test_engine_close_ends_running_generations_as_dead(doomed: EngineCase) -> None:
    running = [
        doomed.generate(await doomed.request(doomed.long, max_tokens=5000)) for _ in range(2)
    ]
    for generation in running:
        await anext(generation)
    waiting = asyncio.ensure_future(anext(doomed.generate(await doomed.request(doomed.brief))))
    late = await doomed.request(doomed.brief)
    await asyncio.sleep(0)
    await doomed.engine.close()
    for generation in (*running, doomed.generate(late)):
        with pytest.raises(EngineDeadError):
            await anext(generation)
    with pytest.raises(EngineDeadError):
        await waiting
    assert not await doomed.engine.health()
    await doomed.engine.close()
