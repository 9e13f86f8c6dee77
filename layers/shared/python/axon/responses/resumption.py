"""ResponseResumption: has a response delivered to another connection, or says why not."""

from axon.conversations import Conversations
from axon.event_log.lanes import lane_of
from axon.event_log.log import EventLog, ResponseMeta, Status
from axon.event_log.openings import Resumption
from axon.exceptions import RequestError, UnavailableError
from axon.responses.deletion import ResponseRows
from axon.responses.terminator import LOST, unknown_response
from axon.tenants.principal import Principal

NO_RELAY = "No relay is running to answer through. Please retry."


class ResponseResumption:
    """Has a response delivered to a connection from now on, and no longer to its former one.

    Parameters
    ----------
    event_log : EventLog
        The log of the responses.
    conversations : Conversations
        Knows responses that have no log any more.
    rows : ResponseRows
        Stored responses.
    """

    def __init__(
        self, *, event_log: EventLog, conversations: Conversations, rows: ResponseRows
    ) -> None:
        self._log = event_log
        self._conversations = conversations
        self._rows = rows

    async def resume(
        self,
        response_id: str,
        *,
        principal: Principal,
        connection_id: str,
        first: int,
        stream_id: str | None,
    ) -> None:
        """Deliver a response to this connection from event `first` on.

        This is one step, and the first one of the request: the response has its place in the lane
        before what the client sends next.

        Parameters
        ----------
        response_id : str
            The response.
        principal : Principal
            Who asks.
        connection_id : str
            The connection that gets it.
        first : int
            Sequence number of the event that the client expects.
        stream_id : str | None
            Stream id of the request, which its events have from now on.

        Raises
        ------
        RequestError
            The tenant has no such response, or it has fewer events.
        UnavailableError
            No relay is there to deliver it.
        """
        match await self._log.resume(
            response_id,
            tenant_id=principal.tenant_id,
            connection_id=connection_id,
            first=first,
            lane=lane_of(stream_id),
        ):
            case Resumption.HOLE:
                raise lost_response()
            case Resumption.MISSING:
                raise await refused_without_log(
                    response_id,
                    conversations=self._conversations,
                    rows=self._rows,
                    tenant_id=principal.tenant_id,
                    connection_id=connection_id,
                )
            case Resumption.AHEAD:
                raise await refused_number(self._log, response_id, first)
            case Resumption.FORKED:
                raise unconfirmed_events()
            case Resumption.NO_RELAY:
                raise UnavailableError(NO_RELAY)


async def refuse_hole(log: EventLog, meta: ResponseMeta, *, first: int) -> None:
    """Refuse a reader that would end at a hole before the failure, again and again.

    A failure gets the number that the client of that time expected next, though the events before
    it are lost. `resume.lua` decides the same for a connection.

    Parameters
    ----------
    log : EventLog
        The event log.
    meta : ResponseMeta
        The response that is read.
    first : int
        Sequence number of the event that the reader expects.

    Raises
    ------
    RequestError
        Events between `first` and the failure are lost.
    """
    end = meta.next_sequence - 1
    if meta.status is not Status.FAILED or first >= end:
        return
    # Such a failure is a single event, so the event before it tells.
    tail = await log.read(meta.response_id, after=end - 2, limit=1)
    if tail and tail[0].sequence_number == end:
        raise lost_response()


async def refused_number(log: EventLog, response_id: str, first: int) -> RequestError:
    """Return the refusal of a resumption beyond the log's end.

    A client may have more events than a log that has ended: Valkey lost them in a failover. It
    waits for an end that the log cannot give it, as the number is taken.
    """
    meta = await log.describe(response_id)
    # Where no event is lost, the client has the end. Else the end, or an event before it, may have
    # taken the number of another event that the client has.
    ended = meta is not None and meta.status.terminal
    if meta and ended:
        lost = await _has_lost_events(log, meta)
        return refused_end(meta.status, first, end=0 if lost else meta.next_sequence)
    return _no_such_event(first)


def refused_end(status: str, first: int, *, end: int) -> RequestError:
    """Return the refusal of a reader beyond the end of a response.

    Parameters
    ----------
    status : str
        The terminal status.
    first : int
        Sequence number of the event that the reader expects.
    end : int
        The number after the terminal event's: a reader beyond it has events that were lost. 0 if it
        may have them in any case.
    """
    if first <= end:
        return _no_such_event(first)
    return lost_response() if status == Status.FAILED else _lost_events()


def _no_such_event(first: int) -> RequestError:
    return RequestError(
        f"The response has no event {first - 1}, or has ended with it. Use the last "
        "sequence_number that you received.",
        code="invalid_value",
        param="starting_after",
    )


async def refused_without_log(
    response_id: str,
    *,
    conversations: Conversations,
    rows: ResponseRows,
    tenant_id: str,
    connection_id: str,
) -> RequestError:
    """Return the refusal of a resumption of a response that has no log.

    The log may have expired, or a failover may have lost it together with the worker that held the
    response's end. Its answer, or its failure, can be stored all the same.

    Raises
    ------
    HistoryPendingError
        It may be on its way there.
    """
    who = {"tenant_id": tenant_id, "connection_id": connection_id}
    remedy = "Its answer is: continue it with previous_response_id, or send the request again."
    try:
        await conversations.heads_before(response_id, **who)
    except RequestError:
        # Nothing continues a failed response, but it is known.
        if await rows.status(response_id, tenant_id=tenant_id) is None:
            return unknown_response(response_id)
        remedy = "It has failed: send the request again."
    message = f"The events of response '{response_id}' are no longer kept. {remedy}"
    return RequestError(message, code="response_lost", param="response_id", status=410)


def unconfirmed_events() -> RequestError:
    """Return the refusal of a client that may have other events of a response than its log."""
    message = (
        "A failure of the server may have replaced events that you have received. Read the "
        "response from its beginning."
    )
    return RequestError(message, code="response_lost", param="starting_after", status=410)


async def _has_lost_events(log: EventLog, meta: ResponseMeta) -> bool:
    """Return whether an ended response's log may lack events that its client has received."""
    if meta.forks:
        return True
    if meta.status is not Status.FAILED:
        return False
    # A log that was lost as a whole has no fork: it was made again from the job and the failure.
    end = await log.read(meta.response_id, after=meta.next_sequence - 2, limit=1)
    return bool(end) and LOST["message"].encode() in end[0].data


def lost_response() -> RequestError:
    """Return the refusal of a client whose next events are lost, before the failure."""
    return RequestError(LOST["message"], code="response_lost", param="starting_after", status=410)


def _lost_events() -> RequestError:
    message = (
        "A failure of the server may have lost events that you have received, and the response "
        "has ended without them. Please send the request again."
    )
    return RequestError(message, code="response_lost", param="starting_after", status=410)
