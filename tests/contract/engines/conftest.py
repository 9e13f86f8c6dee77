import importlib.util
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.engines.case import MODEL_MARKS, Case
from worker.engines.echo import EchoEngine, EchoPace
from worker.engines.factory import create_engine
from worker.engines.vllm.engine import VllmModel

SLOTS = 2
# A folder with a small chat model, for an environment that has vLLM; the tests' own has not.
VLLM_MODEL = os.environ.get("AXON_TEST_VLLM_MODEL")
NEEDS_VLLM = pytest.mark.skipif(
    not VLLM_MODEL or importlib.util.find_spec("vllm") is None,
    reason="needs vLLM and AXON_TEST_VLLM_MODEL",
)


def _case(name: str) -> Case:
    if name == "smollm2":
        return Case(
            engine=create_engine(name=name, slots=SLOTS),
            brief="What is the capital of France?",
            long="Write a long story about the sea.",
            beyond="word " * 9000,
        )
    if name == "vllm":
        # For a CPU: small, exact in its cache, and nothing compiled.
        arguments = {
            "block_size": 32, "enforce_eager": True, "kv_cache_memory_bytes": 2**28,
            "dtype": "float32",
        }  # fmt: skip
        model = VllmModel(
            name="small", uri=VLLM_MODEL or "", max_model_len=1024, arguments=arguments
        )
        return Case(
            engine=create_engine(name=name, slots=SLOTS, model=model),
            brief="What is the capital of France?",
            long="Write a long story about the sea.",
            beyond="word " * 2000,
        )
    pace = EchoPace(ttft_s=0.002, token_s=0.001) if name == "echo-paced" else EchoPace()
    return Case(
        engine=EchoEngine(slots=SLOTS, pace=pace),
        brief="What is the capital of France?",
        long="count to 20000",
        beyond="word " * 40_000,
    )


@pytest_asyncio.fixture(
    scope="session",
    loop_scope="session",
    params=[
        "echo",
        "echo-paced",
        pytest.param("smollm2", marks=MODEL_MARKS),
        pytest.param("vllm", marks=NEEDS_VLLM),
    ],
)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    case = _case(request.param)
    await case.engine.start()
    yield case
    await case.engine.close()


@pytest_asyncio.fixture(loop_scope="session")
async def doomed(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """An engine of the test's own; the parameter names it."""
    case = _case(request.param)
    await case.engine.start()
    yield case
    await case.engine.close()
