"""The layers: wheels for the machine that Lambda is, all that the handlers import, no caches."""

import ast
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aws_cdk import App, Stack

from axon import catalog
from infra.constructs.functions.catalog_function import CERTIFICATES
from infra.constructs.functions.layers import Layers
from infra.constructs.functions.wheels import ROOT, Wheels, WheelsError
from infra.settings.environment import load
from tests.infra.conftest import Templates
from tests.infra.support.templates import resources

LAMBDAS_LIMIT = 250 * 1024 * 1024
AARCH64, X86_64 = 183, 62
"""`e_machine` of an ELF file."""


@pytest.fixture(scope="module")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the layer as a deployment of the default settings would."""
    folder = tmp_path_factory.mktemp("dependencies")
    Wheels(python="3.13", architecture="arm64").install(folder)
    return folder / "python"


def shared() -> Path:
    return ROOT / "layers/shared/python"


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def libraries(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if ".so" in file.suffixes and file.is_file()]


def machine(library: Path) -> int:
    header = library.read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    return int.from_bytes(header[18:20], "little")


def imports(file: Path) -> Iterator[str]:
    """Yield the modules that a file imports, at its top or later; names in them may be modules."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{file}: a relative import"
            yield from (f"{node.module}.{each.name}" for each in node.names)


def files(module: str) -> Iterator[Path]:
    """Yield the library's files that run when a module is imported: its packages', then its own."""
    path = shared()
    for part in module.split("."):
        path /= part
        yield from (
            each for each in (path / "__init__.py", path.with_suffix(".py")) if each.exists()
        )


def needed_by_handlers() -> set[str]:
    """Return the packages that handlers import, and that the library's modules then import."""
    waiting, seen, packages = list((ROOT / "functions").rglob("*.py")), set[Path](), set[str]()
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            for module in imports(file):
                packages.add(module.partition(".")[0])
                waiting += files(module)
    assert len(seen) > 30
    return packages


def test_layers_fit_into_a_function(dependencies: Path) -> None:
    assert 10 * 1024 * 1024 < size(dependencies) + size(shared()) < LAMBDAS_LIMIT


def test_layers_have_libraries_for_the_processor_of_the_functions(dependencies: Path) -> None:
    found = libraries(dependencies)
    assert len(found) > 10
    assert {machine(library) for library in found} == {AARCH64}
    # Those of another Python would be passed over in silence, or fail when imported.
    tagged = {file.name.split(".")[1] for file in found if ".cpython-" in file.name}
    assert tagged == {"cpython-313-aarch64-linux-gnu"}


def test_layers_have_every_package_that_handlers_import(dependencies: Path) -> None:
    needed = needed_by_handlers() - sys.stdlib_module_names
    present = {entry.stem for folder in (dependencies, shared()) for entry in folder.iterdir()}
    assert {"axon", "botocore", "httptools", "psycopg", "redis"} <= needed
    assert needed <= present


START = """
import importlib.util, sys
sys.path[:0] = sys.argv[1:3]
for file in sys.argv[3:]:
    spec = importlib.util.spec_from_file_location("handler", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.handler)
"""
SOME_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AXON_VALKEY_URL": "rediss://localhost:1",
    "AXON_POSTGRES_DSN": "postgresql://axon_app@localhost:1/axon",
    "AXON_JOBS_QUEUE_URL": "https://localhost:1/jobs",
    "AXON_HISTORY_QUEUE_URL": "https://localhost:1/history.fifo",
    "AXON_PARKED_QUEUE_URL": "https://localhost:1/jobs-parked",
    "AXON_DEAD_LETTER_QUEUE_URL": "https://localhost:1/history-dlq.fifo",
}


@pytest.mark.skipif(sys.platform != "linux", reason="the wheels are for Linux")
def test_layers_are_enough_for_handlers_to_start(tmp_path: Path) -> None:
    Wheels(
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        architecture="arm64" if platform.machine() == "aarch64" else "x86_64",
    ).install(tmp_path)
    handlers = [str(ROOT / "functions" / name / "handler.py") for name in catalog.FUNCTIONS]
    done = subprocess.run(
        # Without the site-packages of this environment.
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            START,
            str(tmp_path / "python"),
            str(shared()),
            *handlers,
        ],
        env=SOME_ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_layers_have_packages_that_are_imported_by_name(dependencies: Path) -> None:
    """Psycopg and redis choose these at run time, and do without in silence, or not at all."""
    assert list(dependencies.glob("psycopg_binary/_psycopg.cpython-313-*.so"))
    assert list(dependencies.glob("hiredis/hiredis.cpython-313-*.so"))


def test_layers_have_certificates_where_functions_look(dependencies: Path) -> None:
    inside = Path(CERTIFICATES).relative_to("/opt/python")
    assert "BEGIN CERTIFICATE" in (dependencies / inside).read_text()


def test_layers_hold_nothing_of_the_build_machine(dependencies: Path) -> None:
    assert not list(dependencies.rglob("__pycache__"))
    assert not (dependencies / "bin").exists()


def test_layers_can_be_built_for_both_processors(tmp_path: Path) -> None:
    Wheels(python="3.14", architecture="x86_64").install(tmp_path)
    assert {machine(library) for library in libraries(tmp_path)} == {X86_64}


def test_layers_end_the_synthesis_when_the_wheels_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """CDK must not fall back to Docker, which may not be there, or have other wheels."""

    def fail(_self: Wheels, _folder: Path) -> None:
        raise WheelsError("no such wheel")

    monkeypatch.setattr(Wheels, "install", fail)
    app = App(outdir=str(tmp_path))
    with pytest.raises(WheelsError, match=r"^no such wheel$"):
        Layers(Stack(app, "Test"), "Layers", settings=load("dev"), name="axon-dev")


def test_layers_assets_hold_the_library_and_the_packages(tmp_path: Path) -> None:
    """The whole of what is uploaded, built as a deployment builds it."""
    app = App(outdir=str(tmp_path))
    stack = Stack(app, "Test")
    Layers(stack, "Layers", settings=load("dev"), name="axon-dev")
    folders = [each for each in tmp_path.iterdir() if each.name.startswith("asset.")]
    assert sorted(each.name for folder in folders for each in folder.iterdir()) == ["python"] * 2
    assert not [file for folder in folders for file in folder.rglob("*.pyc")]
    assert any(
        (folder / "python/axon/adapters/postgres/sql/migrations").exists() for folder in folders
    )
    assert any((folder / "python/psycopg_binary").exists() for folder in folders)


def test_layers_are_for_the_python_and_processor_of_the_functions(prod: Templates) -> None:
    functions = load("prod").functions
    found = resources(prod["gateway"], "AWS::Lambda::LayerVersion").values()
    assert len(found) == 2
    for layer in found:
        assert layer["CompatibleRuntimes"] == [f"python{functions.python}"]
        assert layer["CompatibleArchitectures"] == [functions.architecture]
