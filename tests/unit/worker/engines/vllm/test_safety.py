import pytest

from tests.unit.worker.settings_samples import SETTINGS
from worker.engines.protocol import EngineError
from worker.engines.vllm.model import VllmModel
from worker.engines.vllm.safety import Trust

NAMED = {"model_name": "llama", "model_uri": "s3://weights/llama"}


def test_trust_is_only_in_data_by_default() -> None:
    model = VllmModel.of(SETTINGS.model_copy(update=NAMED))
    assert model is not None
    assert model.trust == Trust(code=False, pickles=False)
    assert model.trust.arguments({}) == {"load_format": "safetensors", "trust_remote_code": False}


def test_trust_is_the_operators() -> None:
    allowed = {"trust_remote_code": True, "allow_pickled_weights": True}
    model = VllmModel.of(SETTINGS.model_copy(update=NAMED | allowed))
    assert model is not None
    assert model.trust.arguments({}) == {"load_format": "auto", "trust_remote_code": True}
    assert model.trust.arguments({"load_format": "pt"})["load_format"] == "pt"


@pytest.mark.parametrize("load_format", ["auto", "pt", "npcache", "hf", "bitsandbytes"])
def test_trust_refuses_load_formats_that_take_pickles(load_format: str) -> None:
    with pytest.raises(EngineError, match="AXON_ALLOW_PICKLED_WEIGHTS"):
        Trust().arguments({"load_format": load_format})
    assert Trust().arguments({"load_format": "runai_streamer"})["load_format"] == "runai_streamer"
