"""Starts supervisors of small programs."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.local.harness import SUPERVISED, Cloud


@pytest.fixture
def start_cloud(tmp_path: Path) -> Iterator[Callable[..., Cloud]]:
    """Start a supervisor; what is left at the end is killed."""
    root = tmp_path / "data"
    root.mkdir()
    clouds: list[Cloud] = []

    def start(*arguments: str) -> Cloud:
        with (root / "output").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, str(SUPERVISED), str(root), *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        clouds.append(Cloud(process=process, root=root))
        return clouds[-1]

    yield start
    for cloud in clouds:
        with contextlib.suppress(ProcessLookupError):
            cloud.process.kill()
        cloud.process.wait()
    for cloud in clouds:
        cloud.nothing_is_left()
