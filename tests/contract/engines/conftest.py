from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tests.contract.engines.case import MODEL_MARKS, NEEDS_VLLM, Case
from tests.contract.engines.echo_upstream import echo_upstream
from tests.vllm.on_cpu import EVERYTHING, NO_BLANKS, tiny_adapters, tiny_model
from worker.engines.echo import EchoEngine, EchoPace
from worker.engines.factory import create_engine
from worker.engines.openai.upstream import Upstream
from worker.engines.vllm.model import VllmModel

SLOTS = 2
BRIEF = "What is the capital of France?"
# For engines that repeat or count, with a window of 32768.
COUNT = "count to 20000"
FAR = "word " * 40_000


def _case(name: str) -> Case:
    if name == "smollm2":
        return Case(
            engine=create_engine(name=name, slots=SLOTS),
            brief=BRIEF,
            long="Write a long story about the sea.",
            beyond="word " * 9000,
        )
    if name == "vllm":
        model = VllmModel(
            name="small",
            uri=str(tiny_model()),
            arguments=EVERYTHING,
            adapters=tiny_adapters(),
            more_arguments=NO_BLANKS,
        )
        return Case(
            engine=create_engine(name=name, slots=SLOTS, model=model),
            brief=BRIEF,
            long="Write a long story about the sea.",
            beyond="word " * 2000,
        )
    pace = EchoPace(ttft_s=0.002, token_s=0.001) if name == "echo-paced" else EchoPace()
    return Case(
        engine=EchoEngine(slots=SLOTS, pace=pace),
        brief=BRIEF,
        long=COUNT,
        beyond=FAR,
    )


@asynccontextmanager
async def _started(name: str) -> AsyncGenerator[Case]:
    if name.startswith("openai"):
        kind = "vllm" if name == "openai-vllm" else "openai"
        async with echo_upstream(kind=kind) as server:
            upstream = Upstream(url=server.url, context_window=server.window)
            engine = create_engine(name="openai", slots=SLOTS, upstream=upstream)
            async with _running(Case(engine=engine, brief=BRIEF, long=COUNT, beyond=FAR)) as case:
                yield case
    else:
        async with _running(_case(name)) as case:
            yield case


@asynccontextmanager
async def _running(case: Case) -> AsyncGenerator[Case]:
    await case.engine.start()
    try:
        yield case
    finally:
        await case.engine.close()


@pytest_asyncio.fixture(
    scope="session",
    loop_scope="session",
    params=[
        "echo",
        "echo-paced",
        "openai",
        "openai-vllm",
        pytest.param("smollm2", marks=MODEL_MARKS),
        pytest.param("vllm", marks=NEEDS_VLLM),
    ],
)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with _started(request.param) as case:
        yield case


@pytest_asyncio.fixture(loop_scope="session")
async def doomed(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """An engine of the test's own; the parameter names it."""
    async with _started(request.param) as case:
        yield case
