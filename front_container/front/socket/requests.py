"""SocketRequests: what the requests of one socket do, and the events that answer them."""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, nullcontext

from axon.directory.connections import ConnectionDirectory
from axon.event_log.log import LoggedEvent
from axon.exceptions import AxonError, UnavailableError
from axon.ids import new_id
from axon.protocol.objects import Json, deleted_event
from axon.protocol.requests import (
    CancelResponse,
    CreateResponse,
    DeleteResponse,
    ResumeResponse,
)
from axon.responses.retrieval import ResponseRetrieval
from axon.responses.service import ResponseService
from axon.tenants.principal import Principal
from front.reading import ResponseReader

logger = logging.getLogger(__name__)


class SocketRequests:
    """Does what the requests of one socket ask for.

    The socket has an id of its own, by which its unstored turns are kept: they can be continued on
    it alone, and are deleted with it.

    Parameters
    ----------
    service : ResponseService
        Accepts, cancels and deletes responses.
    retrieval : ResponseRetrieval
        Says whether a response can be resumed.
    reader : ResponseReader
        Follows responses.
    directory : ConnectionDirectory
        Keeps the socket's unstored turns as those of a connection.
    principal : Principal
        Who has opened the socket.
    cancel_on_disconnect : bool
        Cancel the responses when the client leaves, unless a request says otherwise.
    """

    def __init__(
        self,
        *,
        service: ResponseService,
        retrieval: ResponseRetrieval,
        reader: ResponseReader,
        directory: ConnectionDirectory,
        principal: Principal,
        cancel_on_disconnect: bool,
    ) -> None:
        self._service = service
        self._retrieval = retrieval
        self._reader = reader
        self._directory = directory
        self._principal = principal
        self._cancel_on_disconnect = cancel_on_disconnect
        self._socket_id = new_id("sock")
        self._has_turns = False
        self._answered = Counter[str]()

    @asynccontextmanager
    async def begun(
        self, event: CreateResponse | ResumeResponse, *, left: Callable[[], bool], waits: bool
    ) -> AsyncIterator[AsyncIterator[LoggedEvent]]:
        """Begin a response, or find one; give its events, and attend it while they are read.

        The request is forgotten then: it may be long, and so may be the answer.

        Parameters
        ----------
        event : CreateResponse | ResumeResponse
            The request.
        left : Callable[[], bool]
            Called where the events are not read to their end; returns whether the client has left.
        waits : bool
            The events are read later: nothing is kept of them meanwhile.

        Raises
        ------
        RequestError, UnavailableError
            As `axon.responses.service.ResponseService.submit`, or
            `axon.responses.retrieval.ResponseRetrieval.stored_events`.
        """
        if isinstance(event, ResumeResponse):
            async with self._resumed(event, left=left) as events:
                yield events
            return
        cancels = event.cancel_on_disconnect
        if cancels is None:
            cancels = self._cancel_on_disconnect
        with nullcontext() if waits else self._reader.expected() as expected:
            response_id = await self._submit(
                event,
                response_id=expected.response_id if expected else "",
                left=left if cancels else None,
            )
            del event
            opened = self._reader.open(
                response_id,
                principal=self._principal,
                cancel_on_leave=left if cancels else False,
                expected=expected,
            )
            with self._answering(response_id):
                async with opened as events:
                    yield events

    @asynccontextmanager
    async def _resumed(
        self, event: ResumeResponse, *, left: Callable[[], bool]
    ) -> AsyncIterator[AsyncIterator[LoggedEvent]]:
        response_id, after = event.response_id, event.starting_after
        stored = await self._retrieval.stored_events(
            response_id,
            tenant_id=self._principal.tenant_id,
            after=after,
            connection_id=self._socket_id,
        )
        if stored is not None:
            async with aclosing(stored):
                yield stored
            return
        opened = self._reader.open(
            response_id,
            principal=self._principal,
            after=after,
            named=True,
            cancel_on_leave=left if self._cancel_on_disconnect else False,
        )
        with self._answering(response_id):
            async with opened as events:
                yield events

    @contextmanager
    def _answering(self, response_id: str) -> Iterator[None]:
        """Note that the socket gets the response's events while the context is entered."""
        self._answered[response_id] += 1
        try:
            yield
        finally:
            self._answered[response_id] -= 1
            if not self._answered[response_id]:
                del self._answered[response_id]

    async def control(self, event: CancelResponse | DeleteResponse) -> Json | None:
        """Cancel or delete a response.

        Returns
        -------
        Json | None
            The event to answer with; None if the response's own end comes to the socket.

        Raises
        ------
        RequestError, UnavailableError
            As `axon.responses.service.ResponseService.cancel` and `delete`.
        """
        if isinstance(event, DeleteResponse):
            await self._service.delete(event, principal=self._principal)
            return deleted_event(event.response_id, stream_id=event.stream_id)
        # Where this socket reads the response, also that of a gateway's connection, its client gets
        # the end. Else it waits for an answer.
        reads = event.response_id in self._answered
        return await self._service.cancel(
            event, principal=self._principal, connection_id=None if reads else self._socket_id
        )

    async def end(self) -> None:
        """Delete the socket's unstored turns; those of responses that still run are not kept."""
        if not self._has_turns:
            return
        try:
            await self._directory.remove(self._socket_id)
        except AxonError as error:
            logger.warning("unstored turns of a closed socket expire later: %r", error)

    async def _submit(
        self, request: CreateResponse, *, response_id: str, left: Callable[[], bool] | None
    ) -> str:
        self._has_turns = True  # also a stored response may end unstored
        if not request.stored:
            # Each time: without it, a turn is kept for a few minutes alone, and a failover may
            # have lost it.
            await self._directory.register(self._socket_id, principal=self._principal)
        submitting = self._service.submit(
            request,
            principal=self._principal,
            socket_id=self._socket_id,
            response_id=response_id,
        )
        if left is not None:
            submitting = self._reader.submitted(submitting, cancel_on_leave=left)
        if (accepted := await submitting) is None:  # only a connection can be gone
            raise UnavailableError("the response was not accepted")
        return accepted
