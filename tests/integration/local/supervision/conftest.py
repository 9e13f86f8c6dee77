"""Starts supervisors of small programs."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.local.supervision.supervisor_harness import SUPERVISED, SupervisorHarness


@pytest.fixture
def start_supervisor(tmp_path: Path) -> Iterator[Callable[..., SupervisorHarness]]:
    """Start a supervisor; what is left at the end is killed."""
    root = tmp_path / "data"
    root.mkdir()
    clouds: list[SupervisorHarness] = []

    def start(*arguments: str) -> SupervisorHarness:
        with (root / "output").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, str(SUPERVISED), str(root), *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        clouds.append(SupervisorHarness(process=process, root=root))
        return clouds[-1]

    yield start
    for cloud in clouds:
        with contextlib.suppress(ProcessLookupError):
            cloud.process.kill()
        cloud.process.wait()
    for cloud in clouds:
        cloud.nothing_is_left()
