"""The source of the token counts in a response's usage."""

import pytest

from axon.protocol.objects import Usage
from tests.unit.worker.attempt.attempt_harness import AttemptHarness, attempt
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.engines.protocol import FinishReason

COUNTED = Usage(input_tokens=7, output_tokens=9, cached_tokens=3)


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize("estimated", [True, False])
async def test_usage_is_the_engines_own_if_it_reports_one(
    harness: AttemptHarness, finish: FinishReason, estimated: bool
) -> None:
    engine = ScriptedEngine(["a", "b"], finish=finish, usage=COUNTED, estimated=estimated)
    job = await harness.job(input="one two three")
    await attempt(job, harness.context(engine))
    assert (await harness.answered(job))[-1]["response"]["usage"] == COUNTED.wire()


async def test_usage_is_empty_if_the_prompt_was_estimated(harness: AttemptHarness) -> None:
    job = await harness.job(input="one two three")
    await attempt(job, harness.context(ScriptedEngine(["a", "b"], estimated=True)))
    response = (await harness.answered(job))[-1]["response"]
    assert (response["status"], response["usage"]) == ("completed", None)
