import pytest

from tests.unit.worker.shipped import SETTINGS
from worker.engines.echo import EchoPace
from worker.engines.factory import create_engine
from worker.engines.protocol import EngineError
from worker.engines.vllm.engine import VllmModel


@pytest.mark.parametrize(
    ("name", "model"), [("echo", "echo"), ("smollm2", "smollm2-135m-instruct")]
)
def test_creates_by_name_without_loading_anything(name: str, model: str) -> None:
    info = create_engine(name=name, slots=3, echo=EchoPace(ttft_s=1.0)).info()
    assert [served.id for served in info.models] == [model]
    assert info.slots == 3


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(EngineError, match="'vlm': use echo, smollm2 or vllm"):
        create_engine(name="vlm", slots=1)


def test_vllm_without_a_model_says_what_to_set() -> None:
    with pytest.raises(EngineError, match="AXON_MODEL_NAME and AXON_MODEL_URI"):
        create_engine(name="vllm", slots=1)


def test_the_settings_name_vllms_model() -> None:
    named = {"model_name": "llama", "model_uri": "s3://weights/llama"}
    assert VllmModel.of(SETTINGS) is None
    for missing in named:
        assert VllmModel.of(SETTINGS.model_copy(update=named | {missing: None})) is None
    more = {"tensor_parallel_size": 4, "max_model_len": 8192}
    assert VllmModel.of(SETTINGS.model_copy(update=named | more)) == VllmModel(
        name="llama", uri="s3://weights/llama", tensor_parallel_size=4, max_model_len=8192
    )
