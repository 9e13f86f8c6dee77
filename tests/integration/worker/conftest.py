"""A submitter and workers over the real servers."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.credentials import ReadOnlyCredentials

from axon.adapters.aws.sqs import SqsHistorySender, SqsJobSender
from axon.adapters.aws.sqs_api import SqsApi
from axon.adapters.postgres.conversations import PostgresConversationStore
from axon.adapters.postgres.retention import PostgresResponseRows
from axon.adapters.postgres.stores import PostgresTurnStore
from axon.adapters.valkey import keys as keys_of
from axon.adapters.valkey.caches import ValkeyPendingHistory, ValkeyTurnCache
from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import ValkeyModelDirectory, ValkeyRelayDirectory
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.adapters.valkey.traces import ValkeyResponseTraces
from axon.catalog import JOBS
from axon.conversations import Conversations
from axon.deadlines import Deadlines
from axon.event_log.log import LoggedEvent, ResponseMeta
from axon.jobs import Job, JobSender
from axon.named_conversations.service import NamedConversations
from axon.responses.deletion import ResponseDeletion
from axon.responses.finisher import ResponseFinisher
from axon.responses.retrieval import ResponseRetrieval
from axon.responses.service import ResponseService
from axon.responses.terminator import ResponseTerminator
from axon.scaling import FixedWorkerScaler
from axon.settings import WorkerSettings
from local.services.queues import JOBS_DEAD, Queue
from tests.support.clients import postgres_pool, valkey_client
from tests.support.principals import a_principal
from tests.support.sdk_events import validate_stream
from tests.unit.axon.samples import a_request
from worker.app import serve

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

ROOT = Path(__file__).resolve().parents[3]
TENANT, CONNECTION = "t", "c1"
VISIBILITY_S = 3


class WorkerHarness:
    """Submits requests to workers and reads their answers."""

    def __init__(
        self, *, variables: dict[str, str], service: ResponseService,
        terminator: ResponseTerminator,
        log: ValkeyEventLog, jobs: JobSender, valkey: Valkey, sqs: "SQSClient",
    ) -> None:  # fmt: skip
        self.variables = variables
        self.terminator = terminator
        self.log = log
        self._jobs = jobs
        self._valkey = valkey
        self.service = service
        self._sqs = sqs

    async def submit(self, **fields: Any) -> str:
        request = a_request(**fields)
        response_id = await self.service.submit(
            request, principal=a_principal(TENANT), connection_id=CONNECTION
        )
        assert response_id is not None
        return response_id

    async def ended(self, response_id: str, *, seconds: float = 20) -> list[dict[str, Any]]:
        """Wait for the end; return the whole answer, checked."""
        async with asyncio.timeout(seconds):
            while not (meta := await self.log.describe(response_id)) or not meta.status.terminal:
                await asyncio.sleep(0.01)
        return validate_stream(await self.log.read(response_id))

    async def logged(self, response_id: str, *, count: int) -> list[LoggedEvent]:
        """Wait until the log holds `count` events."""
        async with asyncio.timeout(20):
            while len(events := await self.log.read(response_id)) < count:
                await asyncio.sleep(0.005)
        return events

    async def claimed(self, response_id: str, *, epoch: int, seconds: float = 20) -> None:
        """Wait until this attempt, or a later one, has the response."""
        async with asyncio.timeout(seconds):
            while not (meta := await self.log.describe(response_id)) or meta.epoch < epoch:
                await asyncio.sleep(0.005)

    async def age(self, response_id: str) -> None:
        """Make a response as old as if it had waited for years."""
        await self._valkey.call("HSET", keys_of.response(response_id), "opened_ms", 1)

    async def listed(self) -> None:
        """Wait until a live worker's list has the message of the job that it runs."""
        async with asyncio.timeout(20):
            while True:
                values = await self._valkey.call("HGETALL", keys_of.BEATS)
                for incarnation, value in values.items():
                    held = keys_of.held_messages(incarnation.decode())
                    if value.isdigit() and len(await self._valkey.call("HGETALL", held)) > 1:
                        return
                await asyncio.sleep(0.01)

    async def isolated(self, response_id: str) -> None:
        """Wait until the response's attempt runs alone on its worker."""
        async with asyncio.timeout(20):
            while not await self._valkey.call("HGET", keys_of.response(response_id), "alone"):
                await asyncio.sleep(0.01)

    async def describe(self, response_id: str) -> ResponseMeta:
        """Return what the log knows of a response that it knows."""
        meta = await self.log.describe(response_id)
        assert meta is not None
        return meta

    async def dump(self, response_id: str) -> list[object]:
        """Return all that Valkey holds of a response, byte for byte."""
        key, events = keys_of.response(response_id), keys_of.events(response_id)
        return [
            await self._valkey.call("HGETALL", key),
            await self._valkey.call("XRANGE", events, "-", "+"),
        ]

    async def remove_delivery(self, response_id: str) -> None:
        """Do what a relay does that has delivered everything."""
        relay = (await self.describe(response_id)).relay_id
        await self._valkey.call("SREM", keys_of.relay_responses(relay), response_id)

    async def turn_fields(self, response_id: str) -> dict[bytes, bytes]:
        """Return what the cache holds of a response's turn."""
        fields: dict[bytes, bytes] = await self._valkey.call("HGETALL", keys_of.turn(response_id))
        return fields

    async def send_again(self, response_id: str) -> None:
        """Send the job of a running response once more."""
        await self._jobs.send(await self.job(response_id))

    async def job(self, response_id: str) -> Job:
        """Return the job of a running response."""
        return Job.decode((await self.describe(response_id)).job)

    async def lose(self) -> None:
        """Delete all data of Valkey; a relay announces itself again."""
        await self._valkey.call("FLUSHALL")
        await self.begin()

    async def begin(self) -> None:
        """Announce a relay and a model."""
        await ValkeyRelayDirectory(valkey=self._valkey).heartbeat("relay", lease_s=600)
        await ValkeyModelDirectory(valkey=self._valkey).register(("echo",), retention_s=600)

    async def done(self, *, jobs: int = 0) -> None:
        """Wait until `jobs` jobs are left: a worker deletes its own after the end."""
        async with asyncio.timeout(10):
            while self.depth("jobs") > jobs:
                await asyncio.sleep(0.01)
        assert self.depth("jobs") == jobs

    def depth(self, queue: str) -> int:
        """Messages in a queue, visible or in flight."""
        names: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = self.variables[f"AXON_{queue.upper()}_QUEUE_URL"]
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    @asynccontextmanager
    async def worker(
        self, *, agent_uri: str | None = None, **changes: str
    ) -> AsyncIterator["asyncio.Task[None]"]:
        """Run a worker in this process, which may end by itself; stop it in the end."""
        changed = {f"AXON_{name.upper()}": value for name, value in changes.items()}
        settings = WorkerSettings.from_environ(self.variables | changed)
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(settings, stop=stop, agent_uri=agent_uri))
        try:
            yield serving
        finally:
            stop.set()
            await serving


def text_of(decoded: list[dict[str, Any]]) -> str:
    text: str = decoded[-1]["response"]["output"][0]["content"][0]["text"]
    return text


class Processes:
    """Starts workers, and leaves none."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._variables = variables
        self._started: list[subprocess.Popen[str]] = []

    def start(self, **changes: str) -> "subprocess.Popen[str]":
        changed = {
            name.upper() if name.startswith("ecs_") else f"AXON_{name.upper()}": value
            for name, value in changes.items()
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "worker"],
            env=os.environ | self._variables | changed,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def processes(variables: dict[str, str]) -> Iterator[Processes]:
    processes = Processes(variables)
    yield processes
    processes.end()


@pytest.fixture
def visibility_s() -> int:
    """Visibility timeout of the jobs queue, in seconds."""
    return VISIBILITY_S


@pytest.fixture
def variables(
    visibility_s: int,
    valkey_url: str,
    app_dsn: str,
    history_queue_url: str,
    make_queue: Callable[..., str],
) -> dict[str, str]:
    """The worker's environment."""
    dead = make_queue(JOBS_DEAD)
    jobs = make_queue(
        Queue(name="jobs", visibility_s=visibility_s, max_receives=JOBS.max_receives),
        dead_letter=dead.rpartition("/")[2],
    )
    return {
        "AXON_VALKEY_URL": valkey_url,
        "AXON_POSTGRES_DSN": app_dsn,
        "AXON_JOBS_QUEUE_URL": jobs,
        "AXON_HISTORY_QUEUE_URL": history_queue_url,
        "AXON_VISIBILITY_TIMEOUT_S": str(visibility_s),
    }


@pytest.fixture
async def harness(
    variables: dict[str, str], sqs_client: "SQSClient"
) -> AsyncIterator[WorkerHarness]:
    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(valkey_client(variables["AXON_VALKEY_URL"]))
        pool = await stack.enter_async_context(postgres_pool(variables["AXON_POSTGRES_DSN"]))
        apis = [sqs_api(variables[f"AXON_{name}_QUEUE_URL"]) for name in ("JOBS", "HISTORY")]
        for api in apis:
            stack.push_async_callback(api.close)
        log = ValkeyEventLog(
            valkey=valkey, deadlines=Deadlines(), retention_s=300, resume_window_s=60
        )
        history = SqsHistorySender(api=apis[1])
        turns = ValkeyTurnCache(valkey=valkey, ttl_s=900)
        finisher = ResponseFinisher(history=history, turns=turns)
        terminator = ResponseTerminator(event_log=log, finisher=finisher)
        jobs = SqsJobSender(api=apis[0])
        rows = PostgresResponseRows(pool=pool)
        pending = ValkeyPendingHistory(valkey=valkey)
        conversations = Conversations(cache=turns, database=PostgresTurnStore(pool=pool))
        service = ResponseService(
            event_log=log,
            conversations=conversations,
            jobs=jobs,
            finisher=finisher,
            terminator=terminator,
            scaler=FixedWorkerScaler(),
            deletion=ResponseDeletion(
                event_log=log,
                terminator=terminator,
                pending=pending,
                rows=rows,
                traces=ValkeyResponseTraces(valkey=valkey),
            ),
            rows=rows,
            named=NamedConversations(
                store=PostgresConversationStore(pool=pool),
                conversations=conversations,
                responses=ResponseRetrieval(
                    event_log=log, rows=rows, conversations=conversations, pending=pending
                ),
            ),
        )
        harness = WorkerHarness(
            variables=variables, service=service, terminator=terminator, log=log, jobs=jobs,
            valkey=valkey, sqs=sqs_client,
        )  # fmt: skip
        await harness.begin()
        yield harness


def sqs_api(queue_url: str) -> SqsApi:
    return SqsApi(
        queue_url=queue_url,
        region="us-east-1",
        credentials=lambda: ReadOnlyCredentials("local", "local", None),
    )
