from pathlib import Path

import pytest

from local.errors import LocalCloudError
from local.stack.folders import Folders


def test_folders_refuse_a_file_in_their_place(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    folders = Folders(root=tmp_path / "data", storage=tmp_path / "data")
    with pytest.raises(LocalCloudError, match="cannot make"):
        folders.make()


def test_folders_are_closed_to_other_users_also_when_they_exist(tmp_path: Path) -> None:
    (tmp_path / "data" / "run").mkdir(parents=True)
    for folder in (tmp_path / "data", tmp_path / "data" / "run"):
        folder.chmod(0o755)
    folders = Folders(root=tmp_path / "data", storage=tmp_path / "storage")
    folders.make()
    for folder in (folders.root, folders.run, folders.log, folders.storage):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_folders_refuse_one_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner could read and replace what is written there, whatever its mode."""
    folders = Folders(root=tmp_path / "data", storage=tmp_path / "data")
    folders.make()
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(LocalCloudError, match=r"data belongs to another user.*--data"):
        folders.make()


def test_folders_refuse_one_that_all_users_share(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o1777)
    folders = Folders(root=tmp_path / "data", storage=tmp_path / "data")
    with pytest.raises(LocalCloudError, match=r"shared with other users.*--data"):
        folders.make()
    assert (tmp_path / "data").stat().st_mode & 0o1777 == 0o1777
