"""Memory and stage histograms of a running worker."""

from collections.abc import Mapping
from urllib.request import Request

import psutil
from prometheus_client import Metric

from benchmarks.histogram import Histogram
from benchmarks.model import WorkerWindow
from benchmarks.prometheus import histograms, read_metrics
from benchmarks.server import DIRECT, ServerError

STAGES = ("retrieve", "assemble", "infer", "post", "stream")
_HEALTH_PORT, _HEALTH_TOKEN = "AXON_HEALTH_PORT", "AXON_HEALTH_TOKEN"


def worker_pid(roots: Mapping[int, str]) -> int | None:
    """Return the pid of the first worker among a peer's processes, None if it has no worker."""
    return next((pid for pid, name in roots.items() if name == "worker-0"), None)


def rss_mb(pid: int) -> float:
    """Return a process's resident memory in millions of bytes; 0 if it has ended."""
    try:
        return float(psutil.Process(pid).memory_info().rss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def metrics_of(pid: int) -> list[Metric]:
    """Return the metrics of the service with this pid.

    Raises
    ------
    ServerError
        It has ended, or does not answer.
    """
    try:
        environ = psutil.Process(pid).environ()
        asked = Request(
            f"http://127.0.0.1:{environ[_HEALTH_PORT]}/metrics",
            headers={"Authorization": f"Bearer {environ.get(_HEALTH_TOKEN, '')}"},
        )
        with DIRECT.open(asked, timeout=10) as reply:
            return read_metrics(reply.read().decode())
    except (psutil.Error, OSError, KeyError) as error:
        raise ServerError(f"the worker with pid {pid} tells no metrics: {error!r}") from error


def stages_of(pid: int) -> dict[str, Histogram]:
    """Return the latency histogram of each stage since the worker started."""
    return histograms(metrics_of(pid), "axon_stage_latency_seconds", "stage")


def window(pid: int, *, idle_mb: float, before: Mapping[str, Histogram]) -> WorkerWindow:
    """Return the worker's memory now, and its stages' histograms since `before`."""
    stages = {name: one.since(before.get(name)) for name, one in stages_of(pid).items()}
    return WorkerWindow(idle_mb=idle_mb, mb=rss_mb(pid), stages=stages)
