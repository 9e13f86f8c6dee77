"""A server process with a log of its own; it is stopped with all processes that it started."""

import asyncio
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

import psutil

from benchmarks.environments import BENCH
from benchmarks.model import BenchmarkError

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens URLs without a proxy."""


class ServerError(BenchmarkError):
    """A server ended, does not answer, or was not ready in time."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One started process, in a session of its own."""

    def __init__(
        self, *, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._name = name
        self._log = BENCH / "log" / f"{name}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=os.environ | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Return the process's id."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """Return the path of its log."""
        return self._log

    async def ready(self, url: str, *, within_s: float, says: bytes = b"") -> None:
        """Wait until GET `url` returns 200 and `says` is in the log; stop the process otherwise.

        Raises
        ------
        ServerError
            The process ended, or `within_s` seconds have passed.
        """
        try:
            await self._wait_for(url, within_s, says)
        except BaseException:
            self.stop()
            raise

    async def _wait_for(self, url: str, within_s: float, says: bytes) -> None:
        deadline = monotonic() + within_s
        while says not in self._log.read_bytes() or not await asyncio.to_thread(_answers, url):
            if self._process.poll() is not None:
                raise ServerError(
                    f"{self._name} ended with {self._process.returncode}: {self._log}"
                )
            if monotonic() > deadline:
                raise ServerError(f"{self._name} was not ready in {within_s:g} s: {self._log}")
            await asyncio.sleep(0.1)

    def stop(self, *, grace_s: float = 20.0) -> None:
        """Send SIGTERM, wait, and kill whatever is left of its process tree."""
        try:
            tree = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            tree = []
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _, alive = psutil.wait_procs(tree, timeout=2)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=5)


def _answers(url: str) -> bool:
    try:
        with DIRECT.open(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
