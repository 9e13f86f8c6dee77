"""Answers in other shapes than OpenAI's: their text, or one failure that names the field."""

import logging
import re
from typing import Any

import pytest

from axon.protocol.objects import Usage
from axon.serialization import dumps
from tests.contract.worker.engines.echo_upstream_stub import Fault
from tests.unit.worker.engines.openai.stream_samples import REQUEST, STOP, delta, stream_of
from tests.unit.worker.engines.openai.transport_stub import MODEL, Reply, stubbed
from tests.unit.worker.engines.openai.upstream_harness import ask, chunks_of, serving
from worker.engines.openai.chat_completions import ChatAnswer
from worker.engines.protocol import (
    BusyError,
    EngineError,
    TokenChunk,
    UnusableAnswerError,
)


async def answer_to(*replies: Reply, **settings: Any) -> tuple[list[TokenChunk], int]:
    """Return the chunks, and the number of replies that were asked for."""
    async with stubbed(**settings) as (engine, stub):
        stub.replies = [*replies]
        chunks = [chunk async for chunk in engine.generate(REQUEST)]
        return chunks, len(replies) - len(stub.replies)


async def failure_of(reply: Reply) -> EngineError:
    async with stubbed() as (engine, stub):
        stub.replies = [reply, stream_of(delta("again"), STOP)]
        with pytest.raises(EngineError) as caught:
            async for _ in engine.generate(REQUEST):
                pass
        assert len(stub.bodies) == 1, "no other generation"
        return caught.value


async def test_openai_engine_reads_usage_that_is_text() -> None:
    usage = {"usage": {"prompt_tokens": "12", "completion_tokens": "3"}, "choices": []}
    chunks, _ = await answer_to(stream_of(delta("a"), STOP, usage))
    assert chunks[-1].usage == Usage(input_tokens=12, output_tokens=3)


@pytest.mark.parametrize("usage", ["12 tokens", 12, {"completion_tokens": "many"}, [], {}])
async def test_openai_engine_reports_no_usage_that_it_cannot_read(usage: object) -> None:
    chunks, _ = await answer_to(stream_of(delta("a"), STOP, {"usage": usage}))
    assert [chunk.text for chunk in chunks] == ["a", ""]
    assert chunks[-1].usage is None


async def test_openai_engine_takes_the_streams_own_end_for_the_answers() -> None:
    chunks, asked = await answer_to(stream_of(delta("a")))
    assert ([chunk.text for chunk in chunks], chunks[-1].finish_reason) == (["a", ""], "stop")
    assert asked == 1


@pytest.mark.parametrize(
    "after",
    [
        b"data: {nope}\n\n",
        b"data: 5\n\n",
        b'data: {"choices": "none"}\n\n',
        b'data: {"error": {"message": "no", "code": 400}}\n\n',
        b'data: {"error": {"message": "no", "code": 503}}\n\n',
        b"data: \xff\xfe\n\n",
        b"<html>\n",
        b"data: " + b"x" * (2 << 20),
    ],
)
async def test_openai_engine_ends_a_complete_answer_whatever_follows_it(after: bytes) -> None:
    pieces = [b"data: " + dumps(event) + b"\n\n" for event in (delta("a"), STOP)]
    chunks, asked = await answer_to(Reply([*pieces, after]))
    assert ([chunk.text for chunk in chunks], chunks[-1].finish_reason) == (["a", ""], "stop")
    assert asked == 1


async def test_openai_engine_reports_missing_token_ids_although_the_answer_has_a_reason() -> None:
    async with serving(kind="vllm", faults=[Fault(after=0, reason="stop")]) as (engine, up):
        up.ids = False
        with pytest.raises(EngineError, match="tells no token ids"):
            await chunks_of(engine, "one")


@pytest.mark.parametrize("line", [b"x-trace: 1\n", b"message\n", b"<!-- ping -->\n", b"\xff\n"])
async def test_openai_engine_ignores_an_unknown_field_of_a_stream(line: bytes) -> None:
    events = [b"data: " + dumps(event) + b"\n\n" for event in (delta("a"), delta("b"))]
    chunks, asked = await answer_to(Reply([line, *events, line, b"data: [DONE]\n\n", line]))
    assert ("".join(chunk.text for chunk in chunks), asked) == ("ab", 1)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (
            stream_of(delta(5)),
            r"\[0\].delta.content must be text or a list of parts, not a number",
        ),
        (
            stream_of(delta([{"type": "image_url"}])),
            r"content\[0\].text must be text, not null",
        ),
        (stream_of({"choices": "none"}), "choices must be a list, not text"),
        (stream_of({"choices": [5]}), r"choices\[0\] must be an object, not a number"),
        (stream_of({"choices": [{"finish_reason": "surprise"}]}), "unknown reason 'surprise'"),
        (stream_of(), "finish_reason is missing"),
        (Reply([b"data: {nope}\n\n"]), "an event is no JSON"),
        (Reply([b"<html>"], headers={"Content-Type": "text/html"}), r"no stream .*text/html"),
    ],
)
async def test_openai_engine_names_the_model_and_the_field_that_it_cannot_read(
    reply: Reply, told: str
) -> None:
    error = await failure_of(reply)
    assert isinstance(error, UnusableAnswerError)
    assert f"upstream model '{MODEL}'" in str(error)
    assert re.search(told, str(error))


async def test_openai_engine_fails_once_when_reading_raises_what_nobody_foresaw(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def take(self: ChatAnswer, event: dict[str, Any]) -> TokenChunk | None:
        raise KeyError(f"secret text of {event}")

    monkeypatch.setattr(ChatAnswer, "take", take)
    with caplog.at_level(logging.DEBUG):
        error = await failure_of(stream_of(delta("secret text")))
    assert isinstance(error, UnusableAnswerError)
    assert f"'{MODEL}' cannot be read: an event raised KeyError" in str(error)
    assert "KeyError in take" in caplog.text
    assert "secret text" not in caplog.text


@pytest.mark.parametrize("code", [429, "429", "rate_limit_exceeded", 503])
async def test_openai_engine_is_busy_when_the_stream_says_so(code: object) -> None:
    reply = stream_of({"error": {"message": "later", "code": code}})
    async with stubbed(retries=0) as (engine, stub):
        stub.replies = [reply]
        with pytest.raises(BusyError, match="later"):
            await anext(engine.generate(REQUEST))


async def test_openai_engine_leaves_a_long_wait_for_a_busy_upstream_to_the_queue() -> None:
    error = await failure_of(Reply([b"later"], status=429, headers={"Retry-After": "30"}))
    assert isinstance(error, BusyError)
    assert error.retry_after_s == 30


async def test_openai_engine_is_busy_when_the_upstream_cannot_render_a_prompt_now() -> None:
    async with serving(kind="vllm") as (engine, up):
        up.busy_s = 7
        with pytest.raises(BusyError) as caught:
            await ask(engine, "hi")
        assert caught.value.retry_after_s == 7
        up.busy_s = 0
        await ask(engine, "hi")


async def test_openai_engine_logs_no_words_of_an_upstream_that_may_quote_the_prompt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    quoting = Reply([b'{"error": {"message": "cannot answer: secret prompt"}}'], status=500)
    with caplog.at_level(logging.DEBUG):
        chunks, asked = await answer_to(quoting, stream_of(delta("a"), STOP))
    assert ([chunk.text for chunk in chunks], asked) == (["a", ""], 2)
    assert "HTTP 500. Asking again" in caplog.text
    assert "secret" not in caplog.text
