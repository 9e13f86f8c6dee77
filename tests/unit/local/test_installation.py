"""The places of Axon's files in a checkout; `tests/e2e/test_wheel.py` has those of a wheel."""

from pathlib import Path

import pytest

import axon
from local import installation
from tests.support.repository import ROOT


def test_checkout_is_the_repository() -> None:
    assert installation.CHECKOUT == ROOT
    assert (installation.FUNCTIONS / "respond" / "handler.py").is_file()
    assert (installation.NPM / "package-lock.json").is_file()
    assert (ROOT / installation.COMMAND).is_file()


def test_setup_hint_names_make_in_a_checkout_and_the_extra_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert installation.setup_hint() == "run `make setup`"
    monkeypatch.setattr(installation, "CHECKOUT", None)
    assert installation.setup_hint("openvino") == "install axon[openvino]"


def test_parent_of_is_the_folder_that_a_package_is_imported_from() -> None:
    assert installation.parent_of("axon") == Path(axon.__file__).parents[1]
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        installation.parent_of("no_such_package")


def test_link_packages_replaces_links_of_an_earlier_run(tmp_path: Path) -> None:
    folder = tmp_path / "python"
    folder.mkdir()
    (folder / "axon").symlink_to(tmp_path / "gone")
    assert installation.link_packages(folder, "axon", "worker") == folder
    assert (folder / "axon").resolve() == Path(axon.__file__).parent
    assert (folder / "worker" / "__main__.py").is_file()
