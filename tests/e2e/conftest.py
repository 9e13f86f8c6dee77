"""One local cloud with the echo engine for each test process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.e2e.cloud import API_KEY, Cloud, running_cloud


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    data: Path = tmp_path_factory.mktemp("echo-cloud") / "data"
    with running_cloud(
        data, "--engine", "echo", "--ephemeral", environ={"AXON_ECHO_TOKEN_MS": "1"}
    ) as running:
        yield running


@pytest.fixture
def client(cloud: Cloud) -> Iterator[OpenAI]:
    with OpenAI(api_key=API_KEY, base_url=cloud.base_url) as openai:
        yield openai


@pytest.fixture
async def async_client(cloud: Cloud) -> AsyncOpenAI:
    return AsyncOpenAI(api_key=API_KEY, base_url=cloud.base_url)
