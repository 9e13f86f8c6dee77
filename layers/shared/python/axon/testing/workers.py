"""Workers that only count how often they were woken."""

from axon.workers import Workers


class FakeWorkers(Workers):
    """See `axon.workers.Workers`."""

    def __init__(self) -> None:
        self.woken = 0

    async def wake(self) -> None:
        self.woken += 1
