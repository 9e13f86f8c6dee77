"""ResponseReader: follows responses for HTTP requests, and says that somebody reads them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from axon.event_log.attendance import EXTEND_EVERY_S, Attendance
from axon.event_log.follower import FollowedEvents, ResponseFollower
from axon.event_log.log import LoggedEvent, Status
from axon.event_log.merger import TERMINAL
from axon.exceptions import (
    AnswerLostError,
    AxonError,
    LostEventsError,
    MissingResponseError,
    RequestError,
    UnavailableError,
)
from axon.ids import new_id
from axon.responses.terminator import LOST, ResponseTerminator, unknown_response
from axon.tasks import TaskSet
from axon.tenants.principal import Principal

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds from one look for new readers to the next."""
CANCELLING_S = 10.0
"""Time limit in seconds for cancelling a response whose reader has left; one that it leaves is
cancelled with the other responses that nobody attends."""


CancelOnLeave = bool | Callable[[], bool]
"""Setting for cancelling a response when its client leaves, unless another request reads it here.

True is for APIs that have no way to resume it: it is cancelled at once. A function is for those
that have one: it is called when the reading ends, and returns whether the client has left. The
response is cancelled within seconds then, unless another process has a reader of it: a client whose
network has failed may have resumed it there, long before its old connection was seen to end."""


@dataclass(frozen=True, slots=True)
class ExpectedResponse:
    """A response that is about to be submitted, and is listened to already.

    Parameters
    ----------
    response_id : str
        The id to submit it with.
    events : Callable[[], FollowedEvents]
        Returns its events, once it is accepted.
    """

    response_id: str
    events: Callable[[], FollowedEvents]


class ResponseReader:
    """Follows responses, and keeps those that have a reader from being cancelled as abandoned.

    `attend` is to be called each `LOOK_S`. A reader that leaves changes nothing: the response is
    cancelled once nobody has attended it for the window of `axon.event_log.attendance`, also when
    this process dies.

    Parameters
    ----------
    follower : ResponseFollower
        Reads the events.
    attendance : Attendance
        Notes that responses are read.
    terminator : ResponseTerminator
        Cancels responses at once that cannot be resumed.
    """

    def __init__(
        self,
        *,
        follower: ResponseFollower,
        attendance: Attendance,
        terminator: ResponseTerminator,
    ) -> None:
        self._follower = follower
        self._attendance = attendance
        self._terminator = terminator
        self._readings = set[_Reading]()
        self._joined = set[_Reading]()
        self._extend_at = 0.0
        self._cancelling = TaskSet(error="a response whose client has left goes on")

    @property
    def attended(self) -> frozenset[str]:
        """The responses that have a reader here."""
        return frozenset(each.response_id for each in self._readings)

    def read_by(self, key_id: str) -> frozenset[str]:
        """Return the responses that requests of an API key read here."""
        return frozenset(each.response_id for each in self._readings if each.key_id == key_id)

    @contextmanager
    def expected(self) -> Iterator[ExpectedResponse]:
        """Listen to a new response, to be submitted and opened while the context is entered.

        So its events come without a look into the log.
        """
        response_id = new_id("resp")
        with self._follower.expect(response_id) as events:
            yield ExpectedResponse(response_id, events)

    @asynccontextmanager
    async def open(
        self,
        response_id: str,
        *,
        principal: Principal,
        after: int = -1,
        named: bool = False,
        cancel_on_leave: CancelOnLeave = False,
        expected: ExpectedResponse | None = None,
    ) -> AsyncIterator[AsyncIterator[LoggedEvent]]:
        """Attend a response while the context is entered; give its events up to the terminal one.

        The events raise an error if the tenant has no such response, or if events are lost:
        `RequestError` to a client that named the response, which gets no other answer by asking
        again; `AnswerLostError` to one whose request made it, as that may be sent again.

        Parameters
        ----------
        response_id : str
            The response, running or ended.
        principal : Principal
            The tenant that asks, and its API key.
        after : int
            Sequence number of the last event that the reader has; -1 for all events.
        named : bool
            The client has named the response.
        cancel_on_leave : CancelOnLeave
            Cancel the response if the context ends before the terminal event.
        expected : ExpectedResponse | None
            That of the submission: it is another response if the request was a repeated one.
        """
        reading = _Reading(response_id, key_id=principal.key_id, named=named)
        self._readings.add(reading)
        self._joined.add(reading)
        try:
            followed = (
                expected.events()
                if expected is not None and expected.response_id == response_id
                else self._follower.follow(response_id, tenant_id=principal.tenant_id, after=after)
            )
            async with aclosing(reading.events(followed)) as events:
                yield events
        finally:
            # Nothing is awaited here: the handler may have been cancelled.
            self._readings.remove(reading)
            self._joined.discard(reading)
            if not reading.ended and (cancel := self._cancels(cancel_on_leave)):
                self._cancelling.start(cancel(response_id))

    async def submitted(
        self, submitting: Coroutine[Any, Any, str | None], *, cancel_on_leave: CancelOnLeave = True
    ) -> str | None:
        """Submit a response; cancel it if the client leaves before its id is known.

        Parameters
        ----------
        submitting : Coroutine[Any, Any, str | None]
            Submits it, and returns its id if it was accepted.
        cancel_on_leave : CancelOnLeave
            As of `open`.
        """
        task = asyncio.create_task(submitting)
        try:
            # Not cancelled with the handler: it may have accepted the response already, which
            # would go on until nobody has attended it for the window.
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Asked now: a socket that the server closes ends a moment later, as others do. The
            # submission continues in either case, and the task set keeps it.
            cancel = self._cancels(cancel_on_leave)
            self._cancelling.start(self._complete(task, cancel))
            raise

    async def attend(self) -> None:
        """Note that the responses with a reader are attended: new ones now, others when it is due.

        Raises
        ------
        UnavailableError
            Valkey is away; the next call notes what is missing.
        """
        now = asyncio.get_running_loop().time()
        due = now >= self._extend_at
        readings = self._readings if due else self._joined
        response_ids = list({each.response_id for each in readings})
        self._joined.clear()
        if not response_ids:
            return
        waiting = {each.response_id for each in self._readings if not each.begun} if due else ()
        try:
            await self._attendance.extend(response_ids)
            if waiting:
                await self._attendance.keep_ended(list(waiting))
        except UnavailableError:
            self._extend_at = 0.0  # all of them again, as soon as possible
            raise
        if due:
            self._extend_at = now + EXTEND_EVERY_S

    async def drain(self) -> None:
        """Wait, `CANCELLING_S` at most, until responses of readers that have left are cancelled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCELLING_S):
                await self._cancelling.drain()

    async def _complete(
        self,
        submitting: asyncio.Task[str | None],
        cancel: Callable[[str], Coroutine[Any, Any, None]] | None,
    ) -> None:
        try:
            async with asyncio.timeout(CANCELLING_S):
                response_id = await submitting
        except (AxonError, TimeoutError) as error:
            logger.info("a client has left, and its response was not accepted: %r", error)
            return
        if response_id is not None and cancel is not None:
            await cancel(response_id)

    def _cancels(self, asked: CancelOnLeave) -> Callable[[str], Coroutine[Any, Any, None]] | None:
        """Return what cancels the response of a client that leaves now; None if nothing does."""
        if callable(asked):
            return self._leave if asked() else None
        return self._cancel if asked else None

    async def _leave(self, response_id: str) -> None:
        """Shorten the time of a response that another process may have a reader of."""
        await self._unless_read(response_id, self._attendance.leave(response_id))

    async def _cancel(self, response_id: str) -> None:
        ending = self._terminator.end(response_id, Status.CANCELLED)
        await self._unless_read(response_id, ending)

    async def _unless_read(self, response_id: str, cancelling: Coroutine[Any, Any, object]) -> None:
        if any(each.response_id == response_id for each in self._readings):
            # The client has resumed it, or repeated its request, before it was seen to leave.
            cancelling.close()
            return
        try:
            async with asyncio.timeout(CANCELLING_S):
                await cancelling
        except (UnavailableError, TimeoutError) as error:
            logger.warning("%s is cancelled later, nobody reads it: %r", response_id, error)


class _Reading:
    """The events of one reader.

    `begun` once they are read: the log of one that waits until then must not expire. `ended` once
    the terminal one was handed out.
    """

    def __init__(self, response_id: str, *, key_id: str, named: bool) -> None:
        self.begun = False
        self.ended = False
        self.response_id = response_id
        self.key_id = key_id
        self._named = named

    async def events(self, followed: FollowedEvents) -> FollowedEvents:
        """Yield the events; that a response is missing, or has lost events, is for the client.

        Raises
        ------
        RequestError
            The tenant has no response of that name, or its events are lost.
        AnswerLostError
            The same, of a response that the client's own request has made.
        """
        self.begun = True
        try:
            async with aclosing(followed) as events:
                async for event in events:
                    self.ended = event.data.startswith(TERMINAL)
                    yield event
        except (MissingResponseError, LostEventsError) as error:
            raise self._lost(error) from error

    def _lost(self, error: MissingResponseError | LostEventsError) -> Exception:
        if not self._named:
            # SDKs send a request again after 503, and not after 404 or 410.
            return AnswerLostError(f"{self.response_id}: {error}")
        if isinstance(error, MissingResponseError):
            return unknown_response(self.response_id)
        return RequestError(LOST["message"], code="response_lost", status=410)
