"""Waking the ECS service: before a stand-in that counts and fails, and before moto's ECS."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import boto3
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from botocore.credentials import ReadOnlyCredentials

from axon.adapters.aws import ecs_scaler
from axon.adapters.aws.aws_json import AwsJsonApi
from axon.adapters.aws.ecs_scaler import PAUSE_S, EcsWorkerScaler
from axon.adapters.composition import worker_scaler
from axon.adapters.valkey.client import Valkey
from axon.exceptions import SettingsError
from axon.scaling import FixedWorkerScaler
from axon.serialization import loads
from axon.settings import RespondSettings
from tests.support.clients import valkey_client
from tests.support.moto_aws import REGION, moto_aws

CLUSTER, SERVICE = "axon-dev-inference", "axon-dev-worker"
TARGET = "AmazonEC2ContainerServiceV20141113"
ROUNDS = 50


class Ecs:
    """One service; keeps what was asked of it."""

    def __init__(self) -> None:
        self.desired = 0
        self.asked: list[str] = []
        self.refuses = ""
        self.hangs = asyncio.Event()
        self.hangs.set()

    async def answer(self, request: web.Request) -> web.Response:
        target, _, operation = request.headers["X-Amz-Target"].partition(".")
        asked = loads(await request.read())
        assert target == TARGET
        assert asked.pop("cluster") == CLUSTER
        self.asked.append(operation)
        await self.hangs.wait()
        if self.refuses:
            return web.json_response({"__type": self.refuses}, status=400)
        if operation == "UpdateService":
            assert asked == {"service": SERVICE, "desiredCount": 1}
            self.desired = 1
            return web.json_response({"service": {}})
        if asked == {"services": [SERVICE]}:
            return web.json_response({"services": [{"desiredCount": self.desired}]})
        return web.json_response({"services": [], "failures": [{"reason": "MISSING"}]})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ecs() -> Ecs:
    return Ecs()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def endpoint(ecs: Ecs) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/", ecs.answer)
    async with TestServer(application) as server:
        yield str(server.make_url(""))
        ecs.hangs.set()


@pytest.fixture
def make(endpoint: str, clock: Clock) -> Callable[..., EcsWorkerScaler]:
    def make(valkey: Valkey, *, service: str = SERVICE) -> EcsWorkerScaler:
        return EcsWorkerScaler(
            cluster=CLUSTER, service=service, ecs=api(endpoint), valkey=valkey, clock=clock
        )

    return make


def api(endpoint: str) -> AwsJsonApi:
    return AwsJsonApi(
        service="ecs",
        target=TARGET,
        region=REGION,
        credentials=lambda: ReadOnlyCredentials("local", "local", None),
        endpoint=endpoint,
    )


async def test_ecs_scaler_starts_the_first_task(
    valkey: Valkey, make: Callable[..., EcsWorkerScaler], ecs: Ecs
) -> None:
    await make(valkey).ensure_running()
    assert ecs.asked == ["DescribeServices", "UpdateService"]
    assert ecs.desired == 1


async def test_ecs_scaler_leaves_a_running_service(
    valkey: Valkey, make: Callable[..., EcsWorkerScaler], ecs: Ecs
) -> None:
    ecs.desired = 3
    await make(valkey).ensure_running()
    assert ecs.asked == ["DescribeServices"]


async def test_ecs_scaler_looks_once_in_each_pause(
    valkey: Valkey, make: Callable[..., EcsWorkerScaler], ecs: Ecs, clock: Clock
) -> None:
    ecs.desired = 1
    scaler = make(valkey)
    for _ in range(3):
        await scaler.ensure_running()
    assert 0 < await valkey.call("TTL", "axon:scaling-lock") <= PAUSE_S
    await valkey.call("DEL", "axon:scaling-lock")
    clock.now = PAUSE_S - 0.1
    await scaler.ensure_running()
    assert len(ecs.asked) == 1
    clock.now = PAUSE_S
    await scaler.ensure_running()
    assert len(ecs.asked) == 2


async def test_ecs_scaler_looks_in_one_of_many_processes(
    valkey_url: str, make: Callable[..., EcsWorkerScaler], ecs: Ecs
) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(valkey_client(valkey_url)) for _ in range(5)]
        for number in range(1, ROUNDS + 1):
            processes = [make(client) for client in clients]
            await asyncio.gather(
                *(process.ensure_running() for process in processes for _ in range(4))
            )
            assert ecs.asked.count("DescribeServices") == number
            ecs.desired = 0
            await clients[0].call("DEL", "axon:scaling-lock")
    assert ecs.asked.count("UpdateService") == ROUNDS


@pytest.mark.parametrize("refusal", ["AccessDeniedException", "ServiceNotActiveException"])
async def test_ecs_scaler_logs_a_refusal(
    valkey: Valkey,
    make: Callable[..., EcsWorkerScaler],
    ecs: Ecs,
    caplog: pytest.LogCaptureFixture,
    refusal: str,
) -> None:
    ecs.refuses = refusal
    await make(valkey).ensure_running()
    assert refusal in caplog.text
    assert f"{SERVICE} was not woken" in caplog.text


async def test_ecs_scaler_logs_a_missing_service(
    valkey: Valkey, make: Callable[..., EcsWorkerScaler], caplog: pytest.LogCaptureFixture
) -> None:
    await make(valkey, service="another").ensure_running()
    assert "no such service" in caplog.text
    assert "MISSING" in caplog.text


async def test_ecs_scaler_gives_up_on_a_service_that_hangs(
    valkey: Valkey,
    make: Callable[..., EcsWorkerScaler],
    ecs: Ecs,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ecs_scaler._TIME_LIMIT_S <= 1
    monkeypatch.setattr(ecs_scaler, "_TIME_LIMIT_S", 0.2)
    ecs.hangs.clear()
    began = time.monotonic()
    await make(valkey).ensure_running()
    assert time.monotonic() - began < 2
    assert "was not woken" in caplog.text
    assert await valkey.call("PING")  # the shared client still works


async def test_ecs_scaler_gives_up_without_valkey(
    make: Callable[..., EcsWorkerScaler], ecs: Ecs, caplog: pytest.LogCaptureFixture
) -> None:
    async with valkey_client("redis://127.0.0.1:1/0") as valkey:
        await make(valkey).ensure_running()
    assert ecs.asked == []
    assert "was not woken" in caplog.text


async def test_ecs_scaler_works_with_motos_ecs(valkey: Valkey) -> None:
    async with moto_aws("ecs") as endpoint:
        client = boto3.client("ecs", region_name=REGION)
        client.create_cluster(clusterName=CLUSTER)
        container = {"name": "worker", "image": "worker", "memory": 128}
        client.register_task_definition(family="worker", containerDefinitions=[container])
        client.create_service(
            cluster=CLUSTER, serviceName=SERVICE, taskDefinition="worker", desiredCount=0
        )
        await EcsWorkerScaler(
            cluster=CLUSTER, service=SERVICE, ecs=api(endpoint), valkey=valkey
        ).ensure_running()
        (service,) = client.describe_services(cluster=CLUSTER, services=[SERVICE])["services"]
        client.close()
    assert service["desiredCount"] == 1


class TestWorkerScalerSettings:
    def settings(self, **named: str) -> RespondSettings:
        needed = dict.fromkeys(
            ("valkey_url", "postgres_dsn", "jobs_queue_url", "history_queue_url"), "x"
        )
        return RespondSettings.model_validate(needed | named)

    async def test_start_the_named_service(
        self, valkey: Valkey, endpoint: str, ecs: Ecs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(os.environ, "AWS_ENDPOINT_URL_ECS", endpoint)
        named = self.settings(workers_cluster=CLUSTER, workers_service=SERVICE)
        await worker_scaler(named, valkey=valkey).ensure_running()
        assert ecs.desired == 1

    async def test_start_no_worker_without_a_service(self, valkey: Valkey) -> None:
        standing = worker_scaler(self.settings(), valkey=valkey)
        assert isinstance(standing, FixedWorkerScaler)
        await standing.ensure_running()

    def test_refuse_a_cluster_or_a_service_alone(self, valkey: Valkey) -> None:
        for half in ("workers_cluster", "workers_service"):
            with pytest.raises(SettingsError, match="AXON_WORKERS_CLUSTER and AXON_WORKERS_SERV"):
                worker_scaler(self.settings(**{half: "x"}), valkey=valkey)
