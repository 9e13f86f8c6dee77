"""Liveness: shows peers that this worker is alive, and releases the messages of dead ones."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from axon.directory.beats import BEAT_S, SILENT_S, HeldChange, HeldMessage, WorkerBeats
from axon.exceptions import PermanentRefusalError, UnavailableError
from axon.jobs import JobQueue, ReceivedJob
from axon.retry import sleep_unless
from axon.tasks import TaskSet
from worker.cluster.peer_watch import PeerWatch
from worker.metrics import WorkerMetrics

logger = logging.getLogger(__name__)

_SHORTEST_PAUSE_S = 0.05
"""Seconds between two beats however many jobs begin: 20 calls a second at most."""
_LEAVE_TIMEOUT_S = 2.0


def incarnation_of(worker_id: str) -> str:
    """Return a name for this process that no other one has, not even of the same worker id."""
    return f"{worker_id}:{secrets.token_hex(4)}"


class WorkerLiveness:
    """Beats, and watches the beats of peers.

    With each beat goes what has changed in the list of messages that this worker holds. A job that
    has just begun is listed at once, so that a worker which dies a moment later leaves it to its
    peers, too.

    A peer that is dead for this worker is only not seen to be alive: it may be stopped, or cut off
    from Valkey. Its messages are released all the same, because its clients get nothing. When it
    continues, the attempts that have begun elsewhere meanwhile fence its own at their next append.

    Parameters
    ----------
    incarnation : str
        Name of this process; see `axon.directory.beats.WorkerBeats`.
    beats : WorkerBeats
        The beats and lists of all workers.
    queue : JobQueue
        The queue that a dead worker's messages are released to.
    held : Callable[[], Sequence[ReceivedJob]]
        Returns the messages that this worker holds.
    metrics : WorkerMetrics
        Counts the messages that this worker has released for dead peers.
    watch : PeerWatch | None
        Decides which peers are dead; by default one with the process's own clock.
    """

    def __init__(
        self,
        *,
        incarnation: str,
        beats: WorkerBeats,
        queue: JobQueue,
        held: Callable[[], Sequence[ReceivedJob]],
        metrics: WorkerMetrics,
        watch: PeerWatch | None = None,
    ) -> None:
        self.incarnation = incarnation
        self._beats = beats
        self._queue = queue
        self._held = held
        self._metrics = metrics
        self._watch = watch or PeerWatch(incarnation=incarnation)
        self._counts = count(1)
        self._listed: dict[str, HeldMessage] = {}
        self._version = 0
        # Until the first success, and after a failure, it is not known what the stored list is.
        self._in_step = False
        self._changed = asyncio.Event()
        self._taking: set[str] = set()
        self._takeovers = TaskSet(error="a dead worker's messages could not be released")

    def jobs_changed(self) -> None:
        """List the messages that are held now without waiting for the next beat."""
        self._changed.set()

    async def run(self) -> None:
        """Beat and watch until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_beating())
                group.create_task(self._keep_watching())
        finally:
            await self._takeovers.cancel()

    async def leave(self) -> None:
        """Forget this worker: it has ended its jobs or released them.

        If it still holds a message it stays in the directory: it beats no more, so a peer releases
        the message soon.
        """
        if self._held():
            return
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                await self._beats.leave(self.incarnation)
        except (UnavailableError, TimeoutError) as error:
            logger.warning("cannot leave the beats of workers: %s", error)

    async def _keep_beating(self) -> None:
        while True:
            # Cleared before the list is read: a job that begins during the call asks for another.
            self._changed.clear()
            await self._beat()
            await asyncio.sleep(_SHORTEST_PAUSE_S)
            await sleep_unless(self._changed, BEAT_S - _SHORTEST_PAUSE_S)

    async def _beat(self) -> None:
        held = {
            each.receipt_handle: HeldMessage(each.receipt_handle, each.message_id)
            for each in self._held()
        }
        change = self._change_to(held)
        try:
            # A refused change means that the stored list is another one: the next beat replaces it.
            self._in_step = await self._beats.beat(
                self.incarnation, change, count=next(self._counts)
            )
        except UnavailableError as error:
            # It may have been applied, or not.
            self._in_step = False
            logger.warning("cannot beat: %s", error)
            return
        if self._in_step:
            self._listed = held
        else:
            self._changed.set()

    def _change_to(self, held: Mapping[str, HeldMessage]) -> HeldChange:
        before = self._version
        if not self._in_step:
            self._version += 1
            return HeldChange(before=None, after=self._version, added=list(held.values()))
        added = [each for handle, each in held.items() if handle not in self._listed]
        removed = [handle for handle in self._listed if handle not in held]
        if added or removed:
            self._version += 1
        return HeldChange(before=before, after=self._version, added=added, removed=removed)

    async def _keep_watching(self) -> None:
        while True:
            try:
                values = await self._beats.values(self.incarnation, silent_s=SILENT_S)
                dead = self._watch.observe(values)
            except UnavailableError as error:
                logger.warning("cannot watch peers: %s", error)
            else:
                for peer, value in dead.items():
                    if peer not in self._taking:
                        self._taking.add(peer)
                        self._takeovers.start(self._take_over(peer, value))
            await asyncio.sleep(BEAT_S)

    async def _take_over(self, dead: str, seen: str) -> None:
        """Release a dead peer's messages, so that the next attempts begin at once.

        What the queue does not release now is tried again until the list expires. Meanwhile the
        value changes with each try, so that no peer takes this worker for dead in its turn.
        """
        released: Sequence[HeldMessage] = ()
        try:
            while True:
                successor = f"taken {self.incarnation} {next(self._counts)}"
                batch = await self._beats.take(
                    dead, seen=seen, successor=successor, released=released
                )
                if not batch:
                    return
                logger.warning("%s is dead: releasing %d of its jobs", dead, len(batch))
                released, seen = await self._release(batch), successor
                if len(released) < len(batch):
                    await asyncio.sleep(BEAT_S)
        except UnavailableError as error:
            # Its value stands still from here on: this worker or a peer tries again.
            logger.warning("cannot release the jobs of %s: %s", dead, error)
        finally:
            self._taking.discard(dead)

    async def _release(self, messages: Sequence[HeldMessage]) -> list[HeldMessage]:
        """Make messages visible; return those for which nothing is left to do.

        Raises
        ------
        PermanentRefusalError
            The queue refuses all of them.
        """
        jobs = {
            ReceivedJob(
                body="",
                receipt_handle=each.receipt_handle,
                receive_count=1,
                message_id=each.message_id,
            ): each
            for each in messages
        }
        try:
            failed = await self._queue.extend(list(jobs), timeout_s=0)
        except PermanentRefusalError:
            raise
        except UnavailableError as error:
            logger.warning("cannot release %d jobs of a dead worker: %s", len(jobs), error)
            return []
        self._metrics.released_for_peer(len(jobs) - len(failed))
        for each in failed:
            # A receipt handle that is not valid any more: the message was deleted or is visible.
            if not isinstance(each.error, PermanentRefusalError):
                del jobs[each.received]
        return list(jobs.values())
