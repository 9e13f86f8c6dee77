"""The part that all AWS clients share; the signatures themselves are `test_sigv4`'s."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from botocore.credentials import ReadOnlyCredentials

from axon.adapters.aws.signed_client import SignedClient
from axon.adapters.http_client import Answer, Limits

LIMITS = Limits(connect_s=5, answer_s=5)


class Server:
    """Answers every request and keeps what came."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.bodies.append(await request.read())
        headers = {"Location": "/elsewhere", "Set-Cookie": "a=b"}
        return web.Response(status=self.status, body=b"answer", headers=headers)

    @property
    def ports(self) -> set[object]:
        """The address of each client connection."""
        return {request.get_extra_info("peername") for request in self.requests}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def origin(server: Server) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    async with TestServer(application) as listening:
        yield str(listening.make_url("")).rstrip("/")


@pytest.fixture
async def client(origin: str) -> AsyncIterator[SignedClient]:
    async with a_client(origin, "AKID") as client:
        yield client


def a_client(origin: str, *keys: str) -> SignedClient:
    issued = iter(keys)
    last = keys[-1]
    return SignedClient(
        origin=origin,
        service="sqs",
        region="eu-central-1",
        credentials=lambda: ReadOnlyCredentials(next(issued, last), "secret", None),
    )


async def test_signed_client_returns_status_and_body(client: SignedClient, server: Server) -> None:
    server.status = 503
    answer = await client.request("POST", "/a%2Fb", b"body", limits=LIMITS)
    assert answer == Answer(503, b"answer")
    assert str(answer) == "HTTP 503: answer"
    assert server.requests[0].raw_path == "/a%2Fb"
    assert server.bodies == [b"body"]


async def test_signed_client_sends_target_and_content_type(
    client: SignedClient, server: Server
) -> None:
    await client.request(
        "POST", "/", b"{}", limits=LIMITS, target="A.B", content_type="application/x"
    )
    headers = server.requests[0].headers
    assert (headers["X-Amz-Target"], headers["Content-Type"]) == ("A.B", "application/x")
    assert "x-amz-target" in headers["Authorization"]


async def test_signed_client_signs_each_request_with_current_credentials(
    origin: str, server: Server
) -> None:
    async with a_client(origin, "first", "second") as client:
        for _ in range(2):
            await client.request("POST", "/", b"", limits=LIMITS)
    signed = [request.headers["Authorization"] for request in server.requests]
    assert ["Credential=first/" in signed[0], "Credential=second/" in signed[1]] == [True, True]


async def test_signed_client_follows_no_redirect(client: SignedClient, server: Server) -> None:
    server.status = 302
    assert (await client.request("GET", "/", b"", limits=LIMITS)).status == 302
    assert len(server.requests) == 1


async def test_signed_client_keeps_its_connection_and_no_cookies(
    client: SignedClient, server: Server
) -> None:
    for _ in range(3):
        await client.request("POST", "/", b"", limits=LIMITS)
    assert len(server.ports) == 1
    assert not any("Cookie" in request.headers for request in server.requests)


async def test_signed_client_works_again_after_it_was_closed(
    client: SignedClient, server: Server
) -> None:
    for _ in range(2):
        await client.request("POST", "/", b"", limits=LIMITS)
        await client.close()
        await client.close()
    assert len(server.requests) == 2
