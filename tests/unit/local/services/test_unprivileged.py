from collections.abc import Iterator
from pathlib import Path

import pytest

from local.errors import LocalCloudError
from local.services import unprivileged
from local.services.postgres import Postgres
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


def test_give_folder_closes_one_that_exists(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir(mode=0o755)
    give_folder(tmp_path / "postgres")
    assert (tmp_path / "postgres").stat().st_mode & 0o777 == 0o700


def test_postgres_gives_its_folder_again_after_the_one_above_was_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start closes the data folder, which user nobody must pass through."""
    postgres = Postgres(port=1, folder=tmp_path / "data" / "postgres", persistent=True)
    postgres.data.mkdir(parents=True)
    (tmp_path / "data").chmod(0o700)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.chown", lambda *_: None)
    monkeypatch.setattr(unprivileged, "NAMESPACE", ("false",))
    monkeypatch.setattr(unprivileged, "NOBODY", ("env",))
    postgres.program().prepare()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o711
