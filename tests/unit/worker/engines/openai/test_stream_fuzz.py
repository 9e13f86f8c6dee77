"""Whatever an upstream streams ends in the right text, or in one failure that says what is wrong.

``AXON_FUZZ_STREAMS=1000000`` runs more of them, ``AXON_FUZZ_SEED`` others.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from random import Random

import pytest

from tests.unit.worker.engines.openai.stream_fuzz import Stream, stream
from tests.unit.worker.engines.openai.transport_stub import MODEL, End, Reply, stubbed
from worker.engines.openai.engine import OpenAiEngine
from worker.engines.openai.errors import TransientError
from worker.engines.protocol import (
    EngineError,
    GenerateRequest,
    Prompt,
    Sampling,
    UnusableAnswerError,
)

STREAMS = int(os.environ.get("AXON_FUZZ_STREAMS", "3000"))
SEED = int(os.environ.get("AXON_FUZZ_SEED", "12"))
LIMIT_S = 3
"""Seconds for an answer, as time of the processor: a busy machine adds to any other."""
HANG_S = 60
GENERATIONS: Mapping[End, int] = {"framed": 1, "closed": 2, "cut": 3}
"""Requests for an answer that has no end, by the end of its body."""
SAID: Mapping[End, str] = {
    "framed": f"'{MODEL}' cannot be read: the stream ended before choices[0].finish_reason",
    "closed": f"'{MODEL}' cannot be read: the stream was ended twice by a closed connection",
    "cut": "The upstream's stream broke",
}
REQUEST = GenerateRequest(
    "r", MODEL, Prompt((0,), '{"messages":[]}', estimated=True), Sampling(100_000)
)


async def answer_of(engine: OpenAiEngine) -> tuple[str, str | None, EngineError | None]:
    """Return the text, the finish reason and the failure."""
    text, reason = [], None
    try:
        async for chunk in engine.generate(REQUEST):
            assert reason is None, "nothing follows the last chunk"
            text.append(chunk.text)
            reason = chunk.finish_reason
    except EngineError as error:
        return "".join(text), reason, error
    return "".join(text), reason, None


def check(made: Stream, text: str, reason: str | None, failure: EngineError | None) -> None:
    text.encode()
    assert (reason is None) == (failure is not None)
    if not made.broken:
        assert (text, reason) == (made.text, made.reason)
    elif made.kind == "unended":
        assert text == made.text * GENERATIONS[made.end], "what was streamed stays"
        assert isinstance(failure, UnusableAnswerError) or made.end == "cut"
        assert SAID[made.end] in str(failure)
    elif made.kind != "torn":
        assert isinstance(failure, UnusableAnswerError)
        assert f"'{MODEL}'" in str(failure)
        assert made.kind in str(failure)
        assert text == made.text


def check_generations(made: Stream, asked: int, failure: EngineError | None) -> None:
    """Check that an answer is paid for once, unless its body may have been broken.

    Torn bytes can make an event that reports an error of the server, which is retried as HTTP 500.
    """
    if made.kind == "unended":
        assert asked == GENERATIONS[made.end]
    elif made.kind == "torn":
        assert 1 <= asked <= (3 if isinstance(failure, TransientError) else GENERATIONS[made.end])
    else:
        assert asked == 1


async def test_openai_engine_ends_each_stream_in_its_text_or_in_one_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.engines.openai.engine._FIRST_PAUSE_S", 0)
    async with stubbed(context_window=1_000_000) as (engine, stub):
        for number in range(STREAMS):
            made = stream(Random(f"{SEED}-{number}"))
            stub.replies = [Reply(made.pieces, end=made.end) for _ in range(4)]
            try:
                began = time.process_time()
                async with asyncio.timeout(HANG_S):
                    text, reason, failure = await answer_of(engine)
                check(made, text, reason, failure)
                check_generations(made, len(stub.bodies), failure)
                assert time.process_time() - began < LIMIT_S
            except Exception as error:
                raise AssertionError(f"stream {SEED}-{number}: {made}") from error
            stub.bodies.clear()
            await asyncio.sleep(0)  # the loop drops its cancelled timers only when it runs
