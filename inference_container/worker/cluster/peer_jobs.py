"""The worker's subscription: jobs that other workers hand over, and that models have changed."""

import asyncio
import logging
from collections.abc import Callable

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.subscriber import Subscriber
from axon.adapters.valkey.workers import HandedOver
from axon.exceptions import UnavailableError
from axon.jobs import ReceivedJob
from axon.periodic import every

LOGGER = logging.getLogger(__name__)

_PULSE_S = 1.0
_CAUGHT_UP_S = 2.0
_END = b"end"


class PeerJobSubscriber:
    """Hands on what arrives, until it is cancelled.

    What is handed over while nobody listens becomes visible in the queue again, and so does what
    arrives late, because this process or its connection was stopped: another worker may have
    received it meanwhile.

    Parameters
    ----------
    accept : Callable[[ReceivedJob], None]
        Takes each job.
    models_changed : Callable[[], None]
        Called when models may have changed.
    listening : Callable[[], None]
        Called each time that a subscription stands.
    latest_s : float
        So long a job may have been on its way.
    """

    def __init__(
        self,
        *,
        valkey: Valkey,
        worker_id: str,
        accept: Callable[[ReceivedJob], None],
        models_changed: Callable[[], None],
        listening: Callable[[], None],
        latest_s: float,
    ) -> None:
        self._valkey = valkey
        self._channel = keys.worker(worker_id)
        self._accept = accept
        self._models_changed = models_changed
        self._listening = listening
        self._latest_ms = latest_s * 1000
        self._arriving: set[asyncio.Task[None]] = set()
        self._end = asyncio.Event()
        self._subscriber = Subscriber(
            valkey=valkey,
            channel=self._channel,
            receivers={
                self._channel: self._take,
                keys.MODELS_CHANGED: lambda _: models_changed(),
            },
            resubscribed=self._resubscribed,
        )

    @property
    def hears(self) -> bool:
        """Whether a job that is handed over now would arrive."""
        return self._subscriber.hears

    async def run(self) -> None:
        """Listen."""
        never = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._subscriber.run())
            group.create_task(every(_PULSE_S, self._subscriber.pulse, until=never))

    async def catch_up(self) -> None:
        """Wait until all that was handed over so far has been handed on."""
        self._end.clear()
        try:
            async with asyncio.timeout(_CAUGHT_UP_S):
                # It comes after what was published before.
                if await self._valkey.call("PUBLISH", self._channel, _END):
                    await self._end.wait()
                while self._arriving:
                    await asyncio.wait(self._arriving)
        except (UnavailableError, TimeoutError) as error:
            LOGGER.warning("jobs that were handed over last may come late: %r", error)

    def _resubscribed(self) -> None:
        self._listening()
        self._models_changed()  # what was said meanwhile was not heard

    def _take(self, payload: bytes) -> None:
        if payload == _END:
            self._end.set()
            return
        try:
            handed_over = HandedOver.decode(payload)
        except ValueError:
            LOGGER.exception("not a job: %r", payload[:200])
            return
        task = asyncio.create_task(self._arrive(handed_over))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _arrive(self, handed_over: HandedOver) -> None:
        try:
            age_ms = await self._valkey.now_ms() - handed_over.sent_ms
        except UnavailableError as error:
            LOGGER.warning("a job that was handed over is left: %s", error)
            return
        if age_ms > self._latest_ms:
            LOGGER.warning("a job that was handed over %d ms ago is left", age_ms)
            return
        self._accept(handed_over.delivery)
