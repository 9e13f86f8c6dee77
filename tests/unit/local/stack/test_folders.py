import os
from pathlib import Path

import pytest

from local.errors import LocalCloudError
from local.stack.folders import Folders, claimed


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders(root=tmp_path / "data", storage=tmp_path / "data")
    folders.make()
    return folders


def test_only_one_may_claim_them(folders: Folders) -> None:
    with claimed(folders):
        with (
            pytest.raises(
                LocalCloudError, match=rf"in use by another .* \(process {os.getpid()}\)"
            ),
            claimed(folders),
        ):
            pass
        assert folders.pid_file("supervisor").read_text() == str(os.getpid())
    with claimed(folders):
        pass


def test_leaves_nothing_but_the_lock(folders: Folders) -> None:
    with claimed(folders):
        folders.pid_file("worker-0").write_text("1")
        (folders.run / "endpoints.json").touch()
    assert [path.name for path in folders.run.iterdir()] == ["lock"]


def test_forgets_what_a_killed_run_left(folders: Folders) -> None:
    folders.pid_file("worker-0").write_text("999999999")
    (folders.run / "endpoints.json").touch()
    with claimed(folders):
        assert [path.name for path in folders.run.glob("*.*")] == ["supervisor.pid"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    folders = Folders(root=tmp_path / "data", storage=tmp_path / "data")
    with pytest.raises(LocalCloudError, match="cannot make"):
        folders.make()
