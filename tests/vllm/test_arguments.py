"""Names that Axon gives are names that vLLM has."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.contract.worker.engines.engine_samples import NEEDS_VLLM
from tests.vllm.on_cpu import ON_CPU, tiny_model
from worker.engines.protocol import EngineError
from worker.engines.vllm.engine import VllmEngine
from worker.engines.vllm.model import MODEL_ARGUMENTS, VllmModel, engine_arguments

pytestmark = NEEDS_VLLM


def engine(tmp_path: Path, **changes: Any) -> VllmEngine:
    """An engine that cannot start."""
    named: dict[str, Any] = {
        "name": "tiny",
        "uri": str(tiny_model()),
        "arguments": ON_CPU,
        "cache": tmp_path,
    }
    return VllmEngine(slots=1, model=VllmModel(**(named | changes)))


def test_engine_arguments_have_the_settings_names() -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs

    assert len(MODEL_ARGUMENTS) > 10
    assert {each.name for each in fields(AsyncEngineArgs)} >= MODEL_ARGUMENTS


def test_engine_arguments_reach_vllm() -> None:
    model = VllmModel(
        name="tiny",
        uri=str(tiny_model()),
        arguments={"pipeline_parallel_size": 2, "max_num_batched_tokens": 4096},
        more_arguments={"seed": 5},
    )
    made = engine_arguments(model, folder=tiny_model(), slots=7)
    assert made.model == str(tiny_model())
    assert made.served_model_name == "tiny"
    assert made.max_num_seqs == 7
    assert made.pipeline_parallel_size == 2
    assert made.max_num_batched_tokens == 4096
    assert made.seed == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("max_modl_len", "vLLM has no engine argument 'max_modl_len'"),
        ("dtype", "'dtype' is what AXON_DTYPE sets"),
        ("model", "'model' is what AXON_MODEL_URI sets"),
    ],
)
async def test_vllm_names_an_invalid_argument(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(EngineError, match=f"AXON_VLLM_ARGUMENTS: {message}"):
        await engine(tmp_path, more_arguments={name: 1}).start()


async def test_vllm_names_a_missing_adapter(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no adapter_config\.json"):
        await engine(tmp_path, adapters={"pirate": str(tiny_model())}).start()
