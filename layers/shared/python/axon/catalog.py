"""The parts of Axon on AWS and in the local cloud alike: functions, queues, time limits.

Data only, without CDK or AWS clients: the stacks (`infra`), the local cloud (`local`) and the
command line (`cli`) all read it, so that none can drift from the others.
"""

from dataclasses import dataclass
from enum import Enum

from axon import settings
from axon.base_settings import Settings

STAGE = "responses"
"""Stage of the WebSocket API: OpenAI's SDKs append ``/responses`` to their base URL."""

INTEGRATION_LIMIT_S = 29
"""Longest time that API Gateway waits for a function (AWS quota, WebSocket APIs)."""

QUEUE_MESSAGE_BYTES = 1024 * 1024
"""Longest message of a queue (AWS quota since August 2025; 256 KB in queues that do not set it).
Every accepted request's job fits, and its history with any answer (ADR 21)."""

MESSAGE_DAYS = 14
"""Days for which a queue keeps a message: the longest that SQS has (quota)."""

STORED, UNSTORED, UPLOADS = "stored/", "unstored/", "uploads/"
"""Prefixes of the payloads bucket: what no queue can carry of responses that are stored, and of
those that are not (ADR 38); and bodies that clients have uploaded for a request."""

UNSTORED_DAYS = 2
"""Days for which payloads of unstored responses are kept, which end with their connection."""

UPLOAD_DAYS = 1
"""Days for which an upload is kept: the shortest time that S3's lifecycle rules have."""


class Resource(Enum):
    """A resource that a process may use: it gets its address and the permission together."""

    VALKEY = "valkey"
    POSTGRES = "postgres"
    POSTGRES_OWNER = "postgres_owner"
    SEND_JOBS = "send_jobs"
    RECEIVE_JOBS = "receive_jobs"
    PARK_JOBS = "park_jobs"
    PARK_HISTORY = "park_history"
    SEND_HISTORY = "send_history"
    START_WORKERS = "workers"
    CONNECTIONS = "connections"
    PUT_PAYLOADS = "put_payloads"
    GET_PAYLOADS = "get_payloads"
    DELETE_PAYLOADS = "delete_payloads"
    UPLOADS = "uploads"


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """A Lambda function; `settings` is what its handler reads from the environment."""

    settings: type[Settings]
    uses: frozenset[Resource]
    timeout_s: int = INTEGRATION_LIMIT_S
    memory_mb: int = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """An SQS queue and its dead-letter queue. Names ending in ``.fifo`` are first in, first out.

    Where a function serves the dead-letter queue, it moves its messages to the queue `parked`.
    """

    name: str
    visibility_s: int
    max_receives: int
    dead_letter: str
    parked: str | None = None

    @property
    def fifo(self) -> bool:
        """True for a FIFO queue, in which messages of a group arrive in order."""
        return self.name.endswith(".fifo")

    @property
    def operator_queue(self) -> str:
        """Name of the queue in which dead letters wait for the operator."""
        return self.parked or self.dead_letter


@dataclass(frozen=True, kw_only=True, slots=True)
class EventSource:
    """A queue whose messages invoke a function."""

    queue: str
    function: str
    batch_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A function that is invoked again and again, every `minutes` minutes."""

    function: str
    minutes: int


FUNCTIONS = {
    "authorizer": Function(
        settings=settings.AuthorizerSettings,
        uses=frozenset({Resource.VALKEY, Resource.POSTGRES}),
        timeout_s=10,
    ),
    "connect": Function(
        settings=settings.ConnectionSettings, uses=frozenset({Resource.VALKEY}), timeout_s=10
    ),
    "disconnect": Function(settings=settings.DisconnectSettings, uses=frozenset({Resource.VALKEY})),
    "respond": Function(
        settings=settings.RespondSettings,
        uses=frozenset(
            {
                Resource.VALKEY,
                Resource.POSTGRES,
                Resource.SEND_JOBS,
                Resource.SEND_HISTORY,
                Resource.START_WORKERS,
                Resource.PUT_PAYLOADS,
                Resource.DELETE_PAYLOADS,
            }
        ),
    ),
    "write_history": Function(
        settings=settings.WriteHistorySettings,
        uses=frozenset(
            {
                Resource.VALKEY,
                Resource.POSTGRES,
                Resource.PARK_HISTORY,
                Resource.GET_PAYLOADS,
                Resource.DELETE_PAYLOADS,
            }
        ),
        timeout_s=60,
    ),
    "expire": Function(
        settings=settings.ExpireSettings, uses=frozenset({Resource.POSTGRES}), timeout_s=60
    ),
    "dead_letter": Function(
        settings=settings.DeadLetterSettings,
        uses=frozenset({Resource.VALKEY, Resource.SEND_HISTORY, Resource.PARK_JOBS}),
    ),
    "migrate": Function(
        settings=settings.PostgresSettings,
        uses=frozenset({Resource.POSTGRES_OWNER}),
        timeout_s=300,
    ),
    "keys": Function(
        settings=settings.KeysSettings, uses=frozenset({Resource.VALKEY, Resource.POSTGRES})
    ),
    "models": Function(
        settings=settings.ModelsSettings, uses=frozenset({Resource.VALKEY, Resource.POSTGRES})
    ),
}

FRONT = frozenset(
    {
        Resource.VALKEY,
        Resource.POSTGRES,
        Resource.SEND_JOBS,
        Resource.SEND_HISTORY,
        Resource.START_WORKERS,
        Resource.PUT_PAYLOADS,
        Resource.GET_PAYLOADS,
        Resource.DELETE_PAYLOADS,
        Resource.UPLOADS,
    }
)
FRONT_FUNCTION = Function(
    settings=settings.FrontSettings,
    uses=FRONT,
    # Lambda's longest (AWS quota): an answer that takes longer is broken off, and can be resumed.
    timeout_s=900,
    # It is paid for while it waits with its client. Serving, it takes 82 MB (ADR 36).
    memory_mb=256,
)
"""The front where it is a function. It has a function URL, and is its own runtime (ADR 36); in the
local cloud, and where it is balanced, the front is a process like the relay."""
RELAY = frozenset({Resource.VALKEY, Resource.SEND_HISTORY, Resource.CONNECTIONS})
WORKER = frozenset(
    {
        Resource.VALKEY,
        Resource.POSTGRES,
        Resource.RECEIVE_JOBS,
        Resource.PARK_JOBS,
        Resource.SEND_HISTORY,
        Resource.GET_PAYLOADS,
    }
)

# A dead worker's jobs become visible again after this time at the latest. The event log keeps the
# budget of attempts (docs/adr/0014-attempts.md); receives only bound what never reaches the log. A
# job that finds a full stage is received up to 32 times in its 600 s.
JOBS = Queue(
    name="jobs", visibility_s=30, max_receives=50, dead_letter="jobs-dlq", parked="jobs-parked"
)
# The database may be unavailable for an hour before waiting records become dead letters:
# 40 receives, each hidden for 90 s.
HISTORY = Queue(
    name="history.fifo", visibility_s=90, max_receives=40, dead_letter="history-dlq.fifo"
)
QUEUES = (JOBS, HISTORY)
LONGEST_WAY = (
    *(JOBS.name, JOBS.dead_letter),
    # `dead_letter` ends the response, whose history the operator may send back once.
    *(HISTORY.name, HISTORY.dead_letter, HISTORY.name),
)
"""The queues that a stored response can wait in, one after the other."""
STORED_DAYS = MESSAGE_DAYS * len(LONGEST_WAY)
"""Days for which its payload is kept that nobody deletes: as long as a message refers to it."""
DEAD_LETTER_VISIBILITY_S = 180

EVENT_SOURCES = (
    EventSource(queue=HISTORY.name, function="write_history", batch_size=10),
    EventSource(queue=JOBS.dead_letter, function="dead_letter", batch_size=10),
)

SCHEDULES = (Schedule(function="expire", minutes=60),)
