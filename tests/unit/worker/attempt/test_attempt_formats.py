"""A format is checked before its request holds a slot; one that is refused ends its response."""

import asyncio

from tests.unit.worker.attempt.attempt_harness import AttemptHarness, attempt, text_of
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.engines.protocol import GenerateRequest, RefusedError

FORMAT = {"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}}


class CheckingEngine(ScriptedEngine):
    """Checks formats as long as `checked` is clear, then raises `refusal`."""

    def __init__(self, *, refusal: Exception | None = None) -> None:
        super().__init__(["a"])
        self.refusal = refusal
        self.checking = asyncio.Event()
        self.checked = asyncio.Event()

    async def prepare(self, request: GenerateRequest) -> None:
        if request.text_format is None:
            return
        self.checking.set()
        await self.checked.wait()
        if self.refusal is not None:
            raise self.refusal


async def test_attempt_fails_once_with_a_format_that_is_refused(harness: AttemptHarness) -> None:
    job = await harness.job(text=FORMAT)
    engine = CheckingEngine(refusal=RefusedError("'text.format' 'answer': it takes too long"))
    engine.checked.set()
    await attempt(job, harness.context(engine))
    error = (await harness.answered(job))[-1]["response"]["error"]
    assert error == {
        "code": "invalid_prompt",
        "message": "'text.format' 'answer': it takes too long",
    }
    assert engine.requests == []


async def test_attempt_holds_no_slot_while_its_format_is_checked(harness: AttemptHarness) -> None:
    engine = CheckingEngine()
    context = harness.context(engine)
    slow = [await harness.job(text=FORMAT) for _ in range(engine.info().slots)]
    quick = await harness.job()
    checking = [asyncio.create_task(attempt(job, context)) for job in slow]
    await engine.checking.wait()
    await attempt(quick, context)
    assert text_of(await harness.answered(quick)) == "a"
    assert len(engine.requests) == 1
    engine.checked.set()
    await asyncio.gather(*checking)
    for job in slow:
        assert text_of(await harness.answered(job)) == "a"
