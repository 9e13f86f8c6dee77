"""The README's snippet, with the real model."""

import subprocess
from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.e2e.cloud import API_KEY, AXON, Cloud, running_cloud

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def model_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("model-cloud") / "data", "--ephemeral") as running:
        yield running


def test_readme_snippet_prints_a_sensible_sentence(model_cloud: Cloud) -> None:
    client = OpenAI(api_key=API_KEY, base_url=model_cloud.base_url)
    deltas = []
    with client.responses.connect() as connection:
        connection.response.create(
            model="smollm2-135m-instruct", input="What is the capital of France?"
        )
        for event in connection:
            if event.type == "response.output_text.delta":
                deltas.append(event.delta)
            if event.type == "response.completed":
                break
    assert len(deltas) > 1
    assert "Paris" in "".join(deltas)


def test_chat_prints_an_answer_of_the_model(model_cloud: Cloud) -> None:
    done = subprocess.run(
        [str(AXON), "chat", "--data", str(model_cloud.data)],
        input="What is the capital of France?\n",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout


def test_status_lists_the_processes(model_cloud: Cloud) -> None:
    done = subprocess.run(
        [str(AXON), "status", "--data", str(model_cloud.data)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    for name in ("worker-0", "relay-0", "gateway", "valkey", "postgres"):
        assert name in done.stdout
