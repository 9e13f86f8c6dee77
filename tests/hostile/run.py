"""One run: a cloud, the hostile tenant in its own process, the other tenant, and the watch."""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from axon.adapters.valkey.client import Valkey
from tests.hostile.bystander import Asked, Bystander
from tests.hostile.cloud import HOSTILE_KEY, HostileCloud, running_cloud
from tests.hostile.memory import MemoryWatch
from tests.hostile.report import Report

_CLIENTS = 4
_SHORT_S = 600.0
"""A shorter run keeps logs for less time, so that memory is steady after a third of it."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The settings of a run."""

    seconds: float
    memory_mb: int
    only: str
    root: Path
    say: Callable[[str], None]

    @property
    def retention_s(self) -> int:
        """Seconds that a log is kept after its end."""
        return 300 if self.seconds > _SHORT_S else 15


async def run(what: Run) -> Report:
    """Run a cloud, attack it, and return the figures."""
    async with running_cloud(
        what.root, memory_mb=what.memory_mb, retention_s=what.retention_s, say=what.say
    ) as cloud:
        valkey = Valkey(cloud.addresses.valkey.url)
        try:
            return await _measure(what, cloud, valkey)
        finally:
            await valkey.close()


async def _measure(what: Run, cloud: HostileCloud, valkey: Valkey) -> Report:
    asked, stop = Asked(), asyncio.Event()
    watch = MemoryWatch(cloud=cloud, valkey=valkey, file=what.root / "samples.jsonl")
    watching = asyncio.create_task(watch.run())
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_CLIENTS):
                bystander = Bystander(url=cloud.url, key=cloud.key, asked=asked)
                group.create_task(bystander.run(stop))
            attacks = await _attack(what, cloud)
            stop.set()
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    return Report(
        seconds=what.seconds,
        attacks=attacks,
        asked=asked,
        trends=watch.trends(),
        died=sorted(watch.died),
        memory_mb=what.memory_mb,
    )


async def _attack(what: Run, cloud: HostileCloud) -> dict[str, int]:
    arguments = {
        "url": cloud.url,
        "key": HOSTILE_KEY,
        "seconds": what.seconds,
        "only": what.only,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hostile.attack", json.dumps(arguments)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    counts: dict[str, int] = json.loads(output)
    return counts
