import subprocess
from pathlib import Path

import pytest

from benchmarks import environments


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    def uv(*arguments: str) -> None:
        made.append(arguments[0])
        (tmp_path / "bench" / "peer").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(environments, "_uv", uv)
    (tmp_path / "peer.txt").write_text("peer==1\n")
    return made


def ensure(folder: Path) -> Path:
    return environments.ensure("peer", requirements=folder, home=folder / "bench")


def test_environment_is_created_once_for_its_pins(tmp_path: Path, calls: list[str]) -> None:
    assert ensure(tmp_path) == tmp_path / "bench" / "peer" / "bin"
    ensure(tmp_path)
    assert calls == ["venv", "pip"]
    (tmp_path / "peer.txt").write_text("peer==2\n")
    ensure(tmp_path)
    assert calls == ["venv", "pip"] * 2


def test_environment_is_installed_again_after_a_failure(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    working = environments._uv

    def failing(*arguments: str) -> None:
        if arguments[0] == "pip":
            raise OSError("no network")
        working(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(environments, "_uv", failing)
        with pytest.raises(OSError, match="no network"):
            ensure(tmp_path)
    ensure(tmp_path)
    assert calls == ["venv", "venv", "pip"]


@pytest.mark.parametrize(
    ("name", "pin"),
    [
        ("litellm", "litellm==1.83.0"),
        ("vllm-router", "vllm-router==0.1.17"),
        ("agentic-api", "agentic-api==0.9.0"),
        ("smg", "smg==1.13.0"),
    ],
)
def test_environment_requirements_are_all_pinned(name: str, pin: str) -> None:
    folder = Path(environments.__file__).parent / "requirements"
    text = (folder / f"{name}.txt").read_text().replace("\\\n", "")
    pins = [line.split()[0] for line in text.splitlines() if not line.startswith("#")]
    assert pin in pins
    assert all("==" in each for each in pins)


def test_environment_takes_only_packages_with_a_known_hash(tmp_path: Path) -> None:
    (tmp_path / "peer.txt").write_text("peer==1\n")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        ensure(tmp_path)
    assert "--require-hashes" in caught.value.cmd
