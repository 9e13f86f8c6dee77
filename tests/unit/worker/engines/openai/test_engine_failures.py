"""Failures of the upstream, and the answers that follow."""

import asyncio
from typing import Any

import pytest

from tests.contract.worker.engines.echo_upstream_stub import Fault
from tests.support.eventually import eventually
from tests.unit.worker.engines.openai.upstream_harness import (
    ask,
    chunks_of,
    generate,
    joined,
    serving,
)
from worker.engines.openai.engine import OpenAiEngine
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import (
    ContextOverflowError,
    EngineError,
    RefusedError,
    UnusableAnswerError,
)

KINDS = pytest.mark.parametrize("kind", ["openai", "vllm"])
ONCE = {"retries": 0}
TEXT = "one two three four five"


def told(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "BadRequestError"}}


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_openai_engine_passes_on_a_refusal_without_a_retry(status: int) -> None:
    async with serving(faults=[Fault(status=status, body=told("no such thing"))]) as (engine, up):
        with pytest.raises(RefusedError, match=r"^no such thing$"):
            await chunks_of(engine, TEXT)
        assert len(up.requests) == 1
        assert joined(await chunks_of(engine, TEXT)) == TEXT


@KINDS
async def test_openai_engine_reports_a_prompt_that_the_upstream_finds_too_long(kind: str) -> None:
    body = told("This model's maximum context length is 32768 tokens. However, ...")
    async with serving(kind=kind, faults=[Fault(status=400, body=body)]) as (engine, _):
        with pytest.raises(ContextOverflowError, match="context window of 'echo'"):
            await chunks_of(engine, TEXT)


@pytest.mark.parametrize("status", [401, 403])
async def test_openai_engine_names_the_setting_of_a_refused_key(status: int) -> None:
    async with serving(faults=[Fault(status=status, body=told("bad key"))]) as (engine, up):
        with pytest.raises(EngineError, match="AXON_UPSTREAM_API_KEY") as caught:
            await chunks_of(engine, TEXT)
        assert not isinstance(caught.value, RefusedError)
        assert len(up.requests) == 1


async def test_openai_engine_sends_the_key() -> None:
    async with serving(key="secret", settings={"api_key": "secret"}) as (engine, _):
        assert joined(await chunks_of(engine, TEXT)) == TEXT
    with pytest.raises(EngineError, match="AXON_UPSTREAM_API_KEY"):
        async with serving(key="secret", settings={"api_key": "other"}):
            pass


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_openai_engine_retries_a_busy_upstream(status: int) -> None:
    faults = [Fault(status=status, body=told("busy"))] * 2
    async with serving(faults=faults) as (engine, up):
        assert joined(await chunks_of(engine, TEXT)) == TEXT
        assert len(up.requests) == 3


async def test_openai_engine_fails_after_its_retries() -> None:
    faults = [Fault(status=503, body=told("busy"))] * 3
    async with serving(faults=faults, slots=1) as (engine, up):
        with pytest.raises(EngineError, match="HTTP 503: busy") as caught:
            await chunks_of(engine, TEXT)
        assert not isinstance(caught.value, RefusedError)
        assert len(up.requests) == 3
        assert joined(await chunks_of(engine, TEXT)) == TEXT


async def test_openai_engine_waits_for_retry_after() -> None:
    faults = [Fault(status=429, headers={"Retry-After": "0.5"}, body=told("slow down"))]
    async with serving(faults=faults) as (engine, _):
        loop = asyncio.get_running_loop()
        began = loop.time()
        await chunks_of(engine, TEXT)
        assert loop.time() - began >= 0.5


async def test_openai_engine_fails_at_once_for_a_long_retry_after() -> None:
    faults = [Fault(status=429, headers={"Retry-After": "3600"}, body=told("come tomorrow"))]
    async with serving(faults=faults) as (engine, up):
        with pytest.raises(EngineError, match="come tomorrow"):
            await chunks_of(engine, TEXT)
        assert len(up.requests) == 1


async def test_openai_engine_ends_an_answer_that_pauses_would_keep_silent_for_too_long() -> None:
    faults = [Fault(status=429, headers={"Retry-After": "0.6"}, body=told("slow down"))] * 2
    async with serving(faults=faults, settings={"first_token_timeout_s": 1}) as (engine, up):
        with pytest.raises(EngineError, match="slow down"):
            await chunks_of(engine, TEXT)
        assert len(up.requests) == 2, "one pause fits the limit, two of them do not"


async def test_openai_engine_abort_ends_the_pause_before_a_retry(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = [Fault(status=429, headers={"Retry-After": "2"}, body=told("slow down"))]
    async with serving(faults=faults) as (engine, up):
        waiting = asyncio.ensure_future(chunks_of(engine, TEXT))
        await eventually(lambda: "Asking again" in caplog.text)
        await engine.abort("r")
        async with asyncio.timeout(10):
            assert await waiting == []
        assert len(up.requests) == 1


@KINDS
async def test_openai_engine_reconnects_after_a_failed_connection(kind: str) -> None:
    async with serving(kind=kind, faults=[Fault(then="cut")]) as (engine, up):
        assert joined(await chunks_of(engine, TEXT)) == TEXT
        assert len(up.requests) == 2


async def test_openai_engine_is_not_healthy_while_the_upstream_is_away() -> None:
    async with serving(settings=ONCE) as (engine, up):
        assert await engine.health()
        request = await ask(engine, TEXT)
        await up.stop()
        with pytest.raises(EngineError, match="AXON_UPSTREAM_URL"):
            await anext(generate(engine, request))
        assert not await engine.health()
        await up.start()
        assert await engine.health()
        assert joined(await chunks_of(engine, TEXT)) == TEXT


@KINDS
@pytest.mark.parametrize("then", ["cut", "error", "hang"])
@pytest.mark.parametrize("after", [1, 3, 5])
async def test_openai_engine_continues_a_broken_stream_without_repetition(
    kind: str, then: Any, after: int
) -> None:
    fault = Fault(after=after, then=then, body=told("out of memory"))
    settings = {"token_timeout_s": 0.3}
    async with serving(kind=kind, faults=[fault], settings=settings) as (engine, up):
        whole = await chunks_of(engine, TEXT, max_tokens=50)
        assert joined(whole) == TEXT
        assert whole[-1].finish_reason == "stop"
        assert len(up.requests) == 2
        up.requests.clear()
        assert [c.token_ids for c in await chunks_of(engine, TEXT) if c.text] == [
            c.token_ids for c in whole if c.text
        ]


@KINDS
@pytest.mark.parametrize("after", [0, 1, 5])
async def test_openai_engine_fails_once_where_the_upstream_ends_a_stream_without_a_reason(
    kind: str, after: int
) -> None:
    async with serving(kind=kind, faults=[Fault(after=after, then="end")]) as (engine, up):
        taken: list[str] = []
        with pytest.raises(UnusableAnswerError, match="the stream ended before choices"):
            async for chunk in engine.generate(await ask(engine, TEXT)):
                taken.append(chunk.text)
        assert "".join(taken) == " ".join(TEXT.split()[:after])
        assert len(up.requests) == 1


@KINDS
async def test_openai_engine_fails_when_streams_break_repeatedly(kind: str) -> None:
    async with serving(kind=kind, faults=[Fault(after=1, then="cut")] * 3) as (engine, up):
        taken: list[str] = []
        with pytest.raises(EngineError, match="broke"):
            async for chunk in engine.generate(await ask(engine, TEXT)):
                taken.append(chunk.text)
        assert "".join(taken) == "one two three"
        assert len(up.requests) == 3


@KINDS
async def test_openai_engine_makes_no_request_for_a_complete_answer(kind: str) -> None:
    async with serving(kind=kind, faults=[Fault(after=2, then="cut")]) as (engine, up):
        chunks = await chunks_of(engine, TEXT, max_tokens=2)
        assert joined(chunks) == "one two"
        assert chunks[-1].finish_reason == "length"
        assert len(up.requests) == 1


@pytest.mark.parametrize("then", ["mute", "hang"])
async def test_openai_engine_never_retries_an_upstream_that_does_not_begin(then: Any) -> None:
    settings = {"first_token_timeout_s": 0.1}
    async with serving(faults=[Fault(then=then)], settings=settings) as (engine, up):
        with pytest.raises(EngineError, match=r"nothing for 0\.1 s"):
            await chunks_of(engine, TEXT)
        assert len(up.requests) == 1
        await up.idle()


async def test_openai_engine_fails_when_the_upstream_stops_between_tokens() -> None:
    settings = {"token_timeout_s": 0.1, **ONCE}
    async with serving(faults=[Fault(after=2, then="hang")], settings=settings) as (engine, up):
        with pytest.raises(EngineError, match=r"nothing for 0\.1 s"):
            await chunks_of(engine, TEXT)
        await up.idle()


async def test_openai_engine_tolerates_a_slow_consumer() -> None:
    async with serving(settings={"token_timeout_s": 0.1, **ONCE}) as (engine, _):
        taken = []
        async for chunk in engine.generate(await ask(engine, TEXT)):
            taken.append(chunk.text)
            await asyncio.sleep(0.15)
        assert "".join(taken) == TEXT


async def test_openai_engine_refuses_an_answer_cut_by_a_content_filter() -> None:
    async with serving(faults=[Fault(reason="content_filter")]) as (engine, _):
        with pytest.raises(RefusedError, match="content filter"):
            await chunks_of(engine, TEXT)


async def test_openai_engine_does_not_start_without_its_upstream() -> None:
    async with serving() as (_, up):
        port = up.port
    engine = OpenAiEngine(slots=1, upstream=Upstream(url=f"http://127.0.0.1:{port}/v1"))
    with pytest.raises(EngineError, match="AXON_UPSTREAM_URL"):
        await engine.start()
    assert not await engine.health()
