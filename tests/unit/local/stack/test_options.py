from dataclasses import replace
from pathlib import Path

import pytest

from local.errors import LocalCloudError
from local.stack.options import Options
from local.stack.topology import ENGINES, Engine


def options(engine: str) -> Options:
    return Options(
        engine=engine, port=8000, data=Path("data"), workers=1, relays=1, ephemeral=False
    )


def test_options_accept_installed_engines() -> None:
    options("echo").check()
    options("smollm2").check()


def test_options_refuse_an_unknown_engine() -> None:
    with pytest.raises(LocalCloudError, match="no engine 'gpt'; there are echo, smollm2, vllm"):
        options("gpt").check()


def test_options_take_a_folder_for_vllm(tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match="--engine vllm and --model"):
        options("vllm").check()
    with pytest.raises(LocalCloudError, match="--engine vllm and --model"):
        replace(options("echo"), model=tmp_path).check()
    own = replace(options("vllm"), model=tmp_path)
    with pytest.raises(LocalCloudError, match=r"it has no config\.json"):
        own.check()
    (tmp_path / "config.json").write_text("{}")
    own.check()
    assert own.model_name == tmp_path.name


def test_options_refuse_a_missing_model(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Engine(model="lost", slots=1, needs=(("local", "*.gguf"),))
    monkeypatch.setitem(ENGINES, "lost", lost)
    with pytest.raises(LocalCloudError, match="is not installed; run `make setup`"):
        options("lost").check()
