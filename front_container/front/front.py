"""Run a front: follow, serve, revoke; at shutdown let answers end, and leave the rest to others."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from axon.adapters.valkey.follower import ValkeyFollower
from axon.event_log.kept_ends import KeptEnds
from axon.periodic import every
from axon.tasks import end
from front import reading, revoker
from front.context import FrontContext
from front.revoker import Revoker
from front.server import start_server, stop_listening

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Front:
    """The parts of a front, and the order in which they begin and end."""

    context: FrontContext
    follower: ValkeyFollower
    revoker: Revoker
    kept_ends: KeptEnds
    stop_timeout_s: float
    keep_alive_s: float

    @property
    def ready(self) -> bool:
        """False while requests that came now would not be served."""
        return self.follower.connected and not self.context.requests.draining

    async def state(self) -> dict[str, object] | None:
        """Return the state for /health, or None while requests would not be served."""
        if not self.ready:
            return None
        context = self.context
        return {"requests": context.requests.count, "responses": len(context.reader.attended)}

    async def run(
        self, application: web.Application, *, host: str, port: int, stop: asyncio.Event
    ) -> None:
        """Serve the application until `stop` is set, then drain."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.follower.run()),
                group.create_task(_always(reading.LOOK_S, self.context.reader.attend)),
                group.create_task(_always(revoker.LOOK_S, self.revoker.step)),
                group.create_task(self.kept_ends.run()),
            ]
            runner = await start_server(
                application, host=host, port=port, keep_alive_s=self.keep_alive_s
            )
            logger.info("the front serves on %s", runner.addresses)
            try:
                await stop.wait()
                await self._leave(runner)
            finally:
                # Also when it is cancelled, or a task has failed: nothing answers there any more.
                await stop_listening(runner)
            # Last of all: until then, answers are read and their responses attended.
            await end(*tasks)
            await self.revoker.cancel()

    async def _leave(self, runner: web.AppRunner) -> None:
        requests = self.context.requests
        requests.draining = True
        logger.info("the front ends, with %d open requests", requests.count)
        await stop_listening(runner)
        self.context.sockets.leave()
        # Running answers go on for this time. A stream that is left ends without a terminal event,
        # so its client resumes it at another front; WebSockets are closed with a code that says so,
        # those without a running answer at once. A client that waits for JSON does not know the
        # response's id: it can only repeat the request, with its idempotency key if it sent one.
        await requests.drain(self.stop_timeout_s)
        await self.context.sockets.close()
        await runner.cleanup()
        await self.context.reader.drain()


async def _always(interval_s: float, step: Callable[[], Awaitable[object]]) -> None:
    """Repeat a step until this is cancelled."""
    await every(interval_s, step, until=asyncio.Event())
