"""Measurements as tests want them."""

from benchmarks.model import Cell, LoadResult, Measurement, Pace

FULL = Pace(ttft_ms=0, token_ms=0)
SLOW = Pace(ttft_ms=20, token_ms=5)


def measurement(
    peer: str,
    *,
    clients: int = 1,
    tokens: int = 16,
    pace: Pace = FULL,
    per_s: float = 100.0,
    p50: float = 5.0,
    p99: float = 9.0,
    frames_max: int = 80,
    first_gap: float = 40.0,
    cpu_s: dict[str, float] | None = None,
    failures: tuple[str, ...] = (),
) -> Measurement:
    """A window of 10 s above a baseline of 1 ms; `p50` and `p99` are the added times."""
    return Measurement(
        peer=peer,
        cell=Cell(pace=pace, clients=clients, tokens=tokens),
        load=LoadResult(
            finished=int(per_s * 10),
            window_s=10.0,
            capped=False,
            ttft_p50_ms=p50 + 1,
            ttft_p99_ms=p99 + 1,
            gap_p99_ms=3.0,
            frames_per_answer=frames_max - 2.0,
            frames_max=frames_max,
            first_second_gap_p99_ms=first_gap,
            first_second_gap_max_ms=first_gap + 1,
            client_cpu_s=0.5,
            failures=list(failures),
        ),
        baseline_ttft_ms=1.0,
        cpu_s=cpu_s or {"a": 1.0},
        idle_cpu_s=0.1,
    )
