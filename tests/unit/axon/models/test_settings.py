import pytest

from axon.models.settings import FIELDS, engine_settings, packed, unpacked

SETTINGS = {"engine": "vllm", "model_uri": "/models/llama", "lora_adapters": {}}


@pytest.mark.parametrize("in_place", [True, False])
def test_packed_settings_keep_in_place(in_place: bool) -> None:
    kept = packed(SETTINGS, in_place=in_place)
    assert unpacked(kept) == (SETTINGS, in_place)
    engine_settings("llama", unpacked(kept)[0])


def test_unpacked_settings_are_not_in_place_by_default() -> None:
    assert unpacked(SETTINGS) == (SETTINGS, False)


def test_packed_and_unpacked_leave_their_argument_unchanged() -> None:
    kept = packed(SETTINGS, in_place=True)
    unpacked(kept)
    assert kept == SETTINGS | {"in_place": True}
    assert "in_place" not in SETTINGS


def test_engine_settings_refuse_in_place() -> None:
    assert "in_place" not in FIELDS


def test_engine_settings_have_the_models_name() -> None:
    settings = engine_settings("llama", SETTINGS | {"slots": 4})
    assert (settings.model_name, settings.model_uri, settings.slots) == (
        "llama",
        "/models/llama",
        4,
    )
