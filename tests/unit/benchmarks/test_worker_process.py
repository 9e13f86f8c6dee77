import sys
from pathlib import Path

import pytest

from benchmarks.histogram import Histogram
from benchmarks.server import Server, ServerError, free_port
from benchmarks.worker_process import rss_mb, stages_of, window, worker_pid

METRICS = """\
# TYPE axon_stage_latency_seconds histogram
axon_stage_latency_seconds_bucket{le="0.005",stage="post"} 3
axon_stage_latency_seconds_bucket{le="+Inf",stage="post"} 4
axon_stage_latency_seconds_count{stage="post"} 4
axon_stage_latency_seconds_sum{stage="post"} 0.5
"""
BOUNDS = (0.005, float("inf"))
GONE = 2**22 + 1
"""No process has a number as high as this."""


async def test_metrics_are_read_from_the_port_in_the_workers_environment(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text(METRICS)
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    server = Server(
        name="test-worker",
        command=[*command, "--directory", str(tmp_path)],
        environment={"AXON_HEALTH_PORT": str(port)},
    )
    try:
        await server.ready(f"http://127.0.0.1:{port}/metrics", within_s=20)
        assert stages_of(server.pid) == {"post": Histogram(BOUNDS, (3.0, 4.0))}
        before = {"post": Histogram(BOUNDS, (1.0, 1.0))}
        now = window(server.pid, idle_mb=5.0, before=before)
        assert now.stages["post"].counts == (2.0, 3.0)
        assert (now.idle_mb, now.mb > 5) == (5.0, True)
    finally:
        server.stop()


def test_ended_worker_has_no_memory_and_no_metrics() -> None:
    assert rss_mb(GONE) == 0
    with pytest.raises(ServerError, match="tells no metrics"):
        stages_of(GONE)


def test_worker_pid_is_that_of_the_first_worker() -> None:
    assert worker_pid({1: "supervisor", 7: "worker-0", 8: "worker-1"}) == 7
    assert worker_pid({1: "mock"}) is None
