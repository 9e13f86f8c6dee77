import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.virtual_time import now, run
from worker.engines.echo.engine import EchoEngine, EchoPace
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

FULL_SPEED = EchoPace()


def request(text: str, *, max_tokens: int = 10_000, known: int = 0) -> GenerateRequest:
    return GenerateRequest(
        request_id="r",
        model="echo",
        prompt=Prompt(token_ids=(0,), text=text),
        sampling=Sampling(max_tokens=max_tokens),
        generated_token_ids=tuple(range(known)),
    )


async def serving(pace: EchoPace = FULL_SPEED, slots: int = 1) -> EchoEngine:
    engine = EchoEngine(slots=slots, pace=pace)
    await engine.start()
    return engine


def answer(text: str, *, max_tokens: int = 10_000, known: int = 0) -> list[TokenChunk]:
    async def main() -> list[TokenChunk]:
        engine = await serving()
        generation = engine.generate(request(text, max_tokens=max_tokens, known=known))
        return [chunk async for chunk in generation]

    return run(main())


def joined(chunks: list[TokenChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def timed(pace: EchoPace, *, tokens: int, busy_s: float = 0.0) -> list[tuple[float, TokenChunk]]:
    """The chunks and when they came, to a consumer that is busy after each."""

    async def main() -> list[tuple[float, TokenChunk]]:
        engine = await serving(pace)
        arrivals = []
        async for chunk in engine.generate(request(f"count to {tokens}")):
            arrivals.append((now(), chunk))
            if busy_s:
                await asyncio.sleep(busy_s)
        return arrivals

    return run(main())


@given(st.text())
def test_echo_repeats_the_words_joined_by_single_spaces(text: str) -> None:
    chunks = answer(f"say {text}")
    words = ["say", *text.split()]
    assert joined(chunks) == " ".join(words)
    assert [i for chunk in chunks for i in chunk.token_ids] == list(range(len(words)))
    assert [chunk.finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


@pytest.mark.parametrize("text", ["count to 3", " Count To 3. ", "COUNT TO 3!", "count to 3 ?"])
def test_echo_counts_to_a_number(text: str) -> None:
    assert joined(answer(text)) == "1 2 3"


@pytest.mark.parametrize("text", ["count to three", "please count to 3", "count to 3 apples"])
def test_echo_repeats_text_that_is_not_exactly_a_count(text: str) -> None:
    assert joined(answer(text)) == text


@given(st.text(), st.integers(0, 8))
def test_echo_spells_byte_by_byte_wherever_it_continues(text: str, known: int) -> None:
    spelled = f"a{text}".strip().encode(errors="replace")
    chunks = answer(f"spell: a{text}", known=known)
    shown = spelled[:known].decode(errors="ignore")
    assert joined(chunks) == spelled.decode()[len(shown) :]
    assert sum(len(chunk.token_ids) for chunk in chunks) == max(0, len(spelled) - known)


@pytest.mark.parametrize("text", ["", "  \n", "count to 0", "spell:"])
def test_echo_answers_an_empty_text_with_nothing(text: str) -> None:
    assert answer(text) == [TokenChunk("", (), "stop")]


def test_echo_cuts_the_answer_at_max_tokens() -> None:
    chunks = answer("count to 999999999", max_tokens=3)
    assert joined(chunks) == "1 2 3"
    assert chunks[-1].finish_reason == "length"


def test_echo_completes_an_answer_of_exactly_max_tokens() -> None:
    assert answer("one two", max_tokens=2)[-1].finish_reason == "stop"


def test_echo_counts_known_tokens_towards_max_tokens() -> None:
    chunks = answer("count to 9", max_tokens=5, known=3)
    assert joined(chunks) == " 4 5"
    assert chunks[-1].finish_reason == "length"


def test_echo_limits_prompt_and_answer_by_the_context_window() -> None:
    chunks = answer("count to 40000", max_tokens=40_000)
    assert sum(len(chunk.token_ids) for chunk in chunks) == 32_767
    assert chunks[-1].finish_reason == "length"


async def test_echo_refuses_a_prompt_beyond_the_context_window() -> None:
    engine = await serving()
    prompt = await engine.assemble("echo", [ChatMessage("user", "word " * 32_768)])
    overflowing = GenerateRequest("r", "echo", prompt, Sampling(max_tokens=1))
    with pytest.raises(ContextOverflowError, match="32768"):
        await anext(engine.generate(overflowing))


def test_echo_at_full_speed_sends_the_first_token_alone_and_then_bursts() -> None:
    assert [len(chunk.token_ids) for chunk in answer("count to 150")] == [1, 64, 64, 21]


async def test_echo_at_full_speed_lets_other_tasks_run() -> None:
    engine = await serving(slots=2)
    turns: list[str] = []

    async def consume(name: str) -> None:
        async for _ in engine.generate(request("count to 300")):
            turns.append(name)

    await asyncio.gather(consume("a"), consume("b"))
    assert turns[:8].count("a") == turns[:8].count("b")


def test_echo_sends_token_k_at_ttft_plus_k_token_s() -> None:
    pace = EchoPace(ttft_s=0.02, token_s=0.003)
    arrivals = timed(pace, tokens=2000)
    assert [at for at, _ in arrivals] == pytest.approx(
        [0.02 + k * 0.003 for k in range(2000)], abs=1e-5
    )
    assert all(len(chunk.token_ids) == 1 for _, chunk in arrivals)


def test_echo_sends_due_tokens_together_to_a_slow_consumer() -> None:
    arrivals = timed(EchoPace(ttft_s=0.02, token_s=0.005), tokens=101, busy_s=0.0501)
    sizes = [len(chunk.token_ids) for _, chunk in arrivals]
    assert sizes[:4] == [1, 10, 10, 10]
    assert sum(sizes) == 101
    assert arrivals[-1][0] == pytest.approx(0.02 + 100 * 0.005, abs=0.06)


def test_echo_paces_only_the_first_token_when_token_s_is_zero() -> None:
    assert {at for at, _ in timed(EchoPace(ttft_s=0.5), tokens=100)} == {0.5}


def test_echo_pace_begins_with_the_slot() -> None:
    async def main() -> list[float]:
        engine = await serving(EchoPace(ttft_s=1.0))
        firsts: list[float] = []

        async def consume() -> None:
            async for _ in engine.generate(request("one")):
                firsts.append(now())

        await asyncio.gather(consume(), consume(), consume())
        return firsts

    assert run(main()) == pytest.approx([1.0, 2.0, 3.0])


def test_echo_abort_ends_a_paced_generation_at_once() -> None:
    async def main() -> float:
        engine = await serving(EchoPace(ttft_s=0.0, token_s=100.0))
        generation = engine.generate(request("one two"))
        await anext(generation)
        asyncio.get_running_loop().call_later(1.0, lambda: asyncio.ensure_future(engine.abort("r")))
        with pytest.raises(StopAsyncIteration):
            await anext(generation)
        return now()

    assert run(main()) == pytest.approx(1.0)


async def test_echo_close_ends_running_generations_and_refuses_new_ones() -> None:
    engine = await serving()
    running = engine.generate(request("count to 1000"))
    await anext(running)
    await engine.close()
    with pytest.raises(EngineDeadError):
        await anext(running)
    with pytest.raises(EngineDeadError):
        await anext(engine.generate(request("one")))
    assert not await engine.health()


async def test_echo_prompt_is_the_last_user_text_and_counts_every_word() -> None:
    engine = await serving()
    prompt = await engine.assemble(
        "echo",
        [
            ChatMessage("system", "be kind"),
            ChatMessage("user", "first question"),
            ChatMessage("assistant", "answer"),
            ChatMessage("user", "the second one"),
            ChatMessage("tool", "result"),
        ],
    )
    assert prompt.text == "the second one"
    assert len(prompt.token_ids) == 9


async def test_echo_refuses_other_models() -> None:
    engine = await serving()
    with pytest.raises(EngineError, match="gpt"):
        await engine.assemble("gpt", [])
