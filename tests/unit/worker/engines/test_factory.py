import pytest
from pydantic import SecretStr

from tests.unit.worker.settings_samples import SETTINGS
from worker.engines.echo.engine import EchoPace
from worker.engines.factory import create_engine
from worker.engines.openai.upstream import Upstream
from worker.engines.protocol import EngineError
from worker.engines.vllm.model import MODEL_ARGUMENTS, VllmModel


@pytest.mark.parametrize(
    ("name", "model"), [("echo", "echo"), ("smollm2", "smollm2-135m-instruct")]
)
def test_factory_creates_an_engine_by_name_without_loading_it(name: str, model: str) -> None:
    info = create_engine(name=name, slots=3, echo=EchoPace(ttft_s=1.0)).info()
    assert [served.id for served in info.models] == [model]
    assert info.slots == 3


def test_factory_names_the_echo_model() -> None:
    info = create_engine(name="echo", slots=3, echo_model="other").info()
    assert [served.id for served in info.models] == ["other"]


def test_factory_lists_the_engines_for_an_unknown_name() -> None:
    with pytest.raises(EngineError, match="'vlm': use echo, smollm2, vllm or openai"):
        create_engine(name="vlm", slots=1)


def test_factory_says_what_vllm_without_a_model_needs() -> None:
    with pytest.raises(EngineError, match="AXON_MODEL_NAME and AXON_MODEL_URI"):
        create_engine(name="vllm", slots=1)


def test_factory_says_what_openai_without_an_upstream_needs() -> None:
    with pytest.raises(EngineError, match="AXON_UPSTREAM_URL"):
        create_engine(name="openai", slots=1)


def test_upstream_is_read_from_the_settings() -> None:
    assert Upstream.of(SETTINGS) is None
    named = {
        "upstream_url": "http://127.0.0.1:1/v1", "upstream_api_key": SecretStr("secret\n"),
        "upstream_models": ("a",), "upstream_kind": "vllm", "upstream_retries": 0,
    }  # fmt: skip
    upstream = Upstream.of(SETTINGS.model_copy(update=named))
    assert upstream == Upstream(
        url="http://127.0.0.1:1/v1", api_key="secret", models=("a",), kind="vllm", retries=0
    )
    assert "secret" not in repr(upstream)
    assert upstream is not None
    assert upstream.root == "http://127.0.0.1:1"
    assert create_engine(name="openai", slots=3, upstream=upstream).info().slots == 3


def test_vllm_model_is_read_from_the_settings() -> None:
    named = {"model_name": "llama", "model_uri": "s3://weights/llama"}
    assert VllmModel.of(SETTINGS) is None
    for missing in named:
        assert VllmModel.of(SETTINGS.model_copy(update=named | {missing: None})) is None
    more = {
        "tensor_parallel_size": 4,
        "quantization": "fp8",
        "lora_adapters": {"pirate": "s3://weights/pirate"},
        "vllm_arguments": {"enforce_eager": True},
    }
    model = VllmModel.of(SETTINGS.model_copy(update=named | more))
    assert model is not None
    assert (model.name, model.uri) == ("llama", "s3://weights/llama")
    assert model.arguments["tensor_parallel_size"] == 4
    assert model.arguments["quantization"] == "fp8"
    assert model.adapters == {"pirate": "s3://weights/pirate"}
    assert model.more_arguments == {"enforce_eager": True}


def test_vllm_model_leaves_unset_arguments_to_vllm() -> None:
    named = {"model_name": "llama", "model_uri": "s3://weights/llama"}
    model = VllmModel.of(SETTINGS.model_copy(update=named))
    assert model is not None
    assert {"max_model_len", "gpu_memory_utilization"}.isdisjoint(model.arguments)
    assert set(model.arguments) <= MODEL_ARGUMENTS
