"""The composition roots, as a container uses them: on an event loop that is running already."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import redis

from axon.adapters.composition import ResponseBackend, follower, response_service
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.event_log.log import Status
from axon.exceptions import SettingsError
from axon.jobs import Job
from axon.protocol.requests import CancelResponse
from axon.settings import RespondSettings
from tests.support.eventually import eventually
from tests.support.partial_loss import rewind, snapshot
from tests.support.principals import a_principal
from tests.unit.axon.samples import a_request

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

CONNECTION = "c1"


@pytest.fixture
def settings(
    valkey_url: str, app_dsn: str, jobs_queue_url: str, history_queue_url: str
) -> RespondSettings:
    return RespondSettings(
        valkey_url=valkey_url,
        postgres_dsn=app_dsn,
        jobs_queue_url=jobs_queue_url,
        history_queue_url=history_queue_url,
    )


@pytest.fixture
async def backend(settings: RespondSettings) -> AsyncIterator[ResponseBackend]:
    """A backend with one relay, the model "echo" and one connection."""
    async with response_service(settings, database_connections=4) as made:
        await ValkeyRelayDirectory(valkey=made.valkey).heartbeat("r1", lease_s=600)
        await ValkeyModelDirectory(valkey=made.valkey).register(("echo",), retention_s=600)
        connections = ValkeyConnectionDirectory(valkey=made.valkey)
        await connections.register(CONNECTION, principal=a_principal())
        yield made


async def submit(backend: ResponseBackend) -> str:
    response_id = await backend.service.submit(
        a_request(), principal=a_principal(), connection_id=CONNECTION
    )
    assert response_id is not None
    return response_id


async def test_response_service_submits_on_a_running_loop(
    backend: ResponseBackend, sqs_client: "SQSClient", jobs_queue_url: str
) -> None:
    response_id = await submit(backend)
    assert len(await backend.log.read(response_id)) == 1
    (message,) = sqs_client.receive_message(QueueUrl=jobs_queue_url)["Messages"]
    job = Job.decode(message["Body"])
    assert (job.response_id, job.principal) == (response_id, a_principal())


async def test_response_service_cancels_what_it_submitted(backend: ResponseBackend) -> None:
    response_id = await submit(backend)
    request = CancelResponse(type="response.cancel", response_id=response_id)
    await backend.service.cancel(request, principal=a_principal(), connection_id="connection-1")
    meta = await backend.log.describe(response_id)
    assert meta is not None
    assert meta.status is Status.CANCELLED


@pytest.mark.parametrize("keeps_ends", [True, False])
async def test_response_service_cancels_again_what_a_failover_undoes(
    settings: RespondSettings, valkey_url: str, *, keeps_ends: bool
) -> None:
    """In a process that lives on, as a front does."""
    async with response_service(settings, keeps_ends=keeps_ends) as made:
        await ValkeyModelDirectory(valkey=made.valkey).register(("echo",), retention_s=600)
        response_id = await made.service.submit(a_request(), principal=a_principal())
        assert response_id is not None
        with redis.Redis.from_url(valkey_url) as admin:
            before = snapshot(admin)
            request = CancelResponse(type="response.cancel", response_id=response_id)
            await made.service.cancel(request, principal=a_principal(), connection_id="")
            rewind(admin, before)
        await made.kept_ends.look()
        meta = await made.log.describe(response_id)
        assert meta is not None
        assert meta.status is (Status.CANCELLED if keeps_ends else Status.QUEUED)


async def test_follower_gets_the_events_of_a_submitted_response(backend: ResponseBackend) -> None:
    response_id = await submit(backend)
    made = follower(valkey=backend.valkey, log=backend.log)
    running = asyncio.create_task(made.run())
    await eventually(lambda: made.connected)
    events = made.follow(response_id, tenant_id=a_principal().tenant_id)
    followed = [await anext(events)]
    request = CancelResponse(type="response.cancel", response_id=response_id)
    await backend.service.cancel(request, principal=a_principal(), connection_id="connection-1")
    followed += [event async for event in events]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    logged = await backend.log.read(response_id)
    assert [event.data for event in followed] == [event.data for event in logged]
    assert len(logged) > 1


async def test_response_service_closes_its_clients(settings: RespondSettings) -> None:
    backend = response_service(settings)
    await backend.pool.open()
    await backend.close()
    assert backend.pool.closed
    await backend.close()


async def test_response_service_closes_all_clients_when_one_cannot_be(
    settings: RespondSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = response_service(settings)
    await backend.pool.open()

    async def refuse() -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(backend.history, "close", refuse)
    with pytest.raises(ConnectionError, match="gone"):
        await backend.close()
    assert backend.pool.closed


async def test_response_service_refuses_half_a_scaler(settings: RespondSettings) -> None:
    half = settings.model_copy(update={"workers_cluster": "axon-dev"})
    with pytest.raises(SettingsError, match="AXON_WORKERS_SERVICE"):
        response_service(half)
