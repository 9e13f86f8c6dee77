"""Whatever an upstream streams ends in the right text, or in one failure that says what is wrong.

``AXON_FUZZ_STREAMS=1000000`` runs more of them, ``AXON_FUZZ_SEED`` others.
"""

import asyncio
import os
from random import Random

from tests.unit.worker.engines.openai.stream_fuzz import Stream, stream
from tests.unit.worker.engines.openai.transport_stub import MODEL, Reply, stubbed
from worker.engines.openai.engine import OpenAiEngine
from worker.engines.protocol import (
    EngineError,
    GenerateRequest,
    Prompt,
    Sampling,
    UnusableAnswerError,
)

STREAMS = int(os.environ.get("AXON_FUZZ_STREAMS", "3000"))
SEED = int(os.environ.get("AXON_FUZZ_SEED", "12"))
REQUEST = GenerateRequest("r", MODEL, Prompt((0,), "[]", estimated=True), Sampling(100_000))


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
    elif made.kind != "torn":
        assert isinstance(failure, UnusableAnswerError)
        assert f"'{MODEL}'" in str(failure)
        assert made.kind in str(failure)
        assert text == made.text


async def test_openai_engine_ends_each_stream_in_its_text_or_in_one_failure() -> None:
    async with stubbed(retries=0, context_window=1_000_000) as (engine, stub):
        for number in range(STREAMS):
            made = stream(Random(f"{SEED}-{number}"))
            stub.replies = [Reply(made.pieces)]
            try:
                check(made, *await answer_of(engine))
            except Exception as error:
                raise AssertionError(f"stream {SEED}-{number}: {made}") from error
            assert not stub.replies
            stub.bodies.clear()
            await asyncio.sleep(0)  # the loop drops its cancelled timers only when it runs
