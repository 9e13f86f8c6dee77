from pathlib import Path

import pytest

from tests.unit.worker.settings_samples import SETTINGS
from worker.engines.protocol import EngineError
from worker.engines.vllm.model import VllmModel
from worker.engines.vllm.safety import Trust
from worker.engines.vllm.weights import model_folder

NAMED = {"model_name": "llama", "model_uri": "s3://weights/llama"}


def test_trust_is_only_in_data_by_default() -> None:
    model = VllmModel.of(SETTINGS.model_copy(update=NAMED))
    assert model is not None
    assert model.trust == Trust(code=False, pickles=False, unverified=False)
    assert model.trust.arguments({}) == {"load_format": "safetensors", "trust_remote_code": False}


def test_trust_is_the_operators() -> None:
    names = ("trust_remote_code", "allow_pickled_weights", "allow_unverified_weights")
    allowed = dict.fromkeys(names, True)
    model = VllmModel.of(SETTINGS.model_copy(update=NAMED | allowed))
    assert model is not None
    assert model.trust == Trust(code=True, pickles=True, unverified=True)
    assert model.trust.arguments({}) == {"load_format": "auto", "trust_remote_code": True}
    assert model.trust.arguments({"load_format": "pt"})["load_format"] == "pt"


@pytest.mark.parametrize("load_format", ["auto", "pt", "npcache", "hf", "bitsandbytes"])
def test_trust_refuses_load_formats_that_take_pickles(load_format: str) -> None:
    with pytest.raises(EngineError, match="AXON_ALLOW_PICKLED_WEIGHTS"):
        Trust().arguments({"load_format": load_format})
    assert Trust().arguments({"load_format": "runai_streamer"})["load_format"] == "runai_streamer"


def test_trust_asks_for_no_weights_that_are_made_up(tmp_path: Path) -> None:
    """`load_format: dummy` fills a model with random numbers, to measure it."""
    (tmp_path / "config.json").write_text("{}")
    named = NAMED | {"model_uri": str(tmp_path)}
    for arguments, weights in (({"load_format": "dummy"}, None), ({}, "*.safetensors")):
        model = VllmModel.of(SETTINGS.model_copy(update=named | {"vllm_arguments": arguments}))
        assert model is not None
        assert model.weights == weights
    assert model_folder(str(tmp_path), cache=tmp_path, weights=None) == tmp_path
