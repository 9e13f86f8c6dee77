"""infer: the engine's generation, as flushes."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from worker.engines.protocol import Engine, EngineError, GenerateRequest, TokenChunk
from worker.metrics import WorkerMetrics
from worker.pipeline.flush import FlushPolicy
from worker.pipeline.stage import Stage
from worker.pipeline.stream import Coalescer, Flush
from worker.shutdown import HandedOverError, Shutdown


class Inference:
    """One generation, which holds a slot of the stage only while the engine generates.

    Parameters
    ----------
    request : GenerateRequest
        The generation to run.
    engine : Engine
        The engine that runs it.
    stage : Stage
        The stage `infer`.
    priority : int
        Priority in the stage's queue.
    policy : FlushPolicy
        When tokens are flushed.
    shutdown : Shutdown
        Once it drains, a generation that still waits for its slot does not begin; once it hands
        over, a running one ends with the tokens that it has generated so far.
    metrics : WorkerMetrics
        Metrics of the worker.
    engine_hangs : Callable[[str], None]
        Called with the reason when the engine does not end a generation that is closed.
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
        engine_hangs: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._request = request
        self._engine = engine
        self._stage = stage
        self._priority = priority
        self._shutdown = shutdown
        self._metrics = metrics
        self._begun = False
        self._coalescer = Coalescer(
            self._generate(),
            policy=policy,
            lengths=request.parsed,
            stuck=lambda: engine_hangs(f"it does not end the generation {request.request_id}"),
        )

    @property
    def begun(self) -> bool:
        """Return whether the engine has been given the request."""
        return self._begun

    @property
    def received(self) -> int:
        """Tokens that the engine has generated so far."""
        return self._coalescer.received

    async def flushes(self) -> AsyncGenerator[Flush, None]:
        """Yield flushes, the last one with a finish reason; close this to abort the generation.

        Raises
        ------
        StageFullError
            The stage had no room; nothing was generated.
        HandedOverError
            The worker shuts down; all tokens generated so far were yielded before.
        EngineError
            The engine's error, after all tokens generated before it were yielded; also if the
            engine ends without a finish reason.
        """
        coalescer, finished = self._coalescer, False
        with self._shutdown.watched(self._stop_at_shutdown):
            async with aclosing(coalescer.flushes()) as flushes:
                async for flush in flushes:
                    finished = flush.finish_reason is not None
                    yield flush
        if not finished:
            if coalescer.stopped:
                raise HandedOverError
            raise EngineError("The engine ended the answer before its end.")
        if (seconds := coalescer.seconds_per_token) is not None:
            self._metrics.time_per_token(seconds)

    async def _generate(self) -> AsyncGenerator[TokenChunk, None]:
        """Yield the engine's chunks, with a slot of the stage from the first to the last.

        The coalescer reads them in a task of its own, as fast as they come. So the slot is free
        for the next answer when the engine is, however long the last flushes take to append.
        """
        async with self._stage.slot(self._priority):
            self._begun = True
            tokens = len(self._request.prompt.token_ids)
            self._metrics.tokens("input", tokens, model=self._request.model)
            async with aclosing(self._engine.generate(self._request)) as chunks:
                async for chunk in chunks:
                    yield chunk

    def _stop_at_shutdown(self) -> None:
        # A generation with a slot may end while the worker drains, also one that is about to take
        # a free slot. One that waits for a slot would only begin late: another worker is sooner.
        if self._shutdown.handing_over.is_set() or not (self._begun or not self._stage.busy):
            self._coalescer.stop()
