"""The services as real processes."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.eventually import wait_until

DEADLINE_S = 20.0


@dataclass
class ServiceHarness:
    """A service's process, the ports it printed, and what else it prints."""

    process: subprocess.Popen[bytes]
    ports: list[int]
    log: Path

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def environments(self) -> set[int]:
        """Return the pids of the functions' processes."""
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(DEADLINE_S)


@contextmanager
def running(module: str, config: dict[str, Any], folder: Path) -> Iterator[ServiceHarness]:
    """Run `python -m MODULE --config FILE`; it has to stop cleanly."""
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / "config.json", folder / "log"
    file.write_text(json.dumps(config))
    command = [sys.executable, "-m", module, "--config", str(file)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    service = ServiceHarness(process, [], log)
    try:
        line = wait_until(lambda: _listening(service))
        service.ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", line)]
        yield service
        if process.poll() is None:
            assert service.stop() == 0
    finally:
        process.kill()
        process.wait()


def _listening(service: ServiceHarness) -> str:
    assert service.process.poll() is None, service.log.read_text()
    found = re.search(r"listening on .*", service.log.read_text())
    return found[0] if found else ""


def refused(module: str, file: Path) -> str:
    """Return the one line that a service prints when it does not start."""
    command = [sys.executable, "-m", module, "--config", str(file)]
    result = subprocess.run(command, capture_output=True, timeout=DEADLINE_S, check=False)
    assert result.returncode == 2
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 1
    return lines[0]


def wait_until_dead(pid: int) -> None:
    """Wait for a process's end, whether or not its parent has noticed."""
    wait_until(lambda: _dead(pid))


def _dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
