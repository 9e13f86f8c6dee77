from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from botocore.credentials import ReadOnlyCredentials

from axon.adapters.aws import aws_json
from axon.adapters.aws.aws_json import AwsJsonApi, endpoint_of
from axon.exceptions import UnavailableError
from axon.serialization import loads


class Service:
    """Answers as told and keeps what it was asked."""

    def __init__(self) -> None:
        self.status, self.body = 200, b'{"a":1}'
        self.headers: dict[str, str] = {}
        self.asked: object = None

    async def answer(self, request: web.Request) -> web.Response:
        self.headers = dict(request.headers)
        self.asked = loads(await request.read())
        return web.Response(status=self.status, body=self.body)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def api(service: Service) -> AsyncIterator[AwsJsonApi]:
    application = web.Application()
    application.router.add_post("/", service.answer)
    async with TestServer(application) as server:
        yield client(str(server.make_url("")))


def client(endpoint: str) -> AwsJsonApi:
    return AwsJsonApi(
        service="ecs",
        target="Ecs",
        region="eu-central-1",
        credentials=lambda: ReadOnlyCredentials("AKID", "secret", "token"),
        endpoint=endpoint,
    )


async def test_aws_json_api_signs_a_call(api: AwsJsonApi, service: Service) -> None:
    assert await api.call("Describe", names=["x"]) == {"a": 1}
    assert service.asked == {"names": ["x"]}
    assert service.headers["X-Amz-Target"] == "Ecs.Describe"
    assert service.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert service.headers["X-Amz-Security-Token"] == "token"
    assert "/eu-central-1/ecs/aws4_request, " in service.headers["Authorization"]


async def test_aws_json_api_raises_unavailable_for_a_refusal(
    api: AwsJsonApi, service: Service
) -> None:
    service.status, service.body = 400, b'{"__type":"AccessDeniedException"}'
    with pytest.raises(UnavailableError, match=r"ecs Describe: HTTP 400: .*AccessDenied"):
        await api.call("Describe")


async def test_aws_json_api_raises_unavailable_without_a_service() -> None:
    with pytest.raises(UnavailableError, match=r"ecs Describe: .*Connect"):
        await client("http://127.0.0.1:9").call("Describe")


async def test_aws_json_api_raises_unavailable_without_an_answer(
    api: AwsJsonApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_json, "_TIMEOUT_S", 0.0001)
    with pytest.raises(UnavailableError, match=r"ecs Describe: .*Timeout"):
        await api.call("Describe")


@pytest.mark.parametrize(
    ("region", "environ", "endpoint"),
    [
        ("eu-central-1", {}, "https://ecs.eu-central-1.amazonaws.com"),
        ("cn-north-1", {}, "https://ecs.cn-north-1.amazonaws.com.cn"),
        ("eu-central-1", {"AWS_ENDPOINT_URL": "http://all"}, "http://all"),
        ("eu-central-1", {"AWS_ENDPOINT_URL_SQS": "http://sqs"}, "https://ecs.eu-central-1.amazonaws.com"),
        ("eu-central-1", {"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_ECS": "http://ecs"}, "http://ecs"),
    ],
)  # fmt: skip
def test_endpoint_of_follows_the_environment(
    region: str, environ: dict[str, str], endpoint: str
) -> None:
    assert endpoint_of("ecs", region=region, environ=environ) == endpoint
