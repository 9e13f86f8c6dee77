"""A WorkerScaler in memory."""

from typing_extensions import override

from axon.scaling import WorkerScaler


class FakeWorkerScaler(WorkerScaler):
    """Counts the calls of `ensure_running`; see `axon.scaling.WorkerScaler`."""

    def __init__(self) -> None:
        self.calls = 0

    @override
    async def ensure_running(self) -> None:
        self.calls += 1
