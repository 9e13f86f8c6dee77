from pathlib import Path

import pytest

from local.errors import LocalCloudError
from local.stack.folders import Folders


def test_folders_refuse_a_file_in_their_place(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    folders = Folders(root=tmp_path / "data", storage=tmp_path / "data")
    with pytest.raises(LocalCloudError, match="cannot make"):
        folders.make()
