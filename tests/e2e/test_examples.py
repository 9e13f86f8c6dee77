"""The programs of `examples/`, run as a reader runs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.cloud import API_KEY, Cloud
from tests.support.repository import ROOT

EXAMPLES = ROOT / "examples"
PROGRAMS = sorted([*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.mjs")])


def run(cloud: Cloud, *command: str) -> str:
    """Run an example against the cloud; return what it prints."""
    environ = {
        **os.environ,
        "OPENAI_API_KEY": API_KEY,
        "OPENAI_BASE_URL": cloud.base_url,
        "AXON_MODEL": "echo",
    }
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(count: int) -> str:
    return " ".join(map(str, range(1, count + 1)))


def test_stream_prints_the_answer(cloud: Cloud) -> None:
    output = run(cloud, sys.executable, str(EXAMPLES / "stream.py"), "count to 12")
    assert output == f"{numbers(12)}\n"


def test_conversation_prints_both_answers(cloud: Cloud) -> None:
    output = run(cloud, sys.executable, str(EXAMPLES / "conversation.py"), "one two", "three")
    assert output == "one two\nthree\n"


def test_resume_prints_every_word_once(cloud: Cloud) -> None:
    output = run(cloud, sys.executable, str(EXAMPLES / "resume.py"), "count to 200")
    assert output == f"{numbers(200)}\n"


def test_http_stream_prints_every_word_once(cloud: Cloud) -> None:
    output = run(cloud, sys.executable, str(EXAMPLES / "stream_http.py"), "count to 200")
    assert output == f"{numbers(200)}\n"


def test_node_stream_prints_the_answer(cloud: Cloud) -> None:
    output = run(cloud, "node", str(EXAMPLES / "stream.mjs"), "count to 12")
    assert output == f"{numbers(12)}\n"


@pytest.mark.parametrize(
    "path", sorted([*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.mjs")]), ids=lambda path: path.name
)
def test_examples_are_short_and_in_the_readme(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 40
    assert f"examples/{path.name}" in (EXAMPLES / "README.md").read_text()
