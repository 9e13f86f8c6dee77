"""ResponseCancellation: cancels a response, and answers a caller that would not see its end."""

from axon.event_log.log import EventLog, Status
from axon.exceptions import RequestError
from axon.ids import is_id
from axon.protocol.objects import Json, cancelled_event
from axon.protocol.requests import CancelResponse
from axon.responses.deletion import ResponseRows
from axon.responses.terminator import ResponseTerminator, unknown_response


class ResponseCancellation:
    """Cancels a running response; each call gets exactly one answer on its connection.

    The connection that the response is delivered to gets the response's terminal event, from the
    relay; a caller that reads the response gets it from the log. Every other caller gets an answer
    of its own.

    Parameters
    ----------
    event_log : EventLog
        Has the tenant of a response, its state, and the connection that it is delivered to.
    terminator : ResponseTerminator
        Ends a running response.
    rows : ResponseRows
        Stored responses, whose log may have expired.
    """

    def __init__(
        self, *, event_log: EventLog, terminator: ResponseTerminator, rows: ResponseRows
    ) -> None:
        self._log = event_log
        self._terminator = terminator
        self._rows = rows

    async def cancel(
        self, request: CancelResponse, *, tenant_id: str, connection_id: str | None
    ) -> Json | None:
        """Cancel a running response of this tenant; one that has ended stays as it is.

        A response that is cancelled already counts as cancelled by this call, too.

        Parameters
        ----------
        request : CancelResponse
            Names the response.
        tenant_id : str
            Who asks.
        connection_id : str | None
            The caller's connection; empty without one. None of a caller that reads the response to
            its end, wherever it is delivered.

        Returns
        -------
        Json | None
            The event to answer with; None if the response's own terminal event comes to the caller.

        Raises
        ------
        RequestError
            The tenant has no such response, or it has ended in another way.
        UnavailableError
            Others claim it again and again, or a service that keeps it is away.
        """
        response_id = request.response_id
        if not is_id("resp", response_id):
            raise unknown_response(response_id)
        meta = await self._log.describe(response_id)
        if meta is None:
            stored = await self._rows.status(response_id, tenant_id=tenant_id)
            if not stored:
                raise unknown_response(response_id)
            return _answer(request, stored)
        if meta.tenant_id != tenant_id:
            raise unknown_response(response_id)
        if not meta.status.terminal:
            await self._terminator.end(response_id, Status.CANCELLED)
            if connection_id is None or meta.connection_id == connection_id:
                return None
            # It may have ended in another way since it was described.
            meta = await self._log.describe(response_id) or meta
        return _answer(request, meta.status)


def _answer(request: CancelResponse, status: str) -> Json:
    """Return the answer of a response that has ended with this status.

    As OpenAI's HTTP API does: to cancel twice succeeds, to cancel what has ended otherwise does
    not. The code is that of OpenAI's Realtime API, the one that knows `response.cancel`.
    """
    if status == Status.CANCELLED:
        return cancelled_event(request.response_id, stream_id=request.stream_id)
    raise RequestError(
        f"Cannot cancel a response that has ended: '{request.response_id}' is {status}.",
        code="response_cancel_not_active",
        param="response_id",
    )
