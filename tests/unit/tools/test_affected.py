"""Tests that are chosen for a change."""

import subprocess
from pathlib import Path

import pytest

from tests.unit.tools.checkout import make_tree
from tools.affected import affected_tests, changed_files

FILES = {
    "layers/shared/python/axon/ids.py": "",
    "layers/shared/python/axon/jobs.py": "import axon.ids\n",
    "layers/shared/python/axon/lua/append.lua": "",
    "functions/respond/handler.py": "",
    "functions/respond/messages.json": "",
    "tests/unit/axon/test_ids.py": "import axon.ids\n",
    "tests/unit/axon/test_jobs.py": "from tests.unit.axon.samples import job\n",
    "tests/unit/axon/samples.py": "import axon.jobs\n",
    "tests/unit/relay/conftest.py": "import axon.jobs\n",
    "tests/unit/relay/test_relay.py": "",
    "tests/unit/functions/test_settings.py": "",
    "tests/unit/repository/test_language.py": "",
    "tests/integration/test_queue.py": "import axon.jobs\n",
}
JOBS = {"axon/test_jobs", "relay/test_relay"}
EVERYTHING = {"axon/test_ids", *JOBS, "functions/test_settings"}


@pytest.mark.parametrize(
    ("changed", "chosen"),
    [
        ("layers/shared/python/axon/jobs.py", JOBS),
        ("layers/shared/python/axon/ids.py", {"axon/test_ids", *JOBS}),
        ("layers/shared/python/axon/lua/append.lua", {"axon/test_ids", *JOBS}),
        ("layers/shared/python/axon/deleted.py", {"axon/test_ids", *JOBS}),
        ("tests/unit/axon/samples.py", {"axon/test_jobs"}),
        ("tests/unit/axon/test_ids.py", {"axon/test_ids"}),
        ("tests/unit/relay/conftest.py", {"relay/test_relay"}),
        ("tests/integration/test_queue.py", set()),
        ("functions/respond/handler.py", {"functions/test_settings"}),
        ("functions/respond/messages.json", {"functions/test_settings"}),
        ("README.md", set()),
        ("pyproject.toml", EVERYTHING),
    ],
)
def test_affected_tests_follow_imports_conftests_and_data_files(
    tmp_path: Path, changed: str, chosen: set[str]
) -> None:
    tests = affected_tests(make_tree(tmp_path, FILES), [Path(changed)])
    assert {str(path) for path in tests} == {
        f"tests/unit/{name}.py" for name in {*chosen, "repository/test_language"}
    }


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit, whose files are FILES."""
    make_tree(tmp_path, FILES)
    _git(tmp_path, "init", "--quiet", "--initial-branch=main")
    _git(tmp_path, "config", "user.name", "Test")
    _git(tmp_path, "config", "user.email", "test@example.invalid")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message=First")
    return tmp_path


def test_changed_files_are_those_edited_deleted_and_new(repository: Path) -> None:
    (repository / "layers/shared/python/axon/ids.py").write_text("ID = 1\n")
    (repository / "tests/unit/axon/samples.py").unlink()
    (repository / "new.py").touch()
    assert changed_files(repository) == {
        Path("layers/shared/python/axon/ids.py"),
        Path("tests/unit/axon/samples.py"),
        Path("new.py"),
    }


def test_changed_files_start_where_the_branch_left_origin(repository: Path) -> None:
    _git(repository, "update-ref", "refs/remotes/origin/main", "HEAD")
    (repository / "new.py").touch()
    _git(repository, "add", ".")
    _git(repository, "commit", "--quiet", "--message=Second")
    assert changed_files(repository) == {Path("new.py")}
    assert changed_files(repository, "HEAD") == set()


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)
