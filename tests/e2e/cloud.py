"""A local cloud for tests: started as a person would, in folders and on a port of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

AXON = Path(sys.executable).with_name("axon")
API_KEY = "sk-axon-local"


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A running local cloud."""

    base_url: str
    data: Path
    process: "subprocess.Popen[str]"

    @property
    def websocket_url(self) -> str:
        return self.base_url.replace("http", "ws", 1) + "/responses"

    def pid(self, name: str) -> int:
        return int((self.data / "run" / f"{name}.pid").read_text())

    def log(self, name: str) -> str:
        return (self.data / "log" / f"{name}.log").read_text()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running_cloud(
    data: Path,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    timeout_s: float = 60,
    axon: Path = AXON,
    folder: Path | None = None,
) -> Iterator[Cloud]:
    """Run `axon dev` in `folder`; at the end interrupt it and check that it leaves no process."""
    port = free_port()
    command = [str(axon), "dev", "--port", str(port), "--data", str(data), *arguments]
    output = data.with_suffix(".out")
    with output.open("w") as sink:
        process = subprocess.Popen(
            command,
            stdout=sink,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, **(environ or {})},
        )
    try:
        _await_ready(process, output, timeout_s)
        yield Cloud(base_url=f"http://127.0.0.1:{port}/v1", data=data, process=process)
    finally:
        children = _descendants(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive, f"left behind: {alive}"


def _await_ready(process: "subprocess.Popen[str]", output: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while "Axon is ready" not in output.read_text():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.05)


def _descendants(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []
