"""One request's failure does not affect others; an engine's health."""

import pytest

from tests.contract.worker.engines.echo_upstream_stub import Fault
from tests.contract.worker.engines.engine_samples import EngineCase, answer_of
from worker.engines.protocol import EngineDeadError, EngineError

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_engine_fails_one_request_without_the_others(case: EngineCase) -> None:
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
    ["echo", "openai", "openai-vllm", pytest.param("smollm2", marks=pytest.mark.model)],
    indirect=True,
)
async def test_engine_is_healthy_from_start_to_close(unstarted: EngineCase) -> None:
    await unstarted.lives()


@pytest.mark.parametrize("doomed", ["openai", "openai-vllm"], indirect=True)
async def test_engine_recovers_when_its_upstream_returns(doomed: EngineCase) -> None:
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
