"""The HTTP client against a server that sends exactly the bytes of a script."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axon.adapters import http_client
from axon.adapters.http_client import Answer, HttpClient, HttpError, Limits, NotSentError
from tests.support.eventually import eventually
from tests.support.stream_server import stream_server
from tests.support.tls import Authority

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LIMITS = Limits(connect_s=5, answer_s=5)
HANG, HANG_UP = b"hang", b"hang up"


class ScriptedServer:
    """Answers each request with the next bytes of a script, then with `OK`."""

    def __init__(self) -> None:
        self.script: list[list[bytes]] = []
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = int(head.rpartition(b"Content-Length: ")[2])
                self.bodies.append(await reader.readexactly(length))
                for part in self.script.pop(0) if self.script else [OK]:
                    if part == HANG:
                        await reader.read()
                    if part in (HANG, HANG_UP):
                        return
                    writer.write(part)
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
def server() -> ScriptedServer:
    return ScriptedServer()


@pytest.fixture
async def origin(server: ScriptedServer) -> AsyncIterator[str]:
    async with stream_server(server.serve) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def client(origin: str) -> AsyncIterator[HttpClient]:
    async with HttpClient(origin=origin) as client:
        yield client


async def post(client: HttpClient, body: bytes = b"", *, limits: Limits = LIMITS) -> Answer:
    return await client.request("POST", "/a%20b", body, headers={"Host": "x"}, limits=limits)


async def test_http_client_sends_its_request_byte_for_byte(
    client: HttpClient, server: ScriptedServer
) -> None:
    body = bytes(range(256)) * 9000
    assert await post(client, body) == Answer(200, b"ok")
    assert server.heads == [b"POST /a%20b HTTP/1.1\r\nHost: x\r\nContent-Length: 2304000\r\n\r\n"]
    assert server.bodies == [body]


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (OK, 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", 503, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK, 200, b"ok"),
        (
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3;x=y\r\n\0\r\n\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
            ),
            200,
            b"\0\r\nde",
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_http_client_reads_an_answer_however_it_is_cut_and_keeps_the_connection(
    client: HttpClient, server: ScriptedServer, answer: bytes, status: int, body: bytes, size: int
) -> None:
    server.script = [[answer[i : i + size] for i in range(0, len(answer), size)]]
    assert await post(client) == Answer(status, body)
    assert await post(client) == Answer(200, b"ok")
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
        OK + b"HTTP/1.1",
        OK + b"garbage",
    ],
    ids=["close", "1.0", "second answer", "begun answer", "garbage"],
)
async def test_http_client_uses_no_connection_again_whose_state_is_in_doubt(
    client: HttpClient, server: ScriptedServer, answer: bytes
) -> None:
    server.script = [[answer]]
    assert await post(client) == Answer(200, b"ok")
    assert await post(client) == Answer(200, b"ok")
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        [HANG_UP],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", HANG_UP],
        [b"HTTP/1.1 200 OK\r\n\r\nok", HANG_UP],  # whole, or cut short?
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", HANG_UP],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"],
        [b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"],
        [b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
        [b"HTTP/1.1 101 Switching\r\n\r\n"],
        [b"HTTP/1.1 999 x\r\nContent-Length: 2\r\n\r\nok"],
        [b"\x16\x03\x01\x02\x00\x01"],
        [b"SSH-2.0-x\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n", b"x" * 2048],
        [b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 400],
    ],
)
async def test_http_client_fails_without_a_whole_answer(
    client: HttpClient,
    server: ScriptedServer,
    answer: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_client, "MAX_ANSWER_BYTES", 2000)
    server.script = [answer]
    with pytest.raises(HttpError) as raised:
        await post(client)
    assert raised.type is HttpError
    assert await post(client) == Answer(200, b"ok")
    assert server.connections == 2


async def test_http_client_drops_a_connection_on_which_bytes_come_unasked(
    client: HttpClient, server: ScriptedServer
) -> None:
    await post(client)
    server.writers[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
    await eventually(lambda: server.open == 0)
    assert await post(client) == Answer(200, b"ok")


async def test_http_client_drops_a_connection_that_the_server_closed_or_that_is_old(
    client: HttpClient, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(client)
    server.writers[0].close()
    await eventually(lambda: not client._open)
    assert await post(client) == Answer(200, b"ok")
    monkeypatch.setattr(http_client, "KEEP_ALIVE_S", 0)
    assert await post(client) == Answer(200, b"ok")
    assert server.connections == 3


async def test_http_client_closes_the_connection_of_a_request_that_is_cancelled_or_too_slow(
    client: HttpClient, server: ScriptedServer
) -> None:
    server.script = [[HANG], [OK[:-1], HANG]]
    request = asyncio.create_task(post(client))
    await eventually(lambda: bool(server.heads))
    request.cancel()
    await eventually(lambda: server.open == 0)
    with pytest.raises(HttpError, match=r"no answer within 0\.05 s"):
        await post(client, limits=Limits(connect_s=5, answer_s=0.05))
    await eventually(lambda: server.open == 0)
    assert await post(client) == Answer(200, b"ok")


async def test_http_client_takes_an_answer_that_comes_before_the_request_is_read() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async with (
        stream_server(serve) as port,
        HttpClient(origin=f"http://127.0.0.1:{port}") as client,
    ):
        for _ in range(2):  # the second on a connection of its own
            assert await post(client, bytes(20_000_000)) == Answer(413, b"")


async def test_http_client_waits_for_a_connection_of_its_pool(
    origin: str, server: ScriptedServer
) -> None:
    async with HttpClient(origin=origin, pool_size=3) as client:
        answers = await asyncio.gather(*(post(client) for _ in range(50)))
        assert answers == [Answer(200, b"ok")] * 50
        assert server.connections == 3
        server.script = [[HANG]] * 3
        slow = [asyncio.create_task(post(client)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(NotSentError, match=r"no connection within 0\.05 s"):
            await post(client, limits=Limits(connect_s=0.05, answer_s=5))
        await client.close()
        failed = await asyncio.gather(*slow, return_exceptions=True)
        assert [type(error) for error in failed] == [HttpError] * 3
        assert await post(client) == Answer(200, b"ok")


@pytest.mark.parametrize(
    ("path", "header"),
    [("/a b", "x"), ("/\r\nX: y", "x"), ("/", "x\nX: y"), ("/", "x\rX: y"), ("/", "\u20ac")],
)
async def test_http_client_refuses_to_send_what_would_be_another_request(
    client: HttpClient, server: ScriptedServer, path: str, header: str
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of two kinds
        await client.request("POST", path, b"", headers={"Host": header}, limits=LIMITS)
    assert server.heads == []


async def test_http_client_checks_the_certificate_and_its_host(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.create(tmp_path)
    async with stream_server(server.serve, context=authority.context) as port:
        assert "certificate verify failed" in await _refusal(f"https://localhost:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        http_client._tls.cache_clear()
        assert "mismatch" in await _refusal(f"https://127.0.0.1:{port}")
        assert server.heads == []
        async with HttpClient(origin=f"https://localhost:{port}") as client:
            for _ in range(2):
                assert await post(client, b"x" * 100_000) == Answer(200, b"ok")
    assert server.connections == 1
    http_client._tls.cache_clear()


async def _refusal(origin: str) -> str:
    async with HttpClient(origin=origin) as client:
        with pytest.raises(NotSentError) as raised:
            await post(client)
    return str(raised.value)
