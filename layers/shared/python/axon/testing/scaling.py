"""WorkerScaler that only count how often they were woken."""

from axon.scaling import WorkerScaler


class FakeWorkerScaler(WorkerScaler):
    """See `axon.scaling.WorkerScaler`."""

    def __init__(self) -> None:
        self.woken = 0

    async def wake(self) -> None:
        self.woken += 1
