import pytest

from cli.errors import CommandError
from cli.extras import extra


def test_extra_is_named_when_a_package_is_missing() -> None:
    with pytest.raises(CommandError) as error, extra("local"):
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401
    assert str(error.value) == "the package no_such_package is not installed; install axon[local]"
    assert error.value.code == 2


def test_extra_lets_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), extra("local"):
        1 / 0  # noqa: B018
