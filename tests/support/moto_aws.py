"""AWS by moto, behind a port: what an adapter sends is parsed by moto as a request to AWS."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer
from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto import mock_aws
from moto.core.botocore_stubber import BotocoreStubber

REGION = "us-east-1"


@asynccontextmanager
async def moto_aws(service: str) -> AsyncIterator[str]:
    """Serve moto's `service`; yields its endpoint. Boto3 makes what lies in it, as on AWS."""
    stubber = BotocoreStubber()

    async def answer(request: web.Request) -> web.Response:
        headers = HTTPHeaders()
        for name, value in request.headers.items():
            headers[name] = value
        prepared = AWSPreparedRequest(
            method=request.method,
            url=f"https://{service}.{REGION}.amazonaws.com{request.path}",
            headers=headers,
            body=await request.read(),
            stream_output=False,
        )
        response = stubber.process_request(prepared)
        assert response is not None
        status, _, body = response
        return web.Response(status=status, body=body)

    application = web.Application()
    application.router.add_post("/", answer)
    with mock_aws():
        async with TestServer(application) as server:
            yield str(server.make_url("")).rstrip("/")
