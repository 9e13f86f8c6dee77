from collections.abc import Iterator
from pathlib import Path

import pytest

from local.errors import LocalCloudError
from local.services import unprivileged
from local.services.unprivileged import command_prefix, give_folder


@pytest.fixture(autouse=True)
def _ask_anew() -> Iterator[None]:
    command_prefix.cache_clear()
    yield
    command_prefix.cache_clear()


def test_command_prefix_is_empty_for_another_user_than_root(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert command_prefix() == ()


def test_command_prefix_refuses_root_that_cannot_change_its_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(unprivileged, "NAMESPACE", ("false",))
    monkeypatch.setattr(unprivileged, "NOBODY", ("no-such-program",))
    with pytest.raises(LocalCloudError, match="does not run as root"):
        command_prefix()


def test_give_folder_refuses_a_folder_that_nobody_can_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.chown", lambda *_: None)
    monkeypatch.setattr(unprivileged, "NAMESPACE", ("false",))
    # Runs what it is given, and fails where the folder is tested.
    monkeypatch.setattr(unprivileged, "NOBODY", ("sh", "-c", '[ "$0" = true ]'))
    with pytest.raises(LocalCloudError, match=r"user nobody cannot reach .*--data"):
        give_folder(tmp_path / "postgres")
