"""Peers that run at one pace, and measurements of one of them while the others idle."""

import asyncio
import json
import math
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

from benchmarks import peers, worker_process
from benchmarks.cpu import all_processes, cpu_by_name, spent
from benchmarks.load_process import LoadError, read_result
from benchmarks.model import Cell, Load, LoadResult, Measurement, Pace
from benchmarks.peers import Peer

_LEAST_CAP_S = 20.0
# A load generator ends by its own caps, six times the cap in all: this catches one that hangs.
_CAPS = 8
_BASELINE_TOKENS = 16
_WARM_S = 3.0
_REST_LIMIT_S, _REST_CPU_S = 90, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerGroup:
    """Running peers.

    Parameters
    ----------
    seconds : float
        Least length of a measured window.
    baseline_ms : float
        Time to first token of the mock with one client (p50), in milliseconds.
    at_rest : bool
        False if a peer was still busy before its first request.
    worker_mb : float
        Memory (RSS) of Axon's worker at that time, in millions of bytes.
    """

    running: Sequence[Peer]
    pace: Pace
    seconds: float
    baseline_ms: float = math.nan
    at_rest: bool = True
    worker_mb: float = math.nan

    async def warm_up(self, *, clients: int) -> None:
        """Put load on each peer for 3 s: memory and pools grow with the first load."""
        warm = replace(self, seconds=_WARM_S)
        for peer in self.running:
            await warm.measure(peer, clients=clients, tokens=_BASELINE_TOKENS)

    async def measure(self, peer: Peer, *, clients: int, tokens: int) -> Measurement:
        """Put load on a peer for one window; return the measurement."""
        own = peer.roots()
        others = [root for other in self.running for root in other.roots() if root not in own]
        roots = dict.fromkeys(others, "others") | own
        pid = worker_process.worker_pid(own)
        before = worker_process.stages_of(pid) if pid else {}
        load = Load(
            kind=peer.kind,
            url=peer.url,
            model=peer.model,
            clients=clients,
            tokens=tokens,
            seconds=self.seconds,
            cap_s=max(_LEAST_CAP_S, self.seconds * 2.5),
        )
        result, cpu_s = await _run(load, roots)
        idle_cpu_s = cpu_s.pop("others", 0.0)
        return Measurement(
            peer=peer.name,
            cell=Cell(pace=self.pace, clients=clients, tokens=tokens),
            load=result,
            baseline_ttft_ms=self.baseline_ms,
            cpu_s=cpu_s,
            idle_cpu_s=idle_cpu_s,
            worker=worker_process.window(pid, idle_mb=self.worker_mb, before=before)
            if pid
            else None,
        )


@asynccontextmanager
async def open_peer_group(
    names: Sequence[str],
    *,
    pace: Pace,
    seconds: float,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[PeerGroup]:
    """Start the mock and the named peers, check that each answers, and stop them afterwards.

    `settings`: environment variables of Axon's local cloud.
    """
    async with AsyncExitStack() as stack:
        running = await _start(names, pace, settings, stack)
        at_rest = await _at_rest(running)
        # The peers over Axon's several ways share one local cloud, and its worker.
        workers = {pid for one in running if (pid := worker_process.worker_pid(one.roots()))}
        mb = sum(map(worker_process.rss_mb, workers))
        group = PeerGroup(running=running, pace=pace, seconds=0.0, at_rest=at_rest, worker_mb=mb)
        for peer in running:
            await _check(group, peer)
        calm = replace(group, seconds=min(seconds, 3.0))
        baseline = await calm.measure(running[0], clients=1, tokens=_BASELINE_TOKENS)
        yield replace(group, seconds=seconds, baseline_ms=baseline.load.ttft_p50_ms)


async def _start(
    names: Sequence[str], pace: Pace, settings: Mapping[str, str], stack: AsyncExitStack
) -> list[Peer]:
    mock = await peers.start_mock(pace)
    stack.callback(mock.stop)
    running = [mock]
    for name in (name for name in peers.ALL if name in names):
        if any(peer.name == name for peer in running):
            continue
        started = await peers.start(name, pace=pace, mock=mock, settings=settings)
        stack.callback(started.stop)
        running += [peer for peer in peers.of_server(started) if peer.name in names]
    return running


async def _check(group: PeerGroup, peer: Peer) -> None:
    probe = await group.measure(peer, clients=1, tokens=2)
    if probe.load.failures:
        raise LoadError(f"{peer.name}: {probe.load.failures}; see {peer.server.log}")


async def _at_rest(running: Sequence[Peer]) -> bool:
    """Wait until the peers use less than half a core: workers may still be starting."""
    for _ in range(_REST_LIMIT_S):
        roots = {pid: name for peer in running for pid, name in peer.roots().items()}
        before = cpu_by_name(all_processes(), roots)
        await asyncio.sleep(1)
        if sum(spent(before, cpu_by_name(all_processes(), roots)).values()) < _REST_CPU_S:
            return True
    return False


async def _run(load: Load, roots: Mapping[int, str]) -> tuple[LoadResult, dict[str, float]]:
    """Run the load generator; return what it saw and the CPU seconds of its window by name."""
    command = [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(load))]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    limit_s = _CAPS * load.cap_s
    try:
        seen, cpu_s = await asyncio.wait_for(read_result(process.stdout, roots), limit_s)
        return LoadResult(**seen), cpu_s
    except TimeoutError as error:
        raise LoadError(f"the load generator did not end in {limit_s:g} s") from error
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
