"""VisibilityExtender: keeps the messages of running jobs invisible to other workers."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from axon.exceptions import PermanentRefusalError, UnavailableError
from axon.jobs import JobQueue, NotExtended, ReceivedJob

logger = logging.getLogger(__name__)


class VisibilityExtender:
    """Extends the visibility timeout of tracked messages, at every third of it.

    A message whose worker dies is received by another one after at most one timeout. Two
    extensions may fail before a message of a live worker becomes visible.

    Parameters
    ----------
    queue : JobQueue
        The jobs queue.
    visibility_timeout_s : int
        Visibility timeout of the queue, in seconds.
    """

    def __init__(self, *, queue: JobQueue, visibility_timeout_s: int) -> None:
        self._queue = queue
        self._timeout_s = visibility_timeout_s
        self._interval_s = visibility_timeout_s / 3
        self._tracked: dict[str, ReceivedJob] = {}
        self._due: dict[str, ReceivedJob] = {}
        # Orders extensions and releases: an extension that overtook a release would hide the
        # message again for a whole timeout, though no worker runs its job.
        self._calls = asyncio.Lock()

    def track(self, received: ReceivedJob) -> None:
        """Extend this message from now on, first when the next extension is due."""
        self._tracked[received.receipt_handle] = received

    def tracks(self, received: ReceivedJob) -> bool:
        """Return whether the message is tracked."""
        return received.receipt_handle in self._tracked

    @property
    def tracked(self) -> Sequence[ReceivedJob]:
        """The messages that this worker holds."""
        return list(self._tracked.values())

    async def extend_now(self, received: ReceivedJob) -> None:
        """Extend a tracked message at once: its timeout began when a peer received it."""
        self._due[received.receipt_handle] = received
        async with self._calls:
            # The first one through the lock extends all that have gathered meanwhile.
            due = [each for each in self._due.values() if self.tracks(each)]
            self._due.clear()
            if due:
                await self._extend(due)

    def forget(self, received: ReceivedJob) -> None:
        """Stop extending: unless it is deleted, the message becomes visible after its timeout."""
        self._tracked.pop(received.receipt_handle, None)

    async def release(self, received: ReceivedJob, *, delay_s: int = 0) -> None:
        """Make a message visible to other workers, at once or after `delay_s` seconds.

        A call that fails is not repeated: the visibility timeout does the same later.
        """
        self.forget(received)
        with suppress(UnavailableError):
            async with self._calls:
                await self._queue.extend([received], timeout_s=delay_s)

    async def run(self) -> None:
        """Extend tracked messages until cancelled."""
        timed_out = False
        while True:
            if not timed_out:  # else the call has taken the interval
                await asyncio.sleep(self._interval_s)
            async with self._calls:
                timed_out = not await self._extend(list(self._tracked.values()))

    async def _extend(self, messages: Sequence[ReceivedJob]) -> bool:
        """Extend messages; return whether the queue answered within the interval."""
        try:
            # A call that takes longer would hold the lock, and the next extension with it.
            async with asyncio.timeout(self._interval_s):
                failed = await self._queue.extend(messages, timeout_s=self._timeout_s)
        except UnavailableError as error:
            logger.warning("cannot extend %d jobs: %s", len(messages), error)
        except TimeoutError:
            logger.warning("cannot extend %d jobs: no answer", len(messages))
            return False
        else:
            self._note_failed(failed)
        return True

    def _note_failed(self, failed: Sequence[NotExtended]) -> None:
        """Give messages up whose receipt is not valid any more; the others are tried again.

        Such a message is visible, another worker's, or deleted. The attempt runs on: if another
        one has begun, its claim of the response ends this one.
        """
        for each in failed:
            if isinstance(each.error, PermanentRefusalError):
                self.forget(each.received)
                logger.warning("message %s is lost: %s", each.received.message_id, each.error)
        if left := [each for each in failed if each.received.receipt_handle in self._tracked]:
            logger.warning("cannot extend %d jobs: %s", len(left), left[0].error)
