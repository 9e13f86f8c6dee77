"""Several workers in this process, which record where jobs were run."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from axon.jobs import Job, ReceivedJob
from tests.integration.worker.conftest import WorkerHarness
from worker import composition
from worker.cluster.handover import JobHandover
from worker.cluster.registration import LocalWorker, WorkerRegistration
from worker.cluster.router import Router
from worker.outcome import FORWARDED, AttemptResult

TOGETHER = {"model_retention_s": "0.6"}
"""Has a worker look for others several times a second."""


class ClusterHarness:
    """Notes where jobs are run: (conversation, worker, whether it was handed over) by response."""

    def __init__(self, harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
        self.harness = harness
        self.ran: dict[str, list[tuple[str, str, bool]]] = {}
        self.forwarded: set[str] = set()
        self.announcers: dict[str, WorkerRegistration] = {}
        self._watch(monkeypatch)

    def _watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        announcers = self.announcers
        workers: dict[Router, str] = {}

        class WatchedRouter(Router):
            def __init__(self, *, handover: JobHandover, **parts: Any) -> None:
                super().__init__(handover=handover, **parts)
                workers[self] = handover.worker_id

            async def route(router, job: Job, received: ReceivedJob) -> AttemptResult | None:  # noqa: N805
                result = await super().route(job, received)
                if result is FORWARDED:
                    self.forwarded.add(job.response_id)
                elif result is None:
                    place = (job.conversation_id, workers[router], received.forwarded)
                    self.ran.setdefault(job.response_id, []).append(place)
                return result

        class WatchedAnnouncer(WorkerRegistration):
            def __init__(self, *, worker: LocalWorker, **parts: Any) -> None:
                super().__init__(worker=worker, **parts)
                announcers[worker.worker_id] = self

        monkeypatch.setattr(composition, "Router", WatchedRouter)
        monkeypatch.setattr(composition, "WorkerRegistration", WatchedAnnouncer)

    @asynccontextmanager
    async def workers(self, *names: str, **changes: str) -> AsyncIterator[None]:
        """Run workers in this process that know each other."""
        async with AsyncExitStack() as stack:
            for name in names:
                changed = TOGETHER | {"worker_id": name} | changes
                await stack.enter_async_context(self.harness.worker(**changed))
            await self.known(len(names) - 1, by=names)
            yield

    async def known(self, others: int, *, by: Sequence[str]) -> None:
        """Wait until these workers know `others` peers."""
        async with asyncio.timeout(20):
            while any(
                not (registration := self.announcers.get(name))
                or not registration.announced.is_set()
                or len(registration.peers) < others
                for name in by
            ):
                await asyncio.sleep(0.01)
