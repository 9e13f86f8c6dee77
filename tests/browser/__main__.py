"""Start a local cloud, and run the browser's tests against it: ``make test-browser``.

``--screenshot`` writes the picture of the README instead, with an answer of the laptop's model.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.cloud import running_cloud

_HERE = Path(__file__).parent
_START_S = 300
"""Seconds for the laptop's model to load where a machine is busy."""
_PACE = {"AXON_ECHO_TOKEN_MS": "5"}
"""An answer of 600 tokens takes 3 s: there is a middle of it in which a test can act."""


def main(arguments: Sequence[str]) -> int:
    """Run the tests that the arguments name, or all; return node's exit code."""
    if "--screenshot" in arguments:
        return _run("smollm2", {}, [str(_HERE / "screenshot.mjs")])
    files = [str(_HERE / name) for name in arguments] or sorted(map(str, _HERE.glob("*.test.mjs")))
    # One file at a time: each starts a browser.
    return _run("echo", _PACE, ["--test", "--test-concurrency=1", "--test-timeout=120000", *files])


def _run(engine: str, variables: Mapping[str, str], command: Sequence[str]) -> int:
    """Run node against a local cloud; return its exit code."""
    node = Path(sys.executable).with_name("node")
    with tempfile.TemporaryDirectory(prefix="axon-browser-") as folder:
        data = Path(folder) / "data"
        options = ("--engine", engine, "--ephemeral")
        with running_cloud(data, *options, environ=variables, timeout_s=_START_S) as cloud:
            environ = {
                **os.environ,
                "AXON_URL": cloud.base_url.removesuffix("v1"),
                "AXON_DATA": str(data),
                "AXON_PYTHON": sys.executable,
            }
            return subprocess.run([str(node), *command], env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
