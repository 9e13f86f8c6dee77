"""The relays' and workers' metrics, read often, because a death ends them."""

import asyncio
from collections import Counter
from contextlib import suppress

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from local.ports import LOOPBACK
from tests.chaos.cloud import RELAYS, WORKERS, ChaosCloud

TAKEN_OVER = "axon_relay_adopted_connections_total"
SLOTS_USED = "axon_worker_slots_used"
EVERY_S = 1.0


class Watch:
    """Keeps the last figures of each relay's each life."""

    def __init__(self, cloud: ChaosCloud) -> None:
        self._cloud = cloud
        self._taken_over: dict[int, Counter[str]] = {}

    @property
    def taken_over(self) -> Counter[str]:
        """Connections that relays have taken over, by outcome."""
        return sum(self._taken_over.values(), Counter())

    async def run(self) -> None:
        """Look once a second, for ever."""
        async with aiohttp.ClientSession() as session:
            while True:
                await asyncio.gather(*(self._look(session, name) for name in RELAYS))
                await asyncio.sleep(EVERY_S)

    async def slots_used(self) -> int | None:
        """Return how many jobs the workers run; None if one does not answer."""
        async with aiohttp.ClientSession() as session:
            found = [await self._samples(session, name) for name in WORKERS]
        used = [samples.get(SLOTS_USED) for samples in found]
        return None if None in used else int(sum(value or 0 for value in used))

    async def _look(self, session: aiohttp.ClientSession, name: str) -> None:
        pid = self._cloud.pid(name)
        samples = await self._samples(session, name)
        if pid is not None and pid == self._cloud.pid(name) and samples:
            self._taken_over[pid] = Counter(
                {
                    outcome: int(samples.get(f"{TAKEN_OVER}:{outcome}", 0))
                    for outcome in ("continued", "closed")
                }
            )

    async def _samples(self, session: aiohttp.ClientSession, name: str) -> dict[str, float]:
        url = f"http://{LOOPBACK}:{self._cloud.health_ports[name]}/metrics"
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            headers = {"Authorization": f"Bearer {self._cloud.addresses.token}"}
            timeout = aiohttp.ClientTimeout(total=1)
            async with session.get(url, headers=headers, timeout=timeout) as answer:
                text = await answer.text()
            return {
                ":".join((sample.name, *sample.labels.values())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name in (TAKEN_OVER, SLOTS_USED)
            }
        return {}
