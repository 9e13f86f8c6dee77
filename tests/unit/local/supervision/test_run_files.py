import os
from pathlib import Path

import pytest

from local.errors import LocalCloudError
from local.supervision.run_files import RunFiles, claimed


@pytest.fixture
def files(tmp_path: Path) -> RunFiles:
    files = RunFiles(run=tmp_path / "data" / "run", log=tmp_path / "data" / "log")
    for folder in (files.run, files.log):
        folder.mkdir(parents=True)
    return files


def test_run_files_are_claimed_by_one_supervisor_at_a_time(files: RunFiles) -> None:
    with claimed(files):
        with (
            pytest.raises(
                LocalCloudError, match=rf"in use by another .* \(process {os.getpid()}\)"
            ),
            claimed(files),
        ):
            pass
        assert files.pid_file("supervisor").read_text() == str(os.getpid())
    with claimed(files):
        pass


def test_run_files_of_an_ended_run_are_removed_but_the_lock(files: RunFiles) -> None:
    with claimed(files):
        files.pid_file("worker-0").write_text("1")
        (files.run / "endpoints.json").touch()
    assert [path.name for path in files.run.iterdir()] == ["lock"]


def test_run_files_of_a_killed_run_are_removed_by_the_next(files: RunFiles) -> None:
    files.pid_file("worker-0").write_text("999999999")
    (files.run / "endpoints.json").touch()
    with claimed(files):
        assert [path.name for path in files.run.glob("*.*")] == ["supervisor.pid"]
