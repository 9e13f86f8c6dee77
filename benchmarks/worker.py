"""What a running worker tells of itself: its memory and its stages' histograms."""

from collections.abc import Mapping

import psutil
from prometheus_client import Metric

from benchmarks.histogram import Histogram
from benchmarks.model import WorkerWindow
from benchmarks.prometheus import histograms, read_metrics
from benchmarks.server import DIRECT, ServerError

STAGES = ("retrieve", "assemble", "infer", "post", "stream")
_HEALTH_PORT = "AXON_HEALTH_PORT"


def worker_pid(roots: Mapping[int, str]) -> int | None:
    """The first worker's pid among a peer's processes; None if it has no worker."""
    return next((pid for pid, name in roots.items() if name == "worker-0"), None)


def rss_mb(pid: int) -> float:
    """Resident memory of one process, in millions of bytes; 0 when it is gone."""
    try:
        return float(psutil.Process(pid).memory_info().rss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def metrics_of(pid: int) -> list[Metric]:
    """Ask the service with this pid for its metrics.

    Raises
    ------
    ServerError
        It is gone, or does not answer.
    """
    try:
        port = psutil.Process(pid).environ()[_HEALTH_PORT]
        with DIRECT.open(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
            return read_metrics(reply.read().decode())
    except (psutil.Error, OSError, KeyError) as error:
        raise ServerError(f"the worker with pid {pid} tells no metrics: {error!r}") from error


def stages_of(pid: int) -> dict[str, Histogram]:
    """What each stage took, since the worker started."""
    return histograms(metrics_of(pid), "axon_stage_latency_seconds", "stage")


def window(pid: int, *, idle_mb: float, before: Mapping[str, Histogram]) -> WorkerWindow:
    """What the worker shows now, its stages since `before`."""
    stages = {name: one.since(before.get(name)) for name, one in stages_of(pid).items()}
    return WorkerWindow(idle_mb=idle_mb, mb=rss_mb(pid), stages=stages)
