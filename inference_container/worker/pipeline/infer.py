"""infer: the engine's generation, as flushes."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial

from worker.engines.protocol import Engine, EngineError, GenerateRequest
from worker.metrics import WorkerMetrics
from worker.pipeline.flush import FlushPolicy
from worker.pipeline.stage import Stage
from worker.pipeline.stream import Coalescer, Flush
from worker.shutdown import HandedOverError, Shutdown


class Inference:
    """One generation. It holds a runner of the stage only while the engine generates.

    Parameters
    ----------
    priority : int
        The request's place in the stage's queue.
    shutdown : Shutdown
        When it drains, what still waits does not begin; when it hands over, what runs ends with
        what it gave so far.
    """

    def __init__(
        self,
        request: GenerateRequest,
        *,
        engine: Engine,
        stage: Stage,
        priority: int,
        policy: FlushPolicy,
        shutdown: Shutdown,
        metrics: WorkerMetrics,
    ) -> None:
        self._request = request
        self._stage = stage
        self._priority = priority
        self._shutdown = shutdown
        self._metrics = metrics
        self._begun = False
        self._coalescer = Coalescer(engine.generate(request), policy=policy, run=self._run)

    @property
    def received(self) -> int:
        """Tokens that the engine gave so far."""
        return self._coalescer.received

    async def flushes(self) -> AsyncGenerator[Flush, None]:
        """Yield flushes, the last one with a finish reason; close this to abort the generation.

        Raises
        ------
        StageFullError
            It has not begun, for want of room.
        HandedOverError
            The worker ends.
        EngineError
            The engine's own, after what it gave before; or it ended without a reason.
        """
        coalescer, finished = self._coalescer, False
        async with self._stopping(), aclosing(coalescer.flushes()) as flushes:
            async for flush in flushes:
                finished = flush.finish_reason is not None
                yield flush
        if not finished:
            if coalescer.stopped:
                raise HandedOverError
            raise EngineError("The engine ended the answer before its end.")
        if (seconds := coalescer.seconds_per_token) is not None:
            self._metrics.time_per_token(seconds)

    async def _run(self, read: Callable[[], Awaitable[None]]) -> None:
        await self._stage.run(partial(self._generate, read), priority=self._priority)

    async def _generate(self, read: Callable[[], Awaitable[None]]) -> None:
        self._begun = True
        tokens = len(self._request.prompt.token_ids)
        self._metrics.tokens("input", tokens, model=self._request.model)
        await read()

    @asynccontextmanager
    async def _stopping(self) -> AsyncGenerator[None, None]:
        watching = asyncio.create_task(self._stop())
        try:
            yield
        finally:
            watching.cancel()

    async def _stop(self) -> None:
        await self._shutdown.draining.wait()
        if self._begun or not self._stage.busy:
            await self._shutdown.handing_over.wait()
        self._coalescer.stop()
