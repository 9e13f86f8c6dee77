"""The container images as far as they can be checked without building them."""

import json
import os
import re
import shutil
import subprocess
import time
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from axon.settings import FrontSettings, RelaySettings, WorkerSettings
from local.services.valkey import Valkey
from tests.conftest import Servers
from tests.infra.support.dockerfile import ROOT, Dockerfile
from tests.infra.support.image_harness import run, started, unpack

RELAY = "relay_container/Dockerfile"
CPU = "inference_container/Dockerfile.cpu"
GPU = "inference_container/Dockerfile"
FRONT = "front_container/Dockerfile"
IMAGES = [RELAY, FRONT, CPU, GPU]
SLIM = [RELAY, FRONT, CPU]
# The interpreter of vLLM's image, from its own Dockerfile (PYTHON_VERSION).
VLLM_PYTHON = "3.12"

UV = next(
    str(path)
    for path in (ROOT / ".tools" / "bin" / "uv", Path(shutil.which("uv") or "uv"))
    if path.is_file()
)


def uv(*arguments: str) -> str:
    environment = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(
        [UV, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def exported(dockerfile: Dockerfile, folder: Path) -> Path:
    """Run the Dockerfile's own `uv export`; return the file that it writes."""
    commands = "\n".join(command for stage in dockerfile.stages for command in stage.all("RUN"))
    (arguments,) = re.findall(r"uv export ([^&\n]*)", commands)
    target = folder / "requirements.txt"
    uv("export", "--quiet", *arguments.replace("requirements.txt", str(target)).split())
    return target


def names_in(requirements: Path) -> set[str]:
    lines = requirements.read_text().splitlines()
    return {line.split("==")[0].split("[")[0] for line in lines if re.match(r"[A-Za-z0-9]", line)}


@pytest.mark.parametrize("name", IMAGES)
def test_dockerfile_copies_only_what_the_build_context_has(name: str) -> None:
    dockerfile = Dockerfile.read(name)
    sources = [source for stage in dockerfile.stages for source, _ in stage.copies]
    assert len(sources) >= 4
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not dockerfile.ignored(source), f"{source} is not in the build context"
    for path in ("tests", "cli", ".git", ".venv", "layers/shared/python/axon/__pycache__"):
        assert dockerfile.ignored(path), f"{path} would change the image's digest"


@pytest.mark.parametrize("name", IMAGES)
def test_dockerfile_pins_base_images_to_a_version(name: str) -> None:
    for stage in Dockerfile.read(name).stages:
        assert re.search(r":v?\d+\.\d+\.\d+", stage.image), stage.image


@pytest.mark.parametrize("name", IMAGES)
def test_image_runs_unprivileged_with_one_writable_folder(name: str) -> None:
    image = Dockerfile.read(name).image
    assert image.all("USER") == ["10001:10001"]
    assert json.loads(image.all("VOLUME")[0]) == ["/scratch"]
    assert image.environment["TMPDIR"] == image.environment["HOME"] == "/scratch"


@pytest.mark.parametrize("name", SLIM)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_image_packages_resolve_to_wheels_from_the_lock(
    name: str, machine: str, tmp_path: Path
) -> None:
    dockerfile = Dockerfile.read(name)
    install = next(
        command
        for stage in dockerfile.stages
        for command in stage.all("RUN")
        if "uv pip install" in command
    )
    (options,) = re.findall(r"uv pip install (.*?) --target /packages", install)
    options = options.replace("--compile-bytecode", "").replace("${machine}", machine)
    requirements = exported(dockerfile, tmp_path)
    answer = uv(
        "pip", "install", "--dry-run", *options.split(), "--target", str(tmp_path / "packages"),
        "--requirements", str(requirements),
    )  # fmt: skip
    assert "Would install" in answer
    assert ("+ openvino-genai==" in answer) == (name == CPU)
    assert "telemetry==" not in answer


def test_image_packages_of_the_gpu_fit_those_of_vllm(tmp_path: Path) -> None:
    """The pins of the lock and vLLM's own requirements have a common solution."""
    dockerfile = Dockerfile.read(GPU)
    (version,) = re.findall(r"vllm-openai:v([\d.]+)", dockerfile.image.image)
    # Without hashes: vLLM itself is not in the lock.
    pins = re.sub(r" *\\\n *--hash=\S+", "", exported(dockerfile, tmp_path).read_text())
    both = tmp_path / "both.txt"
    both.write_text(f"{pins}\nvllm=={version}\n")
    answer = uv(
        "pip", "compile", "--python-version", VLLM_PYTHON, "--python-platform",
        "x86_64-manylinux_2_28", "--no-header", str(both),
    )  # fmt: skip
    assert f"vllm=={version}" in answer


@pytest.mark.parametrize("name", IMAGES)
def test_image_interpreter_is_one_that_axon_supports(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = VLLM_PYTHON if name == GPU else Dockerfile.read(name).python
    assert SpecifierSet(project["requires-python"]).contains(f"{version}.0")


@pytest.fixture(params=IMAGES)
def unpacked(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Dockerfile, Path]:
    return unpack(request.param, tmp_path), tmp_path


def test_image_entrypoint_starts_and_asks_for_its_settings(
    unpacked: tuple[Dockerfile, Path],
) -> None:
    dockerfile, folder = unpacked
    done = run(folder, dockerfile.image.command("ENTRYPOINT"))
    assert done.returncode != 0
    assert "AXON_VALKEY_URL: Field required" in done.stderr
    assert "Traceback" not in done.stderr


def test_image_of_the_relay_starts_and_answers_its_health_check(
    tmp_path: Path, valkey_server: Valkey, servers: Servers
) -> None:
    image = unpack(RELAY, tmp_path).image
    health = servers.ports.reserve()
    environ = {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": "eu-central-1",
        "AXON_VALKEY_URL": valkey_server.url,
        "AXON_CONNECTIONS_ENDPOINT": "http://127.0.0.1:1/responses",
        "AXON_HISTORY_QUEUE_URL": "http://127.0.0.1:1/queue",
        "AXON_HEALTH_PORT": str(health),
    }
    probe = [*image.command("HEALTHCHECK")[:-1], str(health)]
    with started(tmp_path, image.command("ENTRYPOINT"), environ) as relay:
        deadline = time.monotonic() + 30
        while run(tmp_path, probe).returncode != 0:
            assert relay.poll() is None, "the relay ended"
            assert time.monotonic() < deadline, "the health check is never answered"
            time.sleep(0.1)
        relay.terminate()
        assert relay.wait(timeout=30) == 0


# Imports every module of the packages named, but for the prefixes left out; what the image does not
# install cannot be imported.
IMPORT_ALL = """
import importlib, importlib.abc, pkgutil, sys
absent, packages, left_out = sys.argv[1].split(","), sys.argv[2].split(","), sys.argv[3].split(",")
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"the image has no {name}", name=name)
sys.meta_path.insert(0, Absent())
for package in map(importlib.import_module, packages):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__") and not module.name.startswith(tuple(left_out)):
            importlib.import_module(module.name)
            print(module.name)
"""
ENGINES_ELSEWHERE = {
    RELAY: ["-"],
    FRONT: ["-"],
    CPU: ["worker.engines.vllm"],
    GPU: ["worker.engines.vllm", "worker.engines.openvino"],
}
OF_THE_BASE = {GPU: {"jinja2", "markupsafe"}}
"""Packages of the image below: PyTorch needs Jinja2, which needs the other."""


def test_image_modules_import_with_the_packages_of_the_image(
    unpacked: tuple[Dockerfile, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    dockerfile, folder = unpacked
    installed = names_in(exported(dockerfile, tmp_path_factory.mktemp("exported")))
    image = str(dockerfile.path.relative_to(ROOT))
    installed |= OF_THE_BASE.get(image, set())
    absent = [
        module
        for module, distributions in packages_distributions().items()
        if not installed & {name.lower().replace("_", "-") for name in distributions}
        and module not in ("axon", "front", "relay", "worker")
    ]
    assert {"pytest", "aws_cdk"} <= set(absent)
    assert not {"aiohttp", "redis", "psycopg", "pydantic", "uvloop"} & set(absent)
    package = dockerfile.image.command("ENTRYPOINT")[-1]
    left_out = ENGINES_ELSEWHERE[image]
    arguments = [",".join(absent), f"{package},axon.adapters", ",".join(left_out)]
    done = run(folder, ["python", "-c", IMPORT_ALL, *arguments])
    assert done.returncode == 0, done.stderr
    assert f"{package}.app" in done.stdout.split()


@pytest.mark.parametrize("name", IMAGES)
def test_image_health_check_uses_the_port_that_the_image_sets(name: str) -> None:
    image = Dockerfile.read(name).image
    assert image.command("HEALTHCHECK")[-1] == image.environment["AXON_HEALTH_PORT"]


@pytest.mark.parametrize("name", IMAGES)
def test_image_variables_are_valid_settings(name: str) -> None:
    variables = Dockerfile.read(name).image.environment | {
        "AXON_VALKEY_URL": "rediss://valkey:6379",
        "AXON_POSTGRES_DSN": "postgresql://axon_app@postgres/axon",
        "AXON_JOBS_QUEUE_URL": "https://sqs/jobs",
        "AXON_HISTORY_QUEUE_URL": "https://sqs/history.fifo",
        "AXON_CONNECTIONS_ENDPOINT": "https://api/responses",
    }
    if name == RELAY:
        assert RelaySettings.from_environ(variables).health_port == 9464
    elif name == FRONT:
        front = FrontSettings.from_environ(variables)
        assert (front.http_host, front.http_port) == ("0.0.0.0", 8080)
    else:
        engine = {CPU: "smollm2", GPU: "vllm"}[name]
        assert WorkerSettings.from_environ(variables).engine == engine
