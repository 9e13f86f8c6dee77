"""Jobs: what a worker needs to answer one request, and the queue that carries them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pydantic import Field, TypeAdapter, field_serializer

from axon.event_log.lanes import lane_of
from axon.exceptions import UnavailableError
from axon.formats import Format, read, text_at
from axon.ids import is_id
from axon.inputs import PAYLOAD_FIELD, InputHolder, InputPayload
from axon.protocol.kept_items import kept
from axon.protocol.requests import CreateResponse, ServiceTier
from axon.protocol.sizes import MESSAGE_BYTES
from axon.protocol.transcript import Transcript
from axon.tenants.principal import ALL_SCOPES, Principal

SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
VIEW_FIELDS = ("stop", "seed", "top_k", "logit_bias", "early_usage", "count_only")
"""Fields of requests that only views of the Responses API have (`ViewRequest`)."""
FOLLOWED_FLUSH_MS = 100
"""Longest time from a followed response's delta to the next: its readers pay for no message."""
PRIORITIES: dict[ServiceTier, int] = {"flex": -1, "default": 0, "priority": 1}


class Job(InputHolder):
    """One accepted request: all that its answer and its history need, and nothing more.

    Its fields are flat, the principal's among them, and those added later have defaults: during a
    deployment, workers read jobs that functions of another version have queued.

    Parameters
    ----------
    format : int
        Version of the format (`axon.formats`). Whatever changes with it, these stay where they are,
        because a version that cannot read the job still ends its response by them: `format`,
        `tenant_id`, and the `id` in `response`.
    tenant_id, key_id, scopes : str, str, frozenset[str]
        The `principal`. A job without `key_id` and `scopes` was queued before these were recorded;
        its key was then allowed everything.
    connection_id : str
        The connection that made the request and waits for the response; empty if it is followed.
    conversation_id : str
        Id that all responses of the conversation share.
    stream_id : str | None
        The client's label of the response's stream on a connection; None if it gave none.
    created_ms : int
        Milliseconds of the Unix epoch at which the request was accepted.
    response : dict[str, Any]
        The response object as created.
    input : list[dict[str, Any]]
        The request's input items, as the client sent them; a string becomes one user message.
    input_payload : InputPayload | None
        Where the items wait instead, if they are too large for a message; `input` is empty then,
        until they are loaded (`axon.inputs`).
    sampling : dict[str, float]
        Those of `SAMPLING` that the client set; the engine chooses the others.
    stop : tuple[str, ...]
        The answer ends before the first of these strings.
    seed : int | None
        Start of the random numbers; None to leave it to the engine.
    top_k : int | None
        Tokens are drawn from the `top_k` most probable ones; None to leave it to the engine.
    logit_bias : dict[str, float]
        Added to the logits of tokens, by their ids.
    priority : int
        Where jobs wait, those of higher priority go first.
    sent_once : bool
        True if no request sends the job again: its client gave no idempotency key. False if that is
        not known, as for a job that a function of the version before has queued.
    message_bytes : int | None
        The longest event that the client's connection carries: API Gateway's messages, unless the
        request came another way. None if any.
    socket_id : str
        The WebSocket of a front that made the request: a followed response that is not stored can
        be continued on it alone. Empty if the request came another way.
    flush_ms : int | None
        Longest time from one delta to the next, in milliseconds. None for that of the worker's
        settings, which grows with the answer, because API Gateway is paid for each message.
    early_usage : bool
        The first event of the output tells the tokens of the prompt.
    count_only : bool
        Nothing is generated: the response ends with the tokens of its prompt as its usage.
    """

    FORMAT = Format.JOB

    tenant_id: str
    key_id: str = ""
    scopes: frozenset[str] = ALL_SCOPES
    connection_id: str
    conversation_id: str
    stream_id: str | None = None
    created_ms: int
    response: dict[str, Any]
    input: list[dict[str, Any]]
    input_payload: InputPayload | None = PAYLOAD_FIELD
    sampling: dict[str, float] = Field(default_factory=dict)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    top_k: int | None = None
    logit_bias: dict[str, float] = Field(default_factory=dict)
    priority: int = 0
    sent_once: bool = False
    message_bytes: int | None = MESSAGE_BYTES
    socket_id: str = ""
    flush_ms: int | None = None
    early_usage: bool = False
    count_only: bool = False

    @field_serializer("scopes")
    def _sorted(self, scopes: frozenset[str]) -> list[str]:
        # A set's order differs between processes: sorted, the same job always has the same bytes.
        return sorted(scopes)

    @property
    def principal(self) -> Principal:
        """The principal whose request this is."""
        return Principal(tenant_id=self.tenant_id, key_id=self.key_id, scopes=self.scopes)

    @property
    def response_id(self) -> str:
        """The response's id."""
        return str(self.response["id"])

    @property
    def model(self) -> str:
        """The model that is to answer: of an alias, the one that it stood for."""
        return str(self.response["model"])

    @property
    def lane(self) -> str:
        """The name of the lane in which the response is delivered to a connection."""
        return lane_of(self.stream_id)

    @property
    def stored(self) -> bool:
        """True if the response is stored, and so outlives its connection."""
        return bool(self.response["store"])

    @property
    def continuable(self) -> bool:
        """True if a later request can continue the response: it is stored, or its connection may.

        Of one that came over plain HTTP and is not stored, nothing is kept: no connection bounds
        how long.
        """
        return self.stored or bool(self.turn_connection_id)

    @property
    def turn_connection_id(self) -> str:
        """The connection or a front's socket that may continue unstored turns; empty for none."""
        return self.connection_id or self.socket_id

    @property
    def previous_response_id(self) -> str | None:
        """The turn before: a response or, of a named conversation, perhaps items of its client."""
        previous: str | None = self.response["previous_response_id"]
        return previous

    def deadline_ms(self, deadline_s: float) -> int:
        """Return by when it is to be answered, in milliseconds of the Unix epoch."""
        return self.created_ms + int(deadline_s * 1000)

    def transcript(self) -> Transcript:
        """Return the response's events from their beginning."""
        # The client has named a conversation. The turn before is Axon's own to know, and perhaps no
        # response at all; a worker of the version before shows its id all the same.
        hidden = {"previous_response_id": None} if self.response.get("conversation") else {}
        return Transcript(
            self.response
            | hidden,  # a copy: the transcript changes its fields, and none inside them
            stream_id=self.stream_id,
            message_bytes=self.message_bytes,
        )


def response_id_in(data: bytes | str) -> str | None:
    """Return the id of the response that a job asks for, even if the job cannot be read.

    Returns
    -------
    str | None
        None if the data names no response: it is not a job of any version.
    """
    response_id = text_at(data, "response", "id")
    return response_id if response_id and is_id("resp", response_id) else None


def new_job(
    request: CreateResponse,
    *,
    response: dict[str, Any],
    principal: Principal,
    connection_id: str,
    conversation_id: str,
    created_ms: int,
    message_bytes: int | None = MESSAGE_BYTES,
    socket_id: str = "",
    flush_ms: int | None = None,
) -> Job:
    """Return the job of an accepted request."""
    items: list[dict[str, Any]]
    if isinstance(request.input, str):
        items = [{"type": "message", "role": "user", "content": request.input}]
    else:
        items = [kept(item) for item in request.input]
    return Job(
        tenant_id=principal.tenant_id,
        key_id=principal.key_id,
        scopes=principal.scopes,
        connection_id=connection_id,
        conversation_id=conversation_id,
        stream_id=request.stream_id,
        created_ms=created_ms,
        response=response,
        input=items,
        sampling=_set_fields(request, SAMPLING),
        **_set_fields(request, VIEW_FIELDS),
        priority=PRIORITIES[request.tier],
        sent_once=not request.idempotency_key,
        message_bytes=message_bytes,
        socket_id=socket_id,
        flush_ms=flush_ms,
    )


def _set_fields(request: CreateResponse, names: Iterable[str]) -> dict[str, Any]:
    """Return those of these fields, of plain values, that a request has and that are not null."""
    fields = vars(request)  # pydantic's `getattr` is slow for a field that a request does not have
    return {name: value for name in names if (value := fields.get(name)) is not None}


@dataclass(frozen=True, slots=True)
class ReceivedJob:
    """A job as a worker received it.

    Parameters
    ----------
    body : str
        The message's body: a `Job`, encoded.
    receipt_handle : str
        Releases, extends or deletes the message; valid for this receipt only.
    receive_count : int
        Times that the message was received, this one included.
    message_id : str
        Id of the SQS message: the same at each receipt. A duplicate of the job has another one.
    trace_header : str | None
        X-Ray trace header of the submitter, whose trace the worker continues.
    forwarded : bool
        True if another worker received the message and handed it over.
    format : int
        Version of the format in which it is handed over (`axon.formats`).
    """

    body: str
    receipt_handle: str
    receive_count: int
    message_id: str = ""
    trace_header: str | None = None
    forwarded: bool = False
    format: int = 1

    def encode(self) -> bytes:
        """Return the job as it is sent to another worker."""
        return _DELIVERIES.dump_json(self, exclude={"forwarded"})

    @classmethod
    def decode(cls, data: bytes) -> "ReceivedJob":
        """Read what `encode` wrote, for the worker that the job was handed over to.

        Raises
        ------
        UnreadableError
            The data is not a received job, or one of a higher version.
        """
        received = read(Format.HANDED_OVER_JOB, data, _DELIVERIES.validate_json)
        return replace(received, forwarded=True)


_DELIVERIES = TypeAdapter(ReceivedJob)


@dataclass(frozen=True, slots=True)
class NotExtended:
    """A message whose visibility timeout could not be changed.

    Parameters
    ----------
    received : ReceivedJob
        The message.
    error : UnavailableError
        A `PermanentRefusalError` if the receipt handle is not valid any more: the message was
        deleted, or became visible and perhaps another worker's.
    """

    received: ReceivedJob
    error: UnavailableError


class JobSender(Protocol):
    """The submitter's side of the queue."""

    async def send(self, job: Job) -> None:
        """Accept a job for delivery at least once.

        Raises
        ------
        UnavailableError
            The queue did not take it.
        """
        ...


class JobQueue(Protocol):
    """The worker's side of the queue."""

    async def receive(self, *, limit: int) -> Sequence[ReceivedJob]:
        """Wait for jobs, up to the queue's long-polling time; return at most `limit` (1 to 10).

        A call that is cancelled may cost the jobs that it was about to return a receive, and hide
        them for a visibility timeout.

        Raises
        ------
        UnavailableError
            The queue is away, or refuses (`PermanentRefusalError`).
        """
        ...

    async def delete(self, received: ReceivedJob) -> None:
        """Take a finished job out of the queue.

        Raises
        ------
        UnavailableError
            The queue is away, or refuses (`PermanentRefusalError`).
        """
        ...

    async def extend(
        self, messages: Sequence[ReceivedJob], *, timeout_s: int
    ) -> Sequence[NotExtended]:
        """Keep jobs invisible to other workers for `timeout_s` more seconds; 0 releases them.

        Returns
        -------
        Sequence[NotExtended]
            The messages for which that failed; it has no influence on the others.
        """
        ...
