"""The run: throughput at the engine's pace first, then the flood, with samples of the memory."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from time import perf_counter

from benchmarks import peers
from benchmarks.command import Say
from benchmarks.load_process import LoadError, read_result
from benchmarks.model import BenchmarkError
from benchmarks.overload.model import Flood, FloodResult, Plan, Results, Sample
from benchmarks.peer_group import PeerGroup
from benchmarks.peers import Peer
from benchmarks.prometheus import values
from benchmarks.worker_process import metrics_of, rss_mb, worker_pid

_BEFORE_S = 8.0
_SAMPLE_S = 1.0
_UNCONFIRMED = 256
_OUTPUT_LIMIT = 2**26
_WATCHED = ("worker-0", "relay-0", "valkey")
# Added to the last deadline: overdue responses are searched for once a second, in batches.
_MORE_S = 90.0
_SLOWEST_PER_S = 100.0


async def run(plan: Plan, say: Say) -> Results:
    """Run the whole plan.

    Raises
    ------
    BenchmarkError
        The servers or the clients' process failed.
    """
    settings = {
        "AXON_SLOTS": str(plan.slots),
        "AXON_PREFETCH": str(plan.prefetch),
        "AXON_QUEUE_DEADLINE_S": f"{plan.deadline_s:g}",
    }
    cloud = await peers.start_axon(plan.pace, settings)
    try:
        return await _measure(cloud, plan, say)
    finally:
        cloud.stop()


async def _measure(cloud: Peer, plan: Plan, say: Say) -> Results:
    pid = worker_pid(cloud.roots())
    if pid is None:
        raise LoadError("the local cloud has no worker")
    idle_mb = rss_mb(pid)
    group = PeerGroup(running=[cloud], pace=plan.pace, seconds=_BEFORE_S, worker_mb=idle_mb)
    before = await group.measure(cloud, clients=2 * plan.slots, tokens=plan.tokens)
    if before.load.failures:
        raise BenchmarkError(f"before the flood: {before.load.failures[0]}")
    say(f"before the flood {before.requests_per_s:.1f} answers/s of {plan.capacity:.1f}")
    shed = _shed(pid)
    seen, samples = await _flood(cloud, pid, plan, say)
    after = _shed(pid)
    counts = {key: count - shed.get(key, 0) for key, count in after.items()}
    return Results(
        plan=plan,
        before=before,
        seen=seen,
        samples=samples,
        idle_mb=idle_mb,
        shed={key: count for key, count in counts.items() if count},
    )


async def _flood(cloud: Peer, pid: int, plan: Plan, say: Say) -> tuple[FloodResult, list[Sample]]:
    flood = Flood(
        url=cloud.url,
        model=cloud.model,
        jobs=plan.jobs,
        connections=plan.connections,
        tokens=plan.tokens,
        unconfirmed=_UNCONFIRMED,
        limit_s=plan.jobs / _SLOWEST_PER_S + plan.deadline_s + _MORE_S,
    )
    command = [sys.executable, "-m", "benchmarks.overload.flood", json.dumps(asdict(flood))]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, limit=_OUTPUT_LIMIT
    )
    assert process.stdout is not None
    samples: list[Sample] = []
    pouring = asyncio.Event()
    watching = asyncio.create_task(_watch(cloud.roots(), pid, samples, say, since=pouring))
    try:
        seen, _ = await read_result(process.stdout, cloud.roots(), border=pouring.set)
    finally:
        watching.cancel()
        if process.returncode is None:
            process.kill()
        await process.wait()
    return FloodResult(**seen), samples


async def _watch(
    roots: Mapping[int, str], pid: int, samples: list[Sample], say: Say, *, since: asyncio.Event
) -> None:
    await since.wait()
    began = perf_counter()
    watched = {name: one for one, name in roots.items() if name in _WATCHED}
    while True:
        mb = {name: rss_mb(one) for name, one in watched.items()}
        waiting = sum(values(metrics_of(pid), "axon_queue_depth").values())
        second = perf_counter() - began
        samples.append(Sample(second=second, mb=mb, waiting=waiting))
        if len(samples) % 10 == 0:
            say(f"flood, {second:.0f} s: worker {mb['worker-0']:.0f} MB, {waiting:.0f} wait in it")
        await asyncio.sleep(_SAMPLE_S)


def _shed(pid: int) -> dict[tuple[str, ...], float]:
    """Return how often a stage's queue has shed a job, by stage and reason."""
    return values(metrics_of(pid), "axon_requests_shed_total", "stage", "reason")
