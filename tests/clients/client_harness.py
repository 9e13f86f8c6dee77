"""Runs other people's clients against a local cloud, each in a process and an environment apart."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.clients import environments
from tests.clients.scripted_model import ANSWER, GREETING, INTRODUCTION, MODEL, QUESTION
from tests.e2e.cloud import API_KEY, Cloud

PROGRAMS = Path(__file__).parent / "programs"
TIMEOUT_S = 90
NOWHERE = "http://127.0.0.1:9"
"""A proxy that does not exist: what a client sends to another host fails at once."""
QUIET = {
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


@dataclass(frozen=True, kw_only=True)
class ClientHarness:
    """The clients' only world: a cloud, by one of its addresses, and an empty home."""

    cloud: Cloud
    home: Path
    address: Literal["base_url", "front_url"] = "base_url"

    @property
    def base_url(self) -> str:
        """The base URL, or that of the front alone: they differ in the WebSocket."""
        endpoints = json.loads((self.cloud.data / "run" / "endpoints.json").read_text())
        url: str = endpoints[self.address]
        return url

    @property
    def root_url(self) -> str:
        """The base URL as clients of Anthropic's API take it."""
        return self.base_url.removesuffix("/v1")

    def python(self, environment: str, program: str, variables: Mapping[str, str]) -> str:
        """Run a program of `programs/` with the two questions; return what it printed."""
        interpreter = environments.python(environment) / "python"
        path = PROGRAMS / f"{program}.py"
        return self.run(str(interpreter), str(path), INTRODUCTION, QUESTION, variables=variables)

    def node(self, project: str, program: str, variables: Mapping[str, str]) -> str:
        """Run a program of `programs/` with the two questions; return what it printed."""
        folder = environments.node(project)
        for file in PROGRAMS.glob("*.mjs"):  # Node looks for packages beside the program
            shutil.copy(file, folder)
        path = folder / f"{program}.mjs"
        return self.run("node", str(path), INTRODUCTION, QUESTION, variables=variables)

    def run(
        self,
        *command: str,
        variables: Mapping[str, str] | None = None,
        said: str = "",
        timeout_s: float = TIMEOUT_S,
    ) -> str:
        """Run a command in the home, with `said` as its input; return what it printed."""
        done = subprocess.run(
            command,
            cwd=self.home,
            env={**self._environ(), **(variables or {})},
            input=said,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        log = self.cloud.log("front")[-2000:]
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\nthe front's log:\n{log}"
        return done.stdout

    def _environ(self) -> dict[str, str]:
        return {
            **QUIET,
            "PATH": environments.node_environ()["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1",
            "AXON_MODEL": MODEL,
            "OPENAI_API_KEY": API_KEY,
            "OPENAI_BASE_URL": self.base_url,
            "ANTHROPIC_API_KEY": API_KEY,
            "ANTHROPIC_BASE_URL": self.root_url,
        }


def check_turns(output: str) -> None:
    """Check both turns of a program: streamed, complete, and the second one knows the first."""
    turns = [json.loads(line) for line in output.splitlines() if line.startswith("[")]
    assert ["".join(pieces) for pieces in turns] == [GREETING, ANSWER]
    # More on a quiet machine; a busy one joins words.
    assert all(sum(map(bool, pieces)) > 1 for pieces in turns), "it was not streamed"
