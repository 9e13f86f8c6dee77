import os
from pathlib import Path

import pytest

from tests.unit.worker.settings_samples import SETTINGS
from worker.engines.private_cache import cache_folder, make_private
from worker.engines.protocol import EngineError
from worker.engines.vllm.model import VllmModel


def test_cache_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for given in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert cache_folder() == Path("/home/me/.cache/axon/models")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = VllmModel.of(SETTINGS.model_copy(update={"model_name": "m", "model_uri": "s3://b/m"}))
    assert model is not None
    assert model.cache == tmp_path / "axon" / "models"


def test_cache_is_closed_to_other_users(tmp_path: Path) -> None:
    folder = tmp_path / "axon" / "models"
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_cache_that_another_user_made_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(EngineError, match="replaced by another user; set XDG_CACHE_HOME"):
        make_private(tmp_path)


def test_cache_is_refused_where_all_may_write(tmp_path: Path) -> None:
    around = tmp_path / "around"
    around.mkdir()
    around.chmod(0o777)
    with pytest.raises(EngineError, match="replaced by another user"):
        make_private(around / "models")
    around.chmod(0o1777)
    make_private(around / "models")
    with pytest.raises(EngineError, match="shared with other users"):
        make_private(around)
    with pytest.raises(EngineError, match="cannot make the folder"):
        (tmp_path / "file").touch()
        make_private(tmp_path / "file" / "models")
