"""The five stages of a worker."""

from dataclasses import dataclass, fields
from typing import Self

from axon.engine_settings import EngineSettings
from worker.metrics import WorkerMetrics
from worker.pipeline.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The stages that every answer passes, each with as many slots as the engine.

    The first three refuse what their queues have no room for. In the last two an answer that is
    being generated waits for room: its tokens gather in a larger flush.
    """

    retrieve: Stage
    assemble: Stage
    infer: Stage
    post: Stage
    stream: Stage

    @classmethod
    def of(cls, settings: EngineSettings, *, slots: int, metrics: WorkerMetrics) -> Self:
        """Return the stages in front of an engine with `slots` slots, sized by the settings."""

        def stage(name: str, size: int, *, blocks_when_full: bool = False) -> Stage:
            return Stage(
                name,
                size=size,
                slots=slots,
                metrics=metrics.stage(name, refuses=not blocks_when_full),
                blocks_when_full=blocks_when_full,
            )

        return cls(
            retrieve=stage("retrieve", settings.queue_retrieve),
            assemble=stage("assemble", settings.queue_assemble),
            infer=stage("infer", settings.queue_infer),
            post=stage("post", settings.queue_post, blocks_when_full=True),
            stream=stage("stream", settings.queue_stream, blocks_when_full=True),
        )

    async def close(self) -> None:
        """Cancel what holds or waits for a slot, stage by stage."""
        for field in fields(self):
            stage: Stage = getattr(self, field.name)
            await stage.close()
