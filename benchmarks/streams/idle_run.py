"""Idle streams: opened behind a worker that is stopped, cut and resumed, then all answered."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter

import psutil

from axon.adapters.valkey.client import Valkey
from benchmarks import peers
from benchmarks.command import Say
from benchmarks.cpu import all_processes, cpu_by_name, mb_by_name, spent
from benchmarks.load_process import LoadError
from benchmarks.model import Pace
from benchmarks.peers import Peer
from benchmarks.streams.idle_model import IdleLoad, IdlePlan, IdleResult, IdleSeen, merged
from benchmarks.streams.processes import LoadProcess, allow_files, open_processes
from benchmarks.streams.run import at_front
from benchmarks.worker_process import worker_pid

_PACE = Pace(ttft_ms=0, token_ms=0)
_SOCKETS_OF_TENANT = 4
"""A tenant may have a quarter of a front's WebSockets."""
_WAITING_S = 3600
_RESUME_S = 5.0
"""Seconds for the last resumed streams to be read again, before the answers come."""
_REST_S = 10.0
_LATE_S = 300.0
_MOST_SLOTS = 64
_PAGE_BYTES = 4096


def settings_for(plan: IdlePlan) -> dict[str, str]:
    """Return the settings of a local cloud in which this many streams of one tenant may wait."""
    return {
        "AXON_SLOTS": str(_MOST_SLOTS),
        "AXON_MAX_SOCKETS": str(_SOCKETS_OF_TENANT * plan.streams),
        # While its worker is stopped, nothing serves the model.
        "AXON_NO_WORKER_DEADLINE_S": str(_WAITING_S),
        "AXON_QUEUE_DEADLINE_S": str(_WAITING_S),
        "AXON_NO_PROGRESS_DEADLINE_S": str(_WAITING_S),
    }


async def run(plan: IdlePlan, say: Say) -> IdleResult:
    """Measure once.

    Raises
    ------
    BenchmarkError
        A server or a load process failed, or too few files may be open.
    """
    allow_files(plan.streams)
    cloud = await peers.start_axon(_PACE, settings_for(plan))
    try:
        (peer,) = (at_front(one) for one in peers.of_server(cloud) if one.name == plan.peer)
        await asyncio.sleep(_REST_S)
        return await _measure(peer, plan, say)
    finally:
        cloud.stop()


async def _measure(peer: Peer, plan: IdlePlan, say: Say) -> IdleResult:
    roots = peer.roots()
    before_mb, tcp_before = mb_by_name(all_processes(), roots), _tcp_mb()
    async with _stopped_worker(peer) as worker, open_processes("idle_load", plan.processes) as all_:
        load = _load(peer, plan)
        for number, process in enumerate(all_):
            process.send(asdict(replace(load, process=number)))
        await _all_say(b"opened", all_, within_s=plan.opening_s + _LATE_S)
        say(f"{plan.streams} streams are open")
        cores, commands_per_s = await _idle(peer, plan, all_)
        mb, tcp_mb = mb_by_name(all_processes(), peer.roots()), _tcp_mb() - tcp_before
        say(f"idle: front {mb['front']:.0f} MB, {cores['front']:.2f} cores")
        await _all_say(b"resumed", all_, within_s=plan.opening_s + _LATE_S)
        await asyncio.sleep(_RESUME_S)
        say("connections were cut and resumed; the worker goes on")
        worker.send_signal(signal.SIGCONT)
        _go_on(all_)
        seen = merged([IdleSeen(**await one.result(within_s=_LATE_S)) for one in all_])
    return IdleResult(
        before_mb=before_mb,
        mb=mb,
        tcp_mb=tcp_mb,
        cores=cores,
        commands_per_s=commands_per_s,
        seen=seen,
    )


@asynccontextmanager
async def _stopped_worker(peer: Peer) -> AsyncIterator[psutil.Process]:
    """Stop the worker, so that it takes no job; it continues at the end, to be ended."""
    pid = worker_pid(peer.roots())
    if pid is None:
        raise LoadError("the local cloud has no worker")
    worker = psutil.Process(pid)
    worker.send_signal(signal.SIGSTOP)
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGCONT)


async def _idle(
    peer: Peer, plan: IdlePlan, processes: Sequence[LoadProcess]
) -> tuple[Mapping[str, float], float]:
    """Return the CPU use by process, and Valkey's commands per second, while nothing comes."""
    await asyncio.sleep(_REST_S)
    roots = peer.roots()
    _go_on(processes)
    commands, before, began = await _commands(peer), _cpu(roots), perf_counter()
    await asyncio.sleep(plan.seconds)
    seconds = perf_counter() - began
    used, commands = spent(before, _cpu(roots)), await _commands(peer) - commands
    _go_on(processes)
    return {name: cpu_s / seconds for name, cpu_s in used.items()}, commands / seconds


def _cpu(roots: Mapping[int, str]) -> dict[str, float]:
    return cpu_by_name(all_processes(), roots)


async def _commands(peer: Peer) -> int:
    """Return the commands that Valkey has executed, those of scripts included."""
    front = next(pid for pid, name in peer.roots().items() if name == "front")
    valkey = Valkey(psutil.Process(front).environ()["AXON_VALKEY_URL"])
    try:
        stats = await valkey.redis.info("stats")
        return int(stats["total_commands_processed"])
    finally:
        await valkey.close()


def _load(peer: Peer, plan: IdlePlan) -> IdleLoad:
    return IdleLoad(
        kind=peer.kind,
        url=peer.url,
        model=peer.model,
        streams=plan.streams,
        process=0,
        processes=plan.processes,
        opened_per_s=plan.opened_per_s,
        resumed_every=plan.resumed_every,
    )


def _go_on(processes: Sequence[LoadProcess]) -> None:
    for process in processes:
        process.send({})


async def _all_say(word: bytes, processes: Sequence[LoadProcess], *, within_s: float) -> None:
    for process in processes:
        if (line := await process.read(within_s=within_s)) != word:
            raise LoadError(f"a load process says {line!r}, not {word!r}")


def _tcp_mb() -> float:
    """Return the memory of the kernel's TCP buffers in millions of bytes; 0 where it is unknown."""
    file = Path("/proc/net/sockstat")
    lines = file.read_text().splitlines() if file.is_file() else []
    words = next((line.split() for line in lines if line.startswith("TCP:")), [])
    return int(words[words.index("mem") + 1]) * _PAGE_BYTES / 1e6 if "mem" in words else 0.0
