"""The five stages of a worker."""

from dataclasses import dataclass
from typing import Self

from axon.settings import EngineSettings
from worker.metrics import WorkerMetrics
from worker.pipeline.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What each answer passes; as many runners each as the engine has slots.

    The first three refuse what their queues have no room for. In the last two an answer under way
    waits: its tokens gather meanwhile.
    """

    retrieve: Stage
    assemble: Stage
    infer: Stage
    post: Stage
    stream: Stage

    @classmethod
    def of(cls, settings: EngineSettings, *, slots: int, metrics: WorkerMetrics) -> Self:
        """Return the stages that the settings say, before an engine with so many slots."""

        def stage(name: str, size: int, *, patient: bool = False) -> Stage:
            return Stage(
                name, size=size, concurrency=slots, metrics=metrics.stage(name), patient=patient
            )

        return cls(
            retrieve=stage("retrieve", settings.queue_retrieve),
            assemble=stage("assemble", settings.queue_assemble),
            infer=stage("infer", settings.queue_infer),
            post=stage("post", settings.queue_post, patient=True),
            stream=stage("stream", settings.queue_stream, patient=True),
        )

    async def close(self) -> None:
        """End what still runs or waits."""
        for stage in (self.retrieve, self.assemble, self.infer, self.post, self.stream):
            await stage.close()
