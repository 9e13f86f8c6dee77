from typing import Any

import pytest

from axon.exceptions import SettingsError
from axon.models.settings import adapter_of, engine_settings

ADAPTER = {"adapter_of": "base", "model_uri": "s3://bucket/pirate"}


def test_lora_adapter_settings_name_base_and_place() -> None:
    assert adapter_of(ADAPTER) == "base"
    assert engine_settings("pirate", ADAPTER).model_uri == "s3://bucket/pirate"
    assert adapter_of({"engine": "echo"}) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adapter_of": "pirate"}, "adapter_of: must be the name of another model"),
        ({"adapter_of": ""}, "adapter_of"),
        ({"adapter_of": 7}, "adapter_of"),
        ({"model_uri": None}, "model_uri: must be said"),
        ({"slots": 3, "engine": "vllm"}, "engine, slots: an adapter has only"),
    ],
)
def test_lora_adapter_settings_name_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        engine_settings("pirate", ADAPTER | changes)
