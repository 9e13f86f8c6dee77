"""The consumer with jobs that cannot be read: set aside, or postponed for a newer version."""

import json
import logging
from typing import Any

import pytest

from axon.event_log.log import EventLog, LoggedEvent, ResponseMeta, Status
from axon.event_log.openings import NewResponse
from axon.exceptions import UnavailableError
from axon.formats import UnreadableLogError
from axon.ids import new_id
from axon.jobs import Job, ReceivedJob
from axon.responses.finisher import ResponseFinisher
from axon.responses.terminator import ResponseTerminator
from axon.serialization import dumps, loads
from axon.testing.event_log import FakeValkey
from axon.testing.stores import FakeHistory, FakeTurns
from tests.support.principals import a_principal
from tests.support.virtual_time import now, run
from tests.unit.axon.samples import CONNECTION, MODEL, TENANT, a_job
from tests.unit.worker.jobs.consumer_harness import ConsumerHarness
from worker.attempt.endings import ENDINGS
from worker.jobs.consumer import Parking
from worker.jobs.unreadable import UNREADABLE, UnreadableJobs
from worker.outcome import AttemptResult

RECEIVES = 50


class FakeParking(Parking):
    """Notes what is parked; `fail_with` is raised first."""

    def __init__(self) -> None:
        self.parked: list[tuple[str, str]] = []
        self.fail_with: Exception | None = None

    async def park(self, received: ReceivedJob, *, why: str) -> None:
        if self.fail_with:
            raise self.fail_with
        self.parked.append((received.body, why))


class Log(FakeValkey):
    """A log that raises `fail_with` where it is asked for a response."""

    fail_with: Exception | None = None

    async def describe(self, response_id: str, *, with_job: bool = True) -> ResponseMeta | None:
        if self.fail_with:
            raise self.fail_with
        return await super().describe(response_id, with_job=with_job)


class UnreadableHarness(ConsumerHarness):
    """A consumer that sets aside what it cannot read, with the responses' log in memory."""

    def __init__(self) -> None:
        self.log = Log(models=[MODEL], clock=now)
        self.parking = FakeParking()
        super().__init__(unreadable=self.policy(self.log, self.parking))

    def policy(self, log: EventLog, parking: Parking | None) -> UnreadableJobs:
        finisher = ResponseFinisher(history=FakeHistory(), turns=FakeTurns())
        terminator = ResponseTerminator(event_log=log, finisher=finisher)
        return UnreadableJobs(event_log=log, terminator=terminator, parking=parking)

    async def open(self, **changed: Any) -> tuple[str, str]:
        """Open a response whose job has other fields; return its id and the job's body."""
        job = a_job()
        body = dumps(loads(job.encode()) | changed).decode()
        await self.log.heartbeat("r1", lease_s=600)
        await self.log.register(CONNECTION, principal=a_principal(TENANT))
        await self.log.open(
            NewResponse(
                response_id=job.response_id,
                tenant_id=TENANT,
                connection_id=CONNECTION,
                model=MODEL,
                job=body.encode(),
                created=job.transcript().first_events()[0].data,
            )
        )
        return job.response_id, body

    async def failure(self, response_id: str) -> Any:
        """Return the error of a response's last event."""
        last = (await self.log.read(response_id))[-1]
        return json.loads(last.data)["response"]["error"]

    @property
    def delays(self) -> list[int]:
        """Seconds for which messages were hidden."""
        return [timeout_s for _, _, timeout_s in self.queue.extended]


def test_unreadable_job_is_parked_at_once_and_its_client_gets_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        harness = UnreadableHarness()
        response_id, body = await harness.open(tenant_id=None)
        await harness.queue.put(body)
        await harness.consume(100)
        failed = await harness.log.describe(response_id)
        assert failed is not None
        assert failed.status is Status.FAILED
        error = await harness.failure(response_id)
        assert {key: error[key] for key in UNREADABLE} == UNREADABLE
        [(parked, why)] = harness.parking.parked
        assert parked == body
        assert why.startswith("not a job: tenant_id")
        assert len(harness.queue.deleted) == 1
        assert not harness.queue.in_flight
        assert len(harness.refused) == 1
        logged = [each for each in caplog.records if each.name == "worker.jobs.unreadable"]
        assert [each.levelno for each in logged] == [logging.ERROR]

    run(story())


@pytest.mark.parametrize(
    "body",
    [
        "poison",
        "[]",
        '{"response": {"id": "resp_of_no_kind"}}',
        f'{{"response": {{"id": "{new_id("resp")}"}}}}',
    ],
    ids=["no JSON", "no object", "no id", "no log"],
)
def test_unreadable_job_without_a_response_is_parked(body: str) -> None:
    async def story() -> None:
        harness = UnreadableHarness()
        await harness.queue.put(body)
        await harness.queue.send(a_job())
        await harness.consume(1)
        assert [parked for parked, _ in harness.parking.parked] == [body]
        assert harness.queue.deleted[0].body == body
        assert len(harness.runs) == 1

    run(story())


@pytest.mark.parametrize("part", ["log", "parking"])
def test_unreadable_job_that_cannot_be_set_aside_is_tried_again_later(part: str) -> None:
    async def story() -> None:
        harness = UnreadableHarness()
        response_id, body = await harness.open(tenant_id=None)
        away = UnavailableError("away")
        if part == "parking":
            harness.parking.fail_with = away
        else:
            harness.log.fail_with = away
        await harness.queue.put(body)
        await harness.consume(1)
        assert not harness.queue.deleted
        assert len(harness.delays) == 1
        harness.parking.fail_with = harness.log.fail_with = None
        await harness.queue.put(body, receive_count=1)
        await harness.consume(1)
        assert [parked for parked, _ in harness.parking.parked] == [body]
        assert (await harness.failure(response_id))["message"] == UNREADABLE["message"]

    run(story())


def test_unreadable_job_is_left_to_the_redrive_where_nothing_can_be_parked() -> None:
    async def story() -> None:
        harness = UnreadableHarness()
        harness.consumer._unreadable = harness.policy(harness.log, None)
        response_id, body = await harness.open(tenant_id=None)
        await harness.queue.put(body)
        await harness.consume(1)
        assert await harness.failure(response_id)
        assert not harness.queue.deleted
        assert harness.delays == []

    run(story())


async def receive_again(harness: UnreadableHarness, body: str) -> None:
    for count in range(RECEIVES):
        await harness.queue.put(body, receive_count=count)
        await harness.consume(1)


def test_job_of_a_newer_version_outlives_the_deployment_that_brings_its_workers() -> None:
    async def story() -> None:
        harness = UnreadableHarness()
        response_id, body = await harness.open(format=99)
        await receive_again(harness, body)
        running = await harness.log.describe(response_id)
        assert running is not None
        assert not running.status.terminal, "a newer worker answers it"
        assert not harness.queue.deleted
        assert not harness.parking.parked
        assert harness.delays[0] <= 2
        assert max(harness.delays) <= 60
        assert sum(harness.delays) > 30 * 60, "longer than a response waits for a worker"

    run(story())


def test_job_of_a_newer_version_is_deleted_once_its_response_has_ended() -> None:
    async def story() -> None:
        harness = UnreadableHarness()
        response_id, body = await harness.open(format=99)
        claim = await harness.log.claim(response_id)
        await harness.log.append(
            response_id,
            epoch=claim.epoch,
            nonce=claim.nonce,
            events=[LoggedEvent(claim.next_sequence, b"{}")],
            status=Status.FAILED,
        )
        await harness.queue.put(body)
        await harness.consume(1)
        assert len(harness.queue.deleted) == 1

    run(story())


@pytest.mark.parametrize("changed", [{"format": 99}, {"tenant_id": None}])
def test_unreadable_job_whose_log_is_newer_waits_for_a_newer_worker(
    changed: dict[str, Any],
) -> None:
    async def story() -> None:
        harness = UnreadableHarness()
        response_id, body = await harness.open(**changed)
        harness.log.fail_with = UnreadableLogError(response_id)
        await receive_again(harness, body)
        assert not harness.queue.deleted
        assert not harness.parking.parked
        assert sum(harness.delays) > 30 * 60

    run(story())


def test_attempt_at_a_response_whose_log_is_newer_waits_for_a_newer_worker() -> None:
    async def story() -> None:
        class NewerLogHarness(UnreadableHarness):
            async def run(self, job: Job, received: ReceivedJob) -> AttemptResult:
                return ENDINGS[UnreadableLogError].result

        harness = NewerLogHarness()
        job = a_job()
        await receive_again(harness, job.encode().decode())
        assert not harness.queue.deleted
        assert sum(harness.delays) > 30 * 60

    run(story())
