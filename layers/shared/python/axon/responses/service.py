"""ResponseService: accepts requests, and has responses delivered to another connection."""

import logging
from collections.abc import Collection
from functools import partial

from axon.aliases import ModelAliases, resolve
from axon.clock import now_ms
from axon.conversations import Conversations, TurnHead, check_length
from axon.directory.models import unknown_model
from axon.event_log.lanes import lane_of
from axon.event_log.log import EventLog, Status
from axon.event_log.openings import NewResponse, Opening, OpenResult
from axon.exceptions import (
    ConnectionFullError,
    HistoryPendingError,
    PermanentRefusalError,
    RequestError,
    StoreFullError,
    TenantFullError,
    UnavailableError,
)
from axon.ids import is_id, new_id
from axon.inputs import NO_PAYLOADS, LargeInputs
from axon.jobs import FOLLOWED_FLUSH_MS, Job, JobSender, new_job
from axon.named_conversations.service import NamedConversations, Place
from axon.protocol.item_pages import identified
from axon.protocol.objects import Json, response_object
from axon.protocol.requests import CancelResponse, CreateResponse, DeleteResponse, ResumeResponse
from axon.protocol.sizes import MESSAGE_BYTES
from axon.protocol.unserved import refuse_tools
from axon.responses.calls import check_calls
from axon.responses.cancellation import ResponseCancellation
from axon.responses.deletion import ResponseDeletion, ResponseRows
from axon.responses.fingerprint import fingerprint
from axon.responses.finisher import ResponseFinisher
from axon.responses.large_requests import LargeRequests
from axon.responses.repeats import RepeatedRequests, idempotency_of
from axon.responses.request_size import check_size
from axon.responses.resumption import NO_RELAY, ResponseResumption
from axon.responses.terminator import ResponseTerminator, unknown_response
from axon.responses.warm_up import UNSENT, WarmUps
from axon.scaling import WorkerScaler
from axon.tenants.principal import Principal
from axon.tenants.revocation import REVOKED_KEY

logger = logging.getLogger(__name__)

REFUSED = {
    "code": "invalid_prompt",
    "message": "The queue refused the request, and would refuse it again: it is too large, or the "
    "deployment is misconfigured. Send a shorter request; if that fails, too, ask the operator.",
}


class ResponseService:
    """Accepts requests: validated, entered in the event log, queued; in this order.

    Parameters
    ----------
    event_log : EventLog
        Opens, resumes and claims responses.
    conversations : Conversations
        Reads the conversation that a request continues.
    jobs : JobSender
        Sends to the queue of the workers.
    finisher : ResponseFinisher
        Ends a response that generates nothing, and evicts what a refused request continued.
    terminator : ResponseTerminator
        Ends responses that are cancelled or whose job could not be queued.
    scaler : WorkerScaler
        Starts a worker where none runs.
    deletion : ResponseDeletion
        Deletes a response wherever it is kept.
    rows : ResponseRows
        Stored responses.
    named : NamedConversations
        The conversations that clients have created.
    aliases : ModelAliases | None
        What requests may name instead of a model.
    inputs : LargeInputs
        Takes inputs that no message carries.
    ignored_tools : Collection[str]
        Types of tools that are taken and shown to no model.
    """

    def __init__(
        self,
        *,
        event_log: EventLog,
        conversations: Conversations,
        jobs: JobSender,
        finisher: ResponseFinisher,
        terminator: ResponseTerminator,
        scaler: WorkerScaler,
        deletion: ResponseDeletion,
        rows: ResponseRows,
        named: NamedConversations,
        aliases: ModelAliases | None = None,
        inputs: LargeInputs = NO_PAYLOADS,
        ignored_tools: Collection[str] = (),
    ) -> None:
        self._log = event_log
        self._aliases = aliases or {}
        self._scaler = scaler
        self._conversations = conversations
        self._jobs = jobs
        self._finisher = finisher
        self._terminator = terminator
        self._deletion = deletion
        self._named = named
        self._ignored_tools = ignored_tools
        self._large = LargeRequests(inputs=inputs)
        self._cancellation = ResponseCancellation(
            event_log=event_log, terminator=terminator, rows=rows
        )
        self._resumption = ResponseResumption(
            event_log=event_log, conversations=conversations, rows=rows
        )
        self._warm_ups = WarmUps(event_log=event_log, finisher=finisher, terminator=terminator)
        self._repeats = RepeatedRequests(
            event_log=event_log,
            jobs=jobs,
            scaler=scaler,
            warm_ups=self._warm_ups,
        )

    async def submit(
        self,
        request: CreateResponse,
        *,
        principal: Principal,
        connection_id: str = "",
        socket_id: str = "",
        response_id: str = "",
    ) -> str | None:
        """Accept a request; its events go to the connection. Return the response's id.

        Parameters
        ----------
        request : CreateResponse
            The request.
        principal : Principal
            Who sends it.
        connection_id : str
            The connection that waits for the response. Empty for a followed one: the caller follows
            it by its id (`axon.event_log.follower`), and shows that somebody reads it
            (`axon.event_log.attendance`).
        socket_id : str
            The front's WebSocket that a followed response is for: unstored turns can be continued
            on it. Empty for other callers.
        response_id : str
            The id that the response is to have, unless the request is a repeated one: a caller may
            listen to it before. Empty for any.

        Returns
        -------
        str | None
            The id; that of the first response if the idempotency key was used before. None if the
            connection is gone, so nothing was accepted.

        Raises
        ------
        RequestError
            Refused; nothing was accepted.
        UnavailableError
            No relay is there to answer through, or what it continues is not stored yet; nothing was
            accepted.
        """
        refuse_tools(request.tools or (), ignored=self._ignored_tools)
        try:
            place, turns = await self._continued(request, principal, connection_id or socket_id)
        except (RequestError, HistoryPendingError):
            # The first request may have begun its response before its conversation went away.
            opening = await self._log.repeated(
                idempotency_of(request, principal.tenant_id),
                fingerprint=fingerprint(request),
                connection_id=connection_id,
                lane=lane_of(request.stream_id),
                key_id=principal.key_id,
            )
            if opening is None:
                raise
        else:
            job, opening = await self._begin(
                request,
                turns,
                place,
                principal=principal,
                connection_id=connection_id,
                socket_id=socket_id,
                response_id=response_id or new_id("resp"),
            )
        match opening.outcome:
            case OpenResult.GONE:
                return None
            case OpenResult.REVOKED:
                raise REVOKED_KEY
            case OpenResult.NO_RELAY:
                raise UnavailableError(NO_RELAY)
            case OpenResult.REPEATED:
                return await self._repeats.answer(opening, request)
        await (self._queue(job, opening) if request.generate else self._warm_ups.end(job))
        return job.response_id

    async def resume(
        self, request: ResumeResponse, *, principal: Principal, connection_id: str
    ) -> None:
        """Deliver a response to this connection from now on, and no longer to its former one.

        Raises
        ------
        RequestError
            The tenant has no such response, or it has fewer events.
        UnavailableError
            No relay is there to deliver it.
        """
        response_id = request.response_id
        if not is_id("resp", response_id):
            raise unknown_response(response_id)
        await self._resumption.resume(
            response_id,
            principal=principal,
            connection_id=connection_id,
            first=request.starting_after + 1,
            stream_id=request.stream_id,
        )

    async def cancel(
        self, request: CancelResponse, *, principal: Principal, connection_id: str | None = ""
    ) -> Json | None:
        """Cancel a running response; one that has ended stays as it is.

        Return the event to answer with; None if the response's end comes to the connection, to a
        caller that reads the response (None), or to the log of a followed one (a caller without).

        Raises
        ------
        RequestError
            The tenant has no such response, or it has ended in another way.
        """
        return await self._cancellation.cancel(
            request, tenant_id=principal.tenant_id, connection_id=connection_id
        )

    async def delete(self, request: DeleteResponse, *, principal: Principal) -> None:
        """Delete a response wherever it is kept; a running one is cancelled first.

        Raises
        ------
        RequestError
            The tenant has no such response.
        """
        await self._deletion.delete(request.response_id, tenant_id=principal.tenant_id)

    async def _continued(
        self, request: CreateResponse, principal: Principal, connection_id: str
    ) -> tuple[Place | None, list[TurnHead]]:
        """Return the place in a named conversation, if any, and the turns that are continued."""
        tenant_id = principal.tenant_id
        if request.conversation is not None:
            place = await self._named.place(request.conversation.id, tenant_id=tenant_id)
            return place, await self._named.heads(place.conversation, place.head)
        return None, await self._conversations.heads_before(
            request.previous_response_id, tenant_id=tenant_id, connection_id=connection_id
        )

    async def _begin(
        self,
        request: CreateResponse,
        turns: list[TurnHead],
        place: Place | None,
        *,
        principal: Principal,
        connection_id: str,
        socket_id: str,
        response_id: str,
    ) -> tuple[Job, Opening]:
        conversation_id = _conversation_id(turns, place)
        try:
            check_length(turns, param="conversation" if place else "previous_response_id")
            check_calls(request, (call for turn in turns for call in turn.call_ids))
            for model in resolve(
                request.model, conversation_id=conversation_id, aliases=self._aliases
            ):
                job = _job(
                    _placed(request, place, model=model),
                    principal=principal,
                    connection_id=connection_id,
                    socket_id=socket_id,
                    response_id=response_id,
                    conversation_id=conversation_id,
                )
                transcript = job.transcript()
                check_size(job, transcript)
                created = transcript.created().data
                job, opening = await self._large.opened(
                    job, partial(self._open, request, place, created)
                )
                if opening.outcome is not OpenResult.UNKNOWN_MODEL:
                    return job, opening
            raise unknown_model(request.model)
        except RequestError:
            await self._finisher.evict_parent(turns)
            raise

    async def _queue(self, job: Job, opening: Opening) -> None:
        try:
            await self._jobs.send(job)
        except UnavailableError as error:
            why = REFUSED if isinstance(error, PermanentRefusalError) else UNSENT
            logger.warning("%s cannot be queued: %s", job.response_id, error)
            await self._terminator.end(job.response_id, Status.FAILED, error=why, job=job)
            return
        if opening.outcome is OpenResult.UNATTENDED:
            await self._scaler.ensure_running()

    async def _open(
        self, request: CreateResponse, place: Place | None, created: bytes, job: Job, encoded: bytes
    ) -> Opening:
        """Open the log, unless the model is unknown; raise if none is known, or memory is full.

        `request` is in the client's own words: its fingerprint does not depend on an alias's.
        """
        idempotency = idempotency_of(request, job.tenant_id)
        response = NewResponse(
            response_id=job.response_id,
            tenant_id=job.tenant_id,
            key_id=job.key_id,
            connection_id=job.connection_id,
            model=job.model,
            job=encoded,
            created=created,
            idempotency=idempotency,
            fingerprint=fingerprint(request) if idempotency else "",
            cancel_on_disconnect=request.cancel_on_disconnect,
            lane=job.lane,
        )
        opening = await (
            place.open(job.response_id, partial(self._log.open, response))
            if place and job.stored  # else its tokens are counted, and nothing becomes of it
            else self._log.open(response)
        )
        match opening.outcome:
            case OpenResult.NO_MODEL:
                raise UnavailableError("No worker has announced a model yet. Please retry.")
            case OpenResult.FULL:
                raise StoreFullError("no memory for new requests")
            case OpenResult.TENANT_FULL:
                raise TenantFullError(f"tenant {job.tenant_id} holds too much memory")
            case OpenResult.CONNECTION_FULL:
                raise ConnectionFullError(f"{job.connection_id} holds too much memory")
        return opening


def _job(
    request: CreateResponse,
    *,
    principal: Principal,
    connection_id: str,
    socket_id: str,
    response_id: str,
    conversation_id: str,
) -> Job:
    created_ms = now_ms()
    job = new_job(
        request,
        response=response_object(request, response_id=response_id, created_at=created_ms // 1000),
        principal=principal,
        connection_id=connection_id,
        conversation_id=conversation_id,
        created_ms=created_ms,
        # A follower's transport carries events of any length.
        message_bytes=MESSAGE_BYTES if connection_id else None,
        socket_id=socket_id,
        flush_ms=None if connection_id else FOLLOWED_FLUSH_MS,
    )
    named = request.conversation is not None
    return job.model_copy(update={"input": identified(job.input)}) if named else job


def _conversation_id(turns: list[TurnHead], place: Place | None) -> str:
    if place is not None:
        return place.conversation_id
    return turns[-1].conversation_id if turns else new_id("conv")


def _placed(request: CreateResponse, place: Place | None, *, model: str) -> CreateResponse:
    """Return the request for a model, in its place of a conversation if it names one.

    There it continues the last turn, if there is one: that a worker of the version before
    understands, too.
    """
    changed: dict[str, object] = {} if model == request.model else {"model": model}
    if place:
        changed["previous_response_id"] = place.head
    return request.model_copy(update=changed) if changed else request
