import os
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from local.stack import cloud


def test_dev_makes_files_that_other_users_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(*_: Any) -> None:
        (tmp_path / "file").touch()

    monkeypatch.setattr(cloud, "run", write)
    before = os.umask(0o022)
    try:
        assert main(["dev", "--data", str(tmp_path)]) == 0
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
