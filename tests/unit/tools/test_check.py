"""Commands that `make check` runs."""

from pathlib import Path

from tests.unit.tools.checkout import make_tree
from tools.check import UNIT_TESTS, chosen_tests, pytest_command


def test_pytest_command_runs_few_files_in_one_process() -> None:
    command = pytest_command([Path("tests/unit/test_a.py")])
    assert command[command.index("-n") + 1] == "0"
    assert command[-1] == "tests/unit/test_a.py"


def test_pytest_command_runs_many_files_and_whole_folders_in_two_processes() -> None:
    for tests in ([UNIT_TESTS], [Path(f"tests/unit/test_{name}.py") for name in "abcd"]):
        command = pytest_command(tests)
        assert command[command.index("-n") + 1] == "2"


def test_chosen_tests_for_all_is_the_folder_of_unit_tests(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a.py": ""})
    assert chosen_tests(tmp_path, "all", base=None) == [UNIT_TESTS]
