"""Run the benchmark: servers, responses, sweepers, and what the observer saw."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from axon.adapters import composition
from axon.adapters.aws.sqs_api import SqsApi
from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey as Client
from axon.tasks import end
from benchmarks.command import Say
from benchmarks.cpu import all_processes, cpu_by_name, spent
from benchmarks.expiry.observer import Observer
from benchmarks.expiry.responses import (
    DEADLINES,
    RELAYS,
    Outcome,
    deadline,
    open_responses,
    outcome,
    serve_model,
)
from benchmarks.expiry.sweeper_process import PROFILE
from local.ports import Ports
from local.services.fauxqs import Fauxqs
from local.services.queues import HISTORY, REGION, queue_url
from local.services.valkey import Valkey
from local.supervision.child import Child
from local.supervision.guardian import Guardian

_NO_PROGRESS_S = 30.0
"""Seconds without an end after which no more are expected: leases of 20 s have ended by then."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The measurement that is asked for.

    Parameters
    ----------
    count : int
        Responses.
    sweepers : int
        Processes that sweep.
    stored : bool
        False for responses without history: the difference is what SQS costs.
    profiles : Path | None
        Folder for profiles of the sweepers.
    """

    count: int
    sweepers: int
    stored: bool
    profiles: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """The measurement.

    Parameters
    ----------
    after : Sequence[float]
        Seconds from the deadline to the publication of each response's first end.
    ended_twice : int
        Responses with more than one published end.
    outcome : Outcome
        What the log says in the end.
    recorded, unrecorded : int
        Records in the history queue; ends that were told without one.
    cpu : Mapping[str, float]
        CPU seconds, from before the deadline to after the last end, by process.
    load : float
        Load average of the last minute before the sweepers were started.
    """

    after: Sequence[float]
    ended_twice: int
    outcome: Outcome
    recorded: int
    unrecorded: int
    cpu: Mapping[str, float]
    load: float


async def run(plan: Plan, say: Say) -> Result:
    """Measure once."""
    load = os.getloadavg()[0]
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "bench")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "bench")
    with _servers() as (valkey, fauxqs, roots):
        api = composition.sqs_api(queue_url(fauxqs.endpoint, HISTORY), region=REGION)
        client = Client(valkey.url)
        try:
            say(f"opening {plan.count} responses")
            ids = await open_responses(client, plan.count, stored=plan.stored)
            with Observer(port=valkey.port, channels=[*map(keys.relay_channel, RELAYS)]) as seen:
                say("they expire")
                began, cpu, unrecorded = await _sweep(plan, client, valkey, fauxqs, roots)
            ends = seen.ends()
            return Result(
                after=sorted(min(ends[each]) - began for each in ids if each in ends),
                ended_twice=sum(len(times) > 1 for times in ends.values()),
                outcome=await outcome(client, ids),
                recorded=await _messages(api),
                unrecorded=unrecorded,
                cpu=cpu,
                load=load,
            )
        finally:
            await client.close()
            await api.close()


@contextmanager
def _servers() -> Iterator[tuple[Valkey, Fauxqs, dict[int, str]]]:
    """Start the servers; give them, and their names by process id."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="axon-bench-")))
        stack.enter_context(Guardian(owner=str(folder), temporary=folder))
        ports = stack.enter_context(Ports())
        valkey = Valkey(port=ports.reserve(), folder=folder / "valkey", persistent=False)
        fauxqs = Fauxqs(port=ports.reserve(), folder=folder / "fauxqs", persistent=False)
        roots = {}
        for program in (valkey.program(), fauxqs.program()):
            child = Child(program, owner=str(folder), log=folder / f"{program.name}.log")
            stack.callback(child.kill)
            child.wait_until_ready()
            roots[child.pid] = program.name
        yield valkey, fauxqs, roots


async def _sweep(
    plan: Plan, client: Client, valkey: Valkey, fauxqs: Fauxqs, roots: Mapping[int, str]
) -> tuple[float, Mapping[str, float], int]:
    """Sweep until all have ended; return when they expired, the CPU seconds, ends unrecorded."""
    serving = asyncio.create_task(serve_model(client))
    try:
        began = await deadline(client)
        sweepers = [_sweeper(number, plan, valkey, fauxqs) for number in range(plan.sweepers)]
        try:
            named = {**roots, **{one.pid: f"sweeper-{n}" for n, one in enumerate(sweepers)}}
            # By then the sweepers are under way: their start is not part of the figures.
            await asyncio.sleep(began - time.time() - 0.5)
            before = cpu_by_name(all_processes(), named)
            await _all_ended(client)
            cpu = spent(before, cpu_by_name(all_processes(), named))
        finally:
            for one in sweepers:
                one.send_signal(signal.SIGTERM)
            printed = [await asyncio.to_thread(one.communicate, timeout=30) for one in sweepers]
    finally:
        await end(serving)
    return began, cpu, sum(json.loads(out)["unrecorded"] for out, _ in printed)


def _sweeper(number: int, plan: Plan, valkey: Valkey, fauxqs: Fauxqs) -> "subprocess.Popen[bytes]":
    profile = {PROFILE: str(plan.profiles / f"sweeper-{number}.prof")} if plan.profiles else {}
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.expiry.sweeper_process"],
        env=os.environ
        | {
            "AXON_VALKEY_URL": valkey.url,
            "AXON_HISTORY_QUEUE_URL": queue_url(fauxqs.endpoint, HISTORY),
            "AXON_QUEUE_DEADLINE_S": str(DEADLINES.queue_s),
            "AXON_LOG_LEVEL": "WARNING",
        }
        | profile,
        stdout=subprocess.PIPE,
    )


async def _all_ended(client: Client) -> None:
    """Wait until the index is empty, or nothing has left it for `_NO_PROGRESS_S`."""
    left, since = -1, time.monotonic()
    while time.monotonic() < since + _NO_PROGRESS_S:
        now: int = await client.call("ZCARD", keys.DEADLINES)
        if not now:
            return
        if now != left:
            left, since = now, time.monotonic()
        await asyncio.sleep(0.1)


async def _messages(api: SqsApi) -> int:
    """Return how many messages the queue holds."""
    name = "ApproximateNumberOfMessages"
    answer = await api.call("GetQueueAttributes", AttributeNames=[name])
    return int(answer["Attributes"][name])
