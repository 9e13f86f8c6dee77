"""npm packages of an installed wheel; the real npm installs them in `tests/e2e/test_wheel.py`."""

import json
from pathlib import Path

import pytest

from local.errors import LocalCloudError
from local.services import npm_packages
from local.services.npm_packages import node_modules, require_packages


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a wheel's npm files: a package without dependencies."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    package = {"name": "axon", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {}}}
    for name in npm_packages.FILES:
        (bundle / name).write_text(json.dumps(package))
    monkeypatch.setattr(npm_packages, "CHECKOUT", None)
    monkeypatch.setattr(npm_packages, "NPM", bundle)
    return bundle


def test_packages_of_a_checkout_are_required_in_its_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_packages(tmp_path)
    monkeypatch.setattr(npm_packages, "CHECKOUT", tmp_path)
    assert node_modules(tmp_path / "data") == tmp_path / "node_modules"
    with pytest.raises(LocalCloudError, match="node_modules/fauxqs is missing; run `make setup`"):
        require_packages(tmp_path)


def test_packages_of_a_wheel_are_installed_once_for_each_lock_file(
    bundle: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    require_packages(data)
    assert node_modules(data).parent == data / "npm"
    mark = data / "npm" / "mark"
    mark.touch()
    require_packages(data)
    assert mark.exists()
    lock = bundle / npm_packages.LOCK
    lock.write_text(lock.read_text() + "\n")
    require_packages(data)
    assert not mark.exists()
    assert [path.name for path in data.iterdir()] == ["npm"]


def test_packages_that_npm_cannot_install_are_an_error(bundle: Path, tmp_path: Path) -> None:
    (bundle / "package.json").write_text("{")
    with pytest.raises(LocalCloudError, match="fauxqs could not be installed from npm: "):
        require_packages(tmp_path / "data")
    assert not (tmp_path / "data" / "npm").exists()
