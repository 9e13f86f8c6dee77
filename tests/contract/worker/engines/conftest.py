from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from tests.contract.worker.engines.echo_upstream_stub import Fault, echo_upstream
from tests.contract.worker.engines.engine_samples import (
    CHARACTERS,
    NEEDS_VLLM,
    EngineCase,
    with_an_impossible_penalty,
)
from tests.vllm.on_cpu import EVERYTHING, NO_BLANKS, tiny_adapters, tiny_model
from worker.engines.echo.engine import EchoEngine, EchoPace
from worker.engines.factory import create_engine
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import BusyError, GenerateRequest, Prompt, Sampling
from worker.engines.vllm.engine import VllmEngine
from worker.engines.vllm.model import VllmModel

SLOTS = 2
BRIEF = "What is the capital of France?"
# For engines that repeat or count, with a window of 32768.
COUNT = "count to 20000"
FAR = "word " * 40_000
OBJECT = {"type": "json_object"}


def _case(name: str) -> EngineCase:
    if name == "smollm2":
        return EngineCase(
            engine=create_engine(name=name, slots=SLOTS),
            brief=BRIEF,
            long="Write a long story about the sea.",
            beyond="word " * 9000,
            spell="Repeat after me: {}",
            spell_begun=True,
            slow=True,
            failing=with_an_impossible_penalty,
        )
    if name == "vllm":
        model = VllmModel(
            name="small",
            uri=str(tiny_model()),
            arguments=EVERYTHING,
            adapters=tiny_adapters(),
            more_arguments=NO_BLANKS,
        )
        return EngineCase(
            engine=create_engine(name=name, slots=SLOTS, model=model),
            brief=BRIEF,
            long="Write a long story about the sea.",
            beyond="word " * 2000,
            spell_format={"type": "json_schema", "name": "it", "schema": {"enum": [CHARACTERS]}},
            failing=with_an_impossible_penalty,
        )
    pace = EchoPace(ttft_s=0.002, token_s=0.001) if name == "echo-paced" else EchoPace()
    return EngineCase(
        engine=EchoEngine(slots=SLOTS, pace=pace),
        brief=BRIEF,
        long=COUNT,
        beyond=FAR,
    )


@asynccontextmanager
async def _unstarted(name: str) -> AsyncGenerator[EngineCase]:
    if not name.startswith("openai"):
        yield _case(name)
        return
    async with echo_upstream(kind="vllm" if name == "openai-vllm" else "openai") as server:

        def failing(request: GenerateRequest) -> GenerateRequest:
            server.faults.append(Fault(status=409, body={"error": {"message": "not now"}}))
            return request

        upstream = Upstream(url=server.url, context_window=server.window)
        yield EngineCase(
            engine=create_engine(name="openai", slots=SLOTS, upstream=upstream),
            brief=BRIEF,
            long=COUNT,
            beyond=FAR,
            failing=failing,
            upstream=server,
        )


@asynccontextmanager
async def _started(name: str) -> AsyncGenerator[EngineCase]:
    async with _unstarted(name) as case:
        await case.engine.start()
        try:
            if isinstance(case.engine, VllmEngine):
                await _until_formats_compile(case.engine)
            yield case
        finally:
            await case.engine.close()


async def _until_formats_compile(engine: VllmEngine) -> None:
    """Wait for vLLM's second process: a busy machine starts it in minutes."""
    request = GenerateRequest("r", "m", Prompt((), ""), Sampling(max_tokens=1), text_format=OBJECT)
    while True:
        with suppress(BusyError):
            await engine.prepare(request)
            return


@pytest_asyncio.fixture(
    scope="session",
    loop_scope="session",
    params=[
        "echo",
        "echo-paced",
        "openai",
        "openai-vllm",
        pytest.param("smollm2", marks=pytest.mark.model),
        pytest.param("vllm", marks=NEEDS_VLLM),
    ],
)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[EngineCase]:
    async with _started(request.param) as case:
        yield case


@pytest_asyncio.fixture(loop_scope="session")
async def doomed(request: pytest.FixtureRequest) -> AsyncIterator[EngineCase]:
    """An engine of the test's own; the parameter names it."""
    async with _started(request.param) as case:
        yield case


@pytest_asyncio.fixture(loop_scope="session")
async def unstarted(request: pytest.FixtureRequest) -> AsyncIterator[EngineCase]:
    """An engine that was not started; the parameter names it."""
    async with _unstarted(request.param) as case:
        yield case
        await case.engine.close()
