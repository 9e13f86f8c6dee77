"""Measurements of open streams as tests want them."""

from benchmarks.peers import AXON_SSE
from benchmarks.streams.model import Measurement, StreamsSeen


def streams_seen(streams: int, *, gap_ms: float = 100.0) -> StreamsSeen:
    return StreamsSeen(
        held=streams,
        finished=streams,
        deltas=streams * 10,
        gaps={round(gap_ms * 10): 99, 1: 1},
        late={0: 1},
        first_tokens_ms=[60.0],
    )


def measurement(
    streams: int,
    *,
    peer: str = AXON_SSE,
    front_cores: float = 0.5,
    worker_cores: float = 1.0,
    front_mb: float = 100.0,
    seen: StreamsSeen | None = None,
) -> Measurement:
    """A window of 10 s above a baseline of 50 ms."""
    return Measurement(
        peer=peer,
        streams=streams,
        window_s=10.0,
        baseline_ms=50.0,
        cpu_s={"front": front_cores * 10, "worker-0": worker_cores * 10},
        mb={"front": front_mb, "worker-0": 90.0},
        load_cpu_s=2.0,
        seen=seen or streams_seen(streams),
    )
