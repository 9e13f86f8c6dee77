"""Whose count of tokens an answer tells."""

import pytest

from axon.protocol.objects import Usage
from tests.unit.worker.attempt.attempt_harness import Workplace, attempt
from tests.unit.worker.scripted_engine import ScriptedEngine
from worker.engines.protocol import FinishReason

COUNTED = Usage(input_tokens=7, output_tokens=9, cached_tokens=3)


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize("estimated", [True, False])
async def test_the_engines_own_comes_first(
    world: Workplace, finish: FinishReason, estimated: bool
) -> None:
    engine = ScriptedEngine(["a", "b"], finish=finish, usage=COUNTED, estimated=estimated)
    job = await world.job(input="one two three")
    await attempt(job, world.services(engine))
    assert (await world.answered(job))[-1]["response"]["usage"] == COUNTED.wire()


async def test_an_estimate_is_not_told_as_usage(world: Workplace) -> None:
    job = await world.job(input="one two three")
    await attempt(job, world.services(ScriptedEngine(["a", "b"], estimated=True)))
    response = (await world.answered(job))[-1]["response"]
    assert (response["status"], response["usage"]) == ("completed", None)
