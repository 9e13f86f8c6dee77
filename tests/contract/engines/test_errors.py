"""What one request's failure is to others, and what an engine says of itself."""

import pytest

from tests.contract.engines.case import MODEL_MARKS, Case, answer_of
from tests.contract.engines.echo_upstream import Fault
from worker.engines.protocol import EngineDeadError, EngineError

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_request_that_fails_leaves_the_others_alone(case: Case) -> None:
    alone = await case.answer(case.long, max_tokens=60)
    running = case.generate(await case.request(case.long, max_tokens=60))
    chunks = [await anext(running)]
    for _ in range(case.slots + 1):
        with pytest.raises(EngineError) as failed:
            await case.chunks(case.failing(await case.request(case.brief)))
        assert not isinstance(failed.value, EngineDeadError)
        assert await case.engine.health()
    chunks += [chunk async for chunk in running]
    assert answer_of(chunks) == alone
    assert (await case.answer(case.brief)).reason == "stop"


@pytest.mark.parametrize(
    "unstarted",
    ["echo", "openai", "openai-vllm", pytest.param("smollm2", marks=MODEL_MARKS)],
    indirect=True,
)
async def test_is_healthy_from_its_start_to_its_end(unstarted: Case) -> None:
    await unstarted.lives()


@pytest.mark.parametrize("doomed", ["openai", "openai-vllm"], indirect=True)
async def test_an_upstream_that_goes_away_may_come_back(doomed: Case) -> None:
    assert doomed.upstream is not None
    doomed.upstream.faults.append(Fault(then="hang", after=2))
    running = doomed.generate(await doomed.request(doomed.long, max_tokens=900))
    await anext(running)
    late = await doomed.request(doomed.brief)
    await doomed.upstream.stop()
    for generation in (running, doomed.generate(late)):
        with pytest.raises(EngineError) as failed:
            while True:
                await anext(generation)
        assert not isinstance(failed.value, EngineDeadError)
        assert not await doomed.engine.health()
    await doomed.upstream.start()
    assert await doomed.engine.health()
    assert (await doomed.answer(doomed.brief)).reason == "stop"
