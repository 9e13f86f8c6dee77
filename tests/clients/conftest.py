"""One local cloud with the scripted model for all clients."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.client_harness import ClientHarness
from tests.clients.scripted_model import MODEL, scripted_model
from tests.e2e.cloud import AXON, Cloud, running_cloud

VARIABLE = "AXON_CLIENTS"
"""Set by `make test-clients`, which makes the environments first."""


@pytest.fixture(scope="session")
def client_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    data: Path = tmp_path_factory.mktemp("clients") / "data"
    with (
        scripted_model() as url,
        running_cloud(data, "--engine", "echo", "--ephemeral") as cloud,
    ):
        settings = ("--set", f"upstream_url={url}", "--set", "upstream_kind=openai")
        load = [str(AXON), "models", "load", MODEL, "--engine", "openai", *settings]
        subprocess.run([*load, "--data", str(data), "--timeout", "20"], check=True, timeout=60)
        yield cloud


@pytest.fixture
def clients(client_cloud: Cloud, tmp_path: Path) -> ClientHarness:
    return ClientHarness(cloud=client_cloud, home=tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder where nobody has made the environments."""
    if VARIABLE in os.environ:
        return
    skip = pytest.mark.skip(reason="needs the clients' environments: make test-clients")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(skip)
