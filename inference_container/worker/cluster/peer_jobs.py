"""Subscription of a worker: jobs that peers hand over, and notices of changed models."""

import asyncio
import logging
from collections.abc import Callable

from axon.adapters.valkey import keys
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.subscriber import Subscriber
from axon.adapters.valkey.workers import HandedOver
from axon.exceptions import UnavailableError
from axon.formats import Refused, UnreadableError, log_refusal
from axon.jobs import ReceivedJob
from axon.periodic import every

logger = logging.getLogger(__name__)

_PULSE_INTERVAL_S = 1.0
_CATCH_UP_TIMEOUT_S = 2.0
_CATCH_UP_MARKER = b"end"


class PeerJobSubscriber:
    """Passes on the jobs that peers hand over, until it is cancelled.

    A job that nobody received, or that arrived too late because this process or its connection
    was stopped, is not run here: its message becomes visible in the queue again, and another
    worker may have received it already.

    Parameters
    ----------
    valkey : Valkey
        Gives the subscription a connection of its own.
    worker_id : str
        Id of this worker, whose channel is subscribed to.
    accept : Callable[[ReceivedJob], None]
        Takes each job that arrives in time.
    models_changed : Callable[[], None]
        Called when the desired models may have changed.
    subscribed : Callable[[], None]
        Called each time that the subscription has been established.
    max_age_s : float
        A job that took longer than this to arrive is dropped, in seconds.
    refused : Refused
        Notified of each job that could not be read. It becomes visible in the queue again, for
        another worker.
    """

    def __init__(
        self,
        *,
        valkey: Valkey,
        worker_id: str,
        accept: Callable[[ReceivedJob], None],
        models_changed: Callable[[], None],
        subscribed: Callable[[], None],
        max_age_s: float,
        refused: Refused = log_refusal,
    ) -> None:
        self._valkey = valkey
        self._channel = keys.worker(worker_id)
        self._accept = accept
        self._models_changed = models_changed
        self._subscribed = subscribed
        self._max_age_ms = max_age_s * 1000
        self._refused = refused
        self._arriving: set[asyncio.Task[None]] = set()
        self._caught_up = asyncio.Event()
        self._subscriber = Subscriber(
            valkey=valkey,
            channel=self._channel,
            receivers={
                self._channel: self._receive,
                keys.MODELS_CHANGED: lambda _: models_changed(),
            },
            resubscribed=self._resubscribed,
        )

    @property
    def connected(self) -> bool:
        """Return whether a job that is handed over now would arrive."""
        return self._subscriber.connected

    async def run(self) -> None:
        """Receive until cancelled."""
        never = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._subscriber.run())
            group.create_task(every(_PULSE_INTERVAL_S, self._subscriber.pulse, until=never))

    async def catch_up(self) -> None:
        """Wait until every job that was handed over so far has been passed on.

        Called after this worker has left the directory: from then on no peer hands over a job, but
        some may still be on their way. What does not arrive within 2 s becomes visible in the queue
        again.
        """
        self._caught_up.clear()
        try:
            async with asyncio.timeout(_CATCH_UP_TIMEOUT_S):
                # A channel keeps its order: the marker arrives after all that was published before.
                if await self._valkey.call("PUBLISH", self._channel, _CATCH_UP_MARKER):
                    await self._caught_up.wait()
                while self._arriving:
                    await asyncio.wait(self._arriving)
        except (UnavailableError, TimeoutError) as error:
            logger.warning("jobs that peers handed over last may run late: %r", error)

    def _resubscribed(self) -> None:
        self._subscribed()
        # A notice that was published while the subscription was down is lost.
        self._models_changed()

    def _receive(self, payload: bytes) -> None:
        if payload == _CATCH_UP_MARKER:
            self._caught_up.set()
            return
        try:
            handed_over = HandedOver.decode(payload)
        except UnreadableError as error:
            self._refused(error)
            return
        # The subscriber's callbacks must not wait, but the job's age takes a call to Valkey.
        task = asyncio.create_task(self._accept_in_time(handed_over))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _accept_in_time(self, handed_over: HandedOver) -> None:
        # Both times are Valkey's: the clocks of two workers may differ by more than the limit. A
        # late job's visibility timeout may have ended, so that another worker runs it by now.
        try:
            age_ms = await self._valkey.now_ms() - handed_over.sent_ms
        except UnavailableError as error:
            logger.warning("dropping a job that a peer handed over: %s", error)
            return
        if age_ms > self._max_age_ms:
            logger.warning("dropping a job that a peer handed over %d ms ago", age_ms)
            return
        self._accept(handed_over.received)
