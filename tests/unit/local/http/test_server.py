"""The server and the client, with each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from local.http.access import Access
from local.http.client import HttpClient, HttpClientError, NotConnectedError
from local.http.messages import Request, Response
from local.http.server import Answer, Handler, HttpServer


@asynccontextmanager
async def serve(
    handler: Handler, *, max_connections: int = 1024, access: Access | None = None, token: str = ""
) -> AsyncIterator[HttpClient]:
    server = HttpServer(handler=handler, access=access)
    client = HttpClient(
        endpoint=f"http://127.0.0.1:{await server.start()}",
        token=token or None,
        max_connections=max_connections,
    )
    try:
        yield client
    finally:
        client.close()
        server.close()
        await asyncio.sleep(0)


def echo(request: Request) -> Answer:
    return Response(200, request.method.encode() + b" " + request.target.encode() + request.body)


async def test_client_reuses_a_connection() -> None:
    server = HttpServer(handler=echo)
    client = HttpClient(endpoint=f"http://127.0.0.1:{await server.start()}")
    for n in range(3):
        response = await client.request("POST", f"/{n}", body=b"!")
        assert (response.status, response.body) == (200, f"POST /{n}!".encode())
    assert len(server.connections) == 1
    client.close()
    server.close()


async def test_server_answers_later_and_concurrently() -> None:
    waiting: list[asyncio.Future[Response]] = []

    def handler(request: Request) -> Answer:
        waiting.append(asyncio.get_running_loop().create_future())
        return waiting[-1]

    async with serve(handler) as client:
        calls = [asyncio.ensure_future(client.request("GET", "/", body=b"")) for _ in range(3)]
        while len(waiting) < 3:
            await asyncio.sleep(0.001)
        for n, future in enumerate(reversed(waiting)):
            future.set_result(Response(200, str(n).encode()))
        bodies = {(await call).body for call in calls}
        assert bodies == {b"0", b"1", b"2"}


async def test_client_limits_its_connections() -> None:
    running = most = 0

    async def slowly() -> Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return Response(200)

    def handler(_: Request) -> Answer:
        return asyncio.ensure_future(slowly())

    async with serve(handler, max_connections=2) as client:
        await asyncio.gather(*(client.request("GET", "/", body=b"") for _ in range(8)))
    assert most == 2


async def test_server_cancels_the_answer_of_a_client_that_disconnects() -> None:
    waiting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    async with serve(lambda _: waiting) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.request("GET", "/", body=b""), 0.05)
        await asyncio.wait((waiting,), timeout=5)
    assert waiting.cancelled()


async def test_server_answers_500_when_the_handler_raises(caplog: pytest.LogCaptureFixture) -> None:
    async def later() -> Response:
        raise ValueError("later")

    def handler(request: Request) -> Answer:
        if request.target == "/later":
            return asyncio.ensure_future(later())
        raise ValueError("at once")

    async with serve(handler) as client:
        for target in ("/", "/later"):
            assert (await client.request("GET", target, body=b"")).status == 500
    assert "at once" in caplog.text
    assert "later" in caplog.text


async def test_server_answers_pipelined_requests_in_order() -> None:
    gate: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    asked: list[str] = []

    def handler(request: Request) -> Answer:
        asked.append(request.target)
        return gate if request.target == "/1" else echo(request)

    server = HttpServer(handler=handler)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.start())
    writer.write(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(5):
        while not asked:
            await asyncio.sleep(0.001)
    gate.set_result(Response(200, b"first"))
    answers = await reader.read()
    assert asked == ["/1", "/2"]
    assert answers.index(b"first") < answers.index(b"GET /2")
    writer.close()
    server.close()


async def test_server_closes_the_connection_after_a_malformed_request() -> None:
    server = HttpServer(handler=echo)
    reader, writer = await asyncio.open_connection("127.0.0.1", await server.start())
    writer.write(b"nonsense\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request")
    writer.close()
    server.close()


async def test_client_reports_that_no_server_listens() -> None:
    server = HttpServer(handler=echo)
    port = await server.start()
    server.close()
    with pytest.raises(NotConnectedError):
        await HttpClient(endpoint=f"http://127.0.0.1:{port}").request("GET", "/", body=b"")


async def test_client_reports_a_broken_connection() -> None:
    server = HttpServer(handler=echo)

    def break_off(_: Request) -> Answer:
        server.close()
        return Response(200)

    server.handler = break_off
    client = HttpClient(endpoint=f"http://127.0.0.1:{await server.start()}")
    with pytest.raises(HttpClientError):
        await client.request("GET", "/", body=b"")


async def test_client_does_not_reuse_a_closed_connection() -> None:
    server = HttpServer(handler=echo)
    port = await server.start()
    client = HttpClient(endpoint=f"http://127.0.0.1:{port}")
    await client.request("GET", "/", body=b"")
    server.close()
    async with asyncio.timeout(5):
        while client._idle:
            await asyncio.sleep(0.001)
    again = HttpServer(handler=echo)
    await again.start(port=port)
    assert (await client.request("GET", "/", body=b"")).status == 200
    client.close()
    again.close()


@pytest.mark.parametrize(("token", "status"), [("right", 200), ("wrong", 403), ("", 403)])
async def test_server_lets_only_its_token_pass(token: str, status: int) -> None:
    access = Access(token="right", open_paths=frozenset({"/health"}))
    async with serve(echo, access=access, token=token) as client:
        answer = await client.request("POST", "/2015-03-31/functions/f/invocations", body=b"")
        assert answer.status == status
        refusal = "UnrecognizedClientException" if status == 403 else None
        assert answer.headers.get("x-amzn-errortype") == refusal
        assert (await client.request("GET", "/health?a=b", body=b"")).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:8000"},
        {"Origin": "null"},
    ],
)
async def test_server_refuses_web_pages_and_names_that_lead_here(headers: dict[str, str]) -> None:
    """A page reaches 127.0.0.1 from a browser, directly or by a name of its own."""
    reached: list[Request] = []

    def handler(request: Request) -> Answer:
        reached.append(request)
        return Response(200)

    async with serve(handler) as client:
        # Of two equal headers the parser keeps the last, here the given one.
        assert (await client.request("POST", "/", body=b"", headers=headers)).status == 403
        assert reached == []
        assert (await client.request("POST", "/", body=b"")).status == 200
