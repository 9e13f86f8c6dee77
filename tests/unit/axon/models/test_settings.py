import pytest

from axon.models.settings import FIELDS, engine_settings, packed, unpacked

SETTINGS = {"engine": "vllm", "model_uri": "/models/llama", "lora_adapters": {}}


@pytest.mark.parametrize("in_place", [True, False])
def test_in_place_is_kept_with_the_settings(in_place: bool) -> None:
    kept = packed(SETTINGS, in_place=in_place)
    assert unpacked(kept) == (SETTINGS, in_place)
    engine_settings("llama", unpacked(kept)[0])


def test_what_was_said_without_it_is_beside_the_old_one() -> None:
    assert unpacked(SETTINGS) == (SETTINGS, False)


def test_neither_changes_what_it_is_given() -> None:
    kept = packed(SETTINGS, in_place=True)
    unpacked(kept)
    assert kept == SETTINGS | {"in_place": True}
    assert "in_place" not in SETTINGS


def test_it_is_no_setting_of_an_engine() -> None:
    assert "in_place" not in FIELDS


def test_the_engine_is_told_the_models_name() -> None:
    settings = engine_settings("llama", SETTINGS | {"slots": 4})
    assert (settings.model_name, settings.model_uri, settings.slots) == (
        "llama",
        "/models/llama",
        4,
    )
