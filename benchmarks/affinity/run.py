"""The run: the same conversations with and without affinity, each in a new local cloud."""

import asyncio
from collections.abc import Mapping
from time import perf_counter

from benchmarks.affinity.conversations import WARM_UPS, TurnClient, run_conversations, warm_up
from benchmarks.affinity.model import Counters, Leg, Plan
from benchmarks.command import Say
from benchmarks.engine.sides import start_cloud
from benchmarks.load_process import LoadError
from benchmarks.model import BenchmarkError
from benchmarks.peers import Peer
from benchmarks.prometheus import values
from benchmarks.worker_process import metrics_of
from local.stack.topology import ENGINES

_LEG_S = 900.0
_COUNTERS_TIMEOUT_S, _POLL_S = 5.0, 0.1
_SETTING = "AXON_PREFIX_AFFINITY"
_QUERIES, _HITS = "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total"


async def run(plan: Plan, settings: Mapping[str, str], say: Say) -> list[Leg]:
    """Run both legs.

    Raises
    ------
    BenchmarkError
        A leg failed: one leg alone has no meaning.
    """
    return [await _leg(plan, settings, affinity=affinity, say=say) for affinity in (True, False)]


def counters(roots: Mapping[int, str]) -> dict[str, Counters]:
    """Return the counters of every worker among these processes.

    Raises
    ------
    ServerError
        One of them does not answer.
    """
    return {name: _counted(pid) for pid, name in roots.items() if name.startswith("worker-")}


def _counted(pid: int) -> Counters:
    metrics = metrics_of(pid)
    return Counters(
        queries=sum(values(metrics, _QUERIES).values()),
        hits=sum(values(metrics, _HITS).values()),
        answers=values(metrics, "axon_jobs_total", "outcome").get(("completed",), 0.0),
    )


async def _leg(plan: Plan, settings: Mapping[str, str], *, affinity: bool, say: Say) -> Leg:
    value = "true" if affinity else "false"
    say(f"{_SETTING}={value}: loading {plan.engine} in {plan.workers} workers")
    cloud = await start_cloud(
        plan.engine,
        name=plan.model.resolve().name if plan.model else ENGINES[plan.engine].model,
        model=plan.model,
        python=plan.python,
        settings={**settings, _SETTING: value},
        workers=plan.workers,
    )
    try:
        async with asyncio.timeout(_LEG_S):
            leg = await _measure(cloud, plan, affinity=affinity)
    except TimeoutError as error:
        raise LoadError(f"{_SETTING}={value}: did not end in {_LEG_S:g} s") from error
    finally:
        cloud.stop()
    say(f"{_SETTING}={value}: {len(leg.turns)} turns in {leg.seconds:.1f} s")
    return leg


async def _counters_after(cloud: Peer, answers: int) -> dict[str, Counters]:
    """Return the counters; a worker counts an answer only after its client has it."""
    until = perf_counter() + _COUNTERS_TIMEOUT_S
    while True:
        counted = await asyncio.to_thread(counters, cloud.roots())
        if sum(one.answers for one in counted.values()) >= answers or perf_counter() > until:
            return counted
        await asyncio.sleep(_POLL_S)


async def _measure(cloud: Peer, plan: Plan, *, affinity: bool) -> Leg:
    clients = [TurnClient(url=cloud.url, model=cloud.model) for _ in range(plan.concurrency)]
    try:
        for client in clients:
            await client.connect()
        await warm_up(clients)
        before = await _counters_after(cloud, len(clients) * WARM_UPS)
        if len(before) != plan.workers:
            raise LoadError(f"{len(before)} workers instead of {plan.workers}")
        began = perf_counter()
        turns = await run_conversations(plan, clients)
        seconds = perf_counter() - began
        after = await _counters_after(cloud, len(clients) * WARM_UPS + len(turns))
    except BenchmarkError:
        raise
    except (ExceptionGroup, OSError) as error:
        first = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        raise LoadError(f"{type(first).__name__}: {first}"[:500]) from error
    finally:
        for client in clients:
            client.close()
    counted = {name: after[name].since(before[name]) for name in before}
    return Leg(affinity=affinity, seconds=seconds, turns=turns, counters=counted)
