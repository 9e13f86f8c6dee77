"""Composition roots that several processes share: event log, follower, response service, ..."""

from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from typing_extensions import override

from axon.adapters.aws.aws_json import AwsJsonApi, endpoint_of
from axon.adapters.aws.credentials import process_credentials
from axon.adapters.aws.ecs_scaler import EcsWorkerScaler
from axon.adapters.aws.s3 import S3PayloadStore
from axon.adapters.aws.sqs import SqsHistorySender, SqsJobSender, TraceHeader, no_trace_header
from axon.adapters.aws.sqs_api import SqsApi
from axon.adapters.closing import AsyncClosing
from axon.adapters.valkey.attendance import ValkeyAttendance
from axon.adapters.valkey.caches import ValkeyPendingHistory, ValkeyTurnCache
from axon.adapters.valkey.client import Valkey, create_valkey
from axon.adapters.valkey.due_index import ValkeyDueIndex
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.follower import ValkeyFollower
from axon.adapters.valkey.traces import ValkeyResponseTraces
from axon.conversations import Conversations
from axon.event_log.kept_ends import KeptEnds
from axon.exceptions import SettingsError
from axon.history import HistorySender, NotedHistorySender
from axon.inputs import LargeInputs
from axon.named_conversations.items import ConversationItems
from axon.named_conversations.service import NamedConversations
from axon.responses.deletion import ResponseDeletion
from axon.responses.finisher import ResponseFinisher
from axon.responses.retrieval import ResponseRetrieval
from axon.responses.service import ResponseService
from axon.responses.terminator import ResponseTerminator
from axon.scaling import FixedWorkerScaler, WorkerScaler
from axon.settings import EventLogSettings, PayloadSettings, RespondSettings

if TYPE_CHECKING:
    from axon.adapters.postgres.pool import Pool


def event_log(
    settings: EventLogSettings,
    *,
    valkey: Valkey,
    models: Collection[str] = (),
    worker_id: str = "",
) -> ValkeyEventLog:
    """Return the event log that the settings describe.

    Parameters
    ----------
    valkey : Valkey
        Connections for the log; the caller closes them.
    models : Collection[str]
        Models that exist even if no worker has announced them.
    worker_id : str
        The worker that claims through the log; empty for other processes.
    """
    return ValkeyEventLog(
        valkey=valkey,
        deadlines=settings.deadlines,
        retention_s=settings.retention_s,
        resume_window_s=settings.resume_window_s,
        models=models,
        worker_id=worker_id,
    )


def follower(*, valkey: Valkey, log: ValkeyEventLog) -> ValkeyFollower:
    """Return a follower of responses; its `run` is to be kept running in a task of the caller."""
    return ValkeyFollower(valkey=valkey, log=log)


def attendance(settings: EventLogSettings, *, valkey: Valkey) -> ValkeyAttendance:
    """Return what keeps the followed responses running that somebody reads."""
    return ValkeyAttendance(
        valkey=valkey,
        resume_window_s=settings.resume_window_s,
        retention_s=settings.retention_s,
        deadlines=settings.deadlines,
    )


def sqs_api(queue_url: str, *, region: str) -> SqsApi:
    """Return the API of a queue, signed with the credentials of the process."""
    return SqsApi(queue_url=queue_url, region=region, credentials=process_credentials().current)


def payload_store(settings: PayloadSettings) -> S3PayloadStore | None:
    """Return the store in the bucket that the settings name; None if they name none."""
    if settings.payload_bucket is None:
        return None
    return S3PayloadStore(
        bucket=settings.payload_bucket,
        endpoint=endpoint_of("s3", region=settings.aws_region),
        region=settings.aws_region,
        credentials=process_credentials().current,
    )


def history_sender(
    api: SqsApi, *, valkey: Valkey, trace_header: TraceHeader = no_trace_header
) -> HistorySender:
    """Return the sender to the history queue, which notes what is on its way."""
    return NotedHistorySender(
        sender=SqsHistorySender(api=api, trace_header=trace_header),
        pending=ValkeyPendingHistory(valkey=valkey),
    )


def terminator(
    settings: EventLogSettings,
    *,
    valkey: Valkey,
    log: ValkeyEventLog,
    history: SqsApi,
    history_lost: Callable[[], None] = lambda: None,
    kept_ends: KeptEnds | None = None,
) -> ResponseTerminator:
    """Return the terminator, which ends responses from outside an attempt.

    Parameters
    ----------
    valkey : Valkey
        Keeps the turns.
    log : ValkeyEventLog
        The event log.
    history : SqsApi
        The history queue.
    history_lost : Callable[[], None]
        Called for each response that ends without its history.
    kept_ends : KeptEnds | None
        Appends ends again that a failover has lost; None in a process that lives too short for it.
    """
    return ResponseTerminator(
        event_log=log,
        finisher=ResponseFinisher(
            history=history_sender(history, valkey=valkey),
            turns=ValkeyTurnCache(valkey=valkey, ttl_s=settings.conversation_cache_s),
            history_lost=history_lost,
        ),
        kept_ends=kept_ends,
    )


async def confirmed_generation(valkey: Valkey) -> str:
    """Return the generation of a server that has just answered."""
    await valkey.now_ms()
    return valkey.generation


def due_index(settings: EventLogSettings, *, valkey: Valkey) -> ValkeyDueIndex:
    """Return the indexes of deadlines and of abandoned responses."""
    return ValkeyDueIndex(
        valkey=valkey, deadlines=settings.deadlines, retention_s=settings.retention_s
    )


def worker_scaler(settings: RespondSettings, *, valkey: Valkey) -> WorkerScaler:
    """Return the scaler of the ECS service that the settings name, or one that does nothing.

    Raises
    ------
    SettingsError
        Only its cluster is named, or only the service.
    """
    cluster, service = settings.workers_cluster, settings.workers_service
    if cluster is None and service is None:
        return FixedWorkerScaler()
    if cluster is None or service is None:
        raise SettingsError("set both AXON_WORKERS_CLUSTER and AXON_WORKERS_SERVICE, or neither")
    ecs = AwsJsonApi(
        service="ecs",
        target="AmazonEC2ContainerServiceV20141113",
        region=settings.aws_region,
        credentials=process_credentials().current,
    )
    return EcsWorkerScaler(cluster=cluster, service=service, ecs=ecs, valkey=valkey)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseBackend(AsyncClosing):
    """The response service with all that it is built from; an asynchronous context manager.

    Parameters
    ----------
    service : ResponseService
        Accepts requests.
    retrieval : ResponseRetrieval
        Finds responses that run or are stored.
    named : NamedConversations
        Creates and finds the conversations that clients name.
    items : ConversationItems
        Their items.
    terminator : ResponseTerminator
        Ends responses from outside an attempt.
    kept_ends : KeptEnds
        Appends ends of the terminator again that a failover has lost, while its `run` is running;
        it gets none without `keeps_ends`.
    log : ValkeyEventLog
        The event log of all three.
    inputs : LargeInputs
        The inputs that wait in the payload store.
    valkey, pool, jobs, history : Valkey, Pool, SqsApi, SqsApi
        The clients: of Valkey, of PostgreSQL, of the jobs queue and of the history queue. Each
        connects with its first use, and works on one event loop.
    payloads : S3PayloadStore | None
        The client of the payload store, if there is one.
    """

    service: ResponseService
    retrieval: ResponseRetrieval
    named: NamedConversations
    items: ConversationItems
    terminator: ResponseTerminator
    kept_ends: KeptEnds
    log: ValkeyEventLog
    inputs: LargeInputs
    valkey: Valkey
    pool: "Pool"
    jobs: SqsApi
    history: SqsApi
    payloads: S3PayloadStore | None

    @override
    async def close(self) -> None:
        """Close all clients, also when closing one of them fails."""
        async with AsyncExitStack() as stack:
            for client in (self.valkey, self.pool, self.jobs, self.history, self.payloads):
                if client is not None:
                    stack.push_async_callback(client.close)


def response_service(
    settings: RespondSettings,
    *,
    database_connections: int = 1,
    keeps_connections: bool = True,
    trace_header: TraceHeader = no_trace_header,
    keeps_ends: bool = False,
) -> ResponseBackend:
    """Return the response service that the settings describe, for a function or a container.

    Parameters
    ----------
    database_connections : int
        Most connections to PostgreSQL at a time; a function handles one event at a time.
    keeps_connections : bool
        Keep connections to PostgreSQL between transactions.
    trace_header : TraceHeader
        Called for each job and history record that is sent, for the trace that it continues.
    keeps_ends : bool
        The process lives on after it has ended responses, and runs `ResponseBackend.kept_ends`.

    Raises
    ------
    SettingsError
        The settings contradict each other.
    """
    # Imported here because the driver takes long to import, and the functions that use only the
    # other parts of this module start cold, too.
    from axon.adapters.postgres.conversations import PostgresConversationStore
    from axon.adapters.postgres.pool import create_pool
    from axon.adapters.postgres.retention import PostgresResponseRows
    from axon.adapters.postgres.stores import PostgresTurnStore

    valkey = create_valkey(settings)
    pool = create_pool(settings, max_size=database_connections, keeps_connections=keeps_connections)
    jobs = sqs_api(settings.jobs_queue_url, region=settings.aws_region)
    history = sqs_api(settings.history_queue_url, region=settings.aws_region)
    log = event_log(settings, valkey=valkey, models=settings.models)
    turns = ValkeyTurnCache(valkey=valkey, ttl_s=settings.conversation_cache_s)
    finisher = ResponseFinisher(
        history=history_sender(history, valkey=valkey, trace_header=trace_header), turns=turns
    )
    kept_ends = KeptEnds(confirm=partial(confirmed_generation, valkey))
    terminator = ResponseTerminator(
        event_log=log, finisher=finisher, kept_ends=kept_ends if keeps_ends else None
    )
    pending = ValkeyPendingHistory(valkey=valkey)
    payloads = payload_store(settings)
    inputs = LargeInputs(store=payloads)
    rows = PostgresResponseRows(pool=pool)
    conversations = Conversations(
        cache=turns, database=PostgresTurnStore(pool=pool), pending=pending, inputs=inputs
    )
    retrieval = ResponseRetrieval(
        event_log=log, rows=rows, conversations=conversations, pending=pending, inputs=inputs
    )
    store = PostgresConversationStore(pool=pool)
    named = NamedConversations(store=store, conversations=conversations, responses=retrieval)
    service = ResponseService(
        event_log=log,
        conversations=conversations,
        jobs=SqsJobSender(api=jobs, trace_header=trace_header),
        finisher=finisher,
        terminator=terminator,
        scaler=worker_scaler(settings, valkey=valkey),
        deletion=ResponseDeletion(
            event_log=log,
            terminator=terminator,
            pending=pending,
            rows=rows,
            traces=ValkeyResponseTraces(valkey=valkey),
            inputs=inputs,
        ),
        rows=rows,
        named=named,
        aliases=settings.model_aliases,
        inputs=inputs,
        ignored_tools=settings.ignored_tools,
    )
    return ResponseBackend(
        service=service,
        retrieval=retrieval,
        named=named,
        items=ConversationItems(named=named, store=store, cache=turns),
        terminator=terminator,
        kept_ends=kept_ends,
        log=log,
        inputs=inputs,
        valkey=valkey,
        pool=pool,
        jobs=jobs,
        history=history,
        payloads=payloads,
    )
