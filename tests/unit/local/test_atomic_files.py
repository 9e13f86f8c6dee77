import json
from pathlib import Path

from local.atomic_files import replace_file, write_json


def test_write_json_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = write_json(tmp_path / "endpoints.json", {"password": "secret"})
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()) == {"password": "secret"}


def test_replace_file_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "worker-0.pid"
    path.write_text("a much longer text")
    path.chmod(0o644)
    replace_file(path, "1")
    assert path.read_text() == "1"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
