"""Openings and resumptions of logs: what a caller brings, and the results."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class NewResponse:
    """A response to be opened: its tenant, the connection that waits for it, the job, event 0.

    Parameters
    ----------
    response_id : str
        Id of the response, as in its job.
    tenant_id : str
        The tenant that may read, resume and cancel it.
    connection_id : str
        The connection that its events are posted to; empty for a followed response.
    model : str
        Name of the model that is to serve it.
    job : bytes
        The job as it goes into the queue.
    created : bytes
        Event 0, serialized.
    idempotency : str
        Digest of the tenant and its idempotency key; empty if the client gave none.
    fingerprint : str
        Digest of the request, to tell a repeated request from another one under the same key.
    key_id : str
        Id of the API key that made the request; one that Valkey knows as revoked opens nothing.
    cancel_on_disconnect : bool | None
        True to cancel it as soon as its connection ends, without a resume window; None to do as the
        connection says that it is delivered to then.
    lane : str
        Lane of the connection that it joins (`axon.event_log.lanes`); empty for none. A followed
        one joins it when it is resumed on a connection.
    """

    response_id: str
    tenant_id: str
    connection_id: str
    model: str
    job: bytes
    created: bytes
    idempotency: str = ""
    fingerprint: str = ""
    key_id: str = ""
    cancel_on_disconnect: bool | None = None
    lane: str = ""


class OpenResult(StrEnum):
    """The result of opening a log.

    UNATTENDED: it is open, but no worker that serves the model has announced itself lately.
    NO_MODEL: no model is known at all, as when Valkey has just lost its data.
    REPEATED: an earlier request had the same idempotency key.
    GONE: the connection is closed.
    REVOKED: the API key was revoked.
    FULL: Valkey has no memory for new requests.
    TENANT_FULL: the tenant holds as much of Valkey's memory as one tenant may.
    CONNECTION_FULL: the connection holds as much of it as one connection may.
    """

    OPENED = "opened"
    UNATTENDED = "unattended"
    REPEATED = "repeated"
    UNKNOWN_MODEL = "unknown_model"
    NO_MODEL = "no_model"
    NO_RELAY = "no_relay"
    GONE = "gone"
    REVOKED = "revoked"
    FULL = "full"
    TENANT_FULL = "tenant_full"
    CONNECTION_FULL = "connection_full"


@dataclass(frozen=True, slots=True)
class Opening:
    """A result and, for a repeated request, the first one's response id and fingerprint."""

    outcome: OpenResult
    first_id: str = ""
    fingerprint: str = ""

    @property
    def opened(self) -> bool:
        """True if there is a new log."""
        return self.outcome in (OpenResult.OPENED, OpenResult.UNATTENDED)


class Resumption(StrEnum):
    """The result of resuming a response on another connection.

    AHEAD: it has no such event, or it has ended and nothing follows. FORKED: the client may have
    other events than the log, which another attempt has continued while nobody could confirm them.
    HOLE: it has failed, and events between the client's and the failure are lost.
    """

    RESUMED = "resumed"
    MISSING = "missing"
    AHEAD = "ahead"
    FORKED = "forked"
    HOLE = "hole"
    NO_RELAY = "no_relay"
    GONE = "gone"
