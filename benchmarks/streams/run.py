"""The run: every number of streams with every peer in turn, so that a drift affects all alike."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, replace
from time import perf_counter
from typing import Any

from benchmarks.command import Say
from benchmarks.cpu import all_processes, cpu_by_name, mb_by_name, spent
from benchmarks.peer_group import PeerGroup, open_peer_group
from benchmarks.peers import AXON_SSE, Peer
from benchmarks.streams.model import (
    SETTLE_S,
    Measurement,
    Plan,
    StreamLoad,
    StreamsSeen,
    merged,
)
from benchmarks.streams.processes import allow_files, open_processes

_BASELINE_S = 3.0
_LEAD_S = 0.5
"""Seconds from the order to open streams to the first one: for the order's way to all processes."""
_LATE_S = 60.0
"""Seconds after its due time for which an answer's end is awaited."""
_LOAD = "load"


def settings_for(streams: int) -> dict[str, str]:
    """Return the settings of a local cloud that runs this many streams at a time."""
    queued = str(2 * streams)
    return {
        "AXON_SLOTS": str(streams),
        "AXON_QUEUE_RETRIEVE": queued,
        "AXON_QUEUE_ASSEMBLE": queued,
        "AXON_QUEUE_INFER": queued,
        "AXON_QUEUE_POST": queued,
        "AXON_QUEUE_STREAM": queued,
    }


async def run(plan: Plan, say: Say) -> list[Measurement]:
    """Run the whole plan.

    Raises
    ------
    BenchmarkError
        A server or a load process failed, or too few files may be open.
    """
    most = max(plan.streams)
    allow_files(2 * most)  # of a gateway: a client's connection, and one to the engine
    found = []
    async with open_peer_group(
        plan.peers, pace=plan.pace, seconds=_BASELINE_S, settings=settings_for(most)
    ) as group:
        asked = [at_front(peer) for peer in group.running if peer.name in plan.peers]
        for turn, streams in enumerate(plan.streams):
            first = turn % len(asked)
            for peer in asked[first:] + asked[:first]:
                one = await _measure(group, peer, plan, streams)
                found.append(one)
                say(describe(one))
    return found


def describe(one: Measurement) -> str:
    """Return a measurement in one line."""
    seen = one.seen
    if not one.whole:
        return (
            f"FAILED {one.peer}, {one.streams} streams: {seen.finished} whole, {seen.failed} "
            f"failed: {', '.join(seen.failures[:1])}"
        )
    return (
        f"{one.peer}, {one.streams} streams, {seen.held} of them in the whole window: "
        f"{one.gateway} {one.cores(one.gateway):.2f} cores, {one.mb[one.gateway]:.0f} MB; all "
        f"{one.total_cores:.2f}, load {one.load_cpu_s / one.window_s:.2f} cores"
    )


def at_front(peer: Peer) -> Peer:
    """Return a peer under its own address: on AWS no gateway forwards to the front."""
    if peer.name == AXON_SSE:
        return replace(peer, url=f"{peer.front_url}/responses")
    return peer


async def _measure(group: PeerGroup, peer: Peer, plan: Plan, streams: int) -> Measurement:
    async with open_processes("load", plan.processes) as processes:
        load = _load(peer, plan, streams)
        for number, process in enumerate(processes):
            process.send(asdict(replace(load, process=number)))
        roots = peer.roots() | {process.pid: _LOAD for process in processes}
        await asyncio.sleep(load.from_at - perf_counter())
        before, began = cpu_by_name(all_processes(), roots), perf_counter()
        await asyncio.sleep(load.to_at - perf_counter())
        usage, ended = all_processes(), perf_counter()
        cpu_s, mb = spent(before, cpu_by_name(usage, roots)), mb_by_name(usage, roots)
        limit_s = load.until + _LATE_S - perf_counter()
        parts = [_seen(await process.result(within_s=limit_s)) for process in processes]
    load_cpu_s = cpu_s.pop(_LOAD)
    mb.pop(_LOAD)
    return Measurement(
        peer=peer.name,
        streams=streams,
        window_s=ended - began,
        baseline_ms=group.baseline_ms,
        cpu_s=cpu_s,
        mb=mb,
        load_cpu_s=load_cpu_s,
        seen=merged(parts),
    )


def _load(peer: Peer, plan: Plan, streams: int) -> StreamLoad:
    """Return the load of the first process."""
    begin_at = perf_counter() + _LEAD_S
    from_at = begin_at + plan.opening_s(streams) + SETTLE_S
    tokens, token_s = plan.tokens(streams), plan.pace.token_s
    return StreamLoad(
        kind=peer.kind,
        url=peer.url,
        model=peer.model,
        tokens=tokens,
        token_s=token_s,
        streams=streams,
        process=0,
        processes=plan.processes,
        opened_per_s=plan.opened_per_s,
        begin_at=begin_at,
        from_at=from_at,
        to_at=from_at + plan.seconds,
        until=begin_at + plan.opening_s(streams) + tokens * token_s + _LATE_S,
    )


def _seen(values: dict[str, Any]) -> StreamsSeen:
    """Return a process's result from JSON, whose keys are strings."""
    counted = {
        name: {int(place): count for place, count in values[name].items()}
        for name in ("gaps", "late")
    }
    return StreamsSeen(**(values | counted))


def failures(measured: Sequence[Measurement]) -> list[str]:
    """Return a line for each measurement with an answer that was not whole."""
    return [describe(one) for one in measured if not one.whole]
