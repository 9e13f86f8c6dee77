import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.clients import WrongAnswerError, make_client
from benchmarks.mock_engine import EngineConnection
from benchmarks.model import Load, Pace
from benchmarks.sse import HttpStreamError
from benchmarks.websocket import WebSocketError

Frames = Iterable[dict[str, object]]


def load(kind: str, port: int, *, tokens: int = 3) -> Load:
    scheme, path = ("ws", "responses") if kind == "websocket" else ("http", "chat/completions")
    url = f"{scheme}://127.0.0.1:{port}/v1/{path}"
    return Load(kind=kind, url=url, model="echo", clients=1, tokens=tokens, seconds=0.1, cap_s=5)


def answer(*deltas: str, last: str = "response.completed") -> list[dict[str, object]]:
    events: list[dict[str, object]] = [{"type": "response.created"}]
    events += [{"type": "response.output_text.delta", "delta": delta} for delta in deltas]
    events.append({"type": last})
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


@asynccontextmanager
async def websocket_server(frames: Callable[[int], Frames]) -> AsyncIterator[int]:
    """Answer the nth question with `frames(n)`; None in it closes the connection."""

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        assert connection.request.path == "/v1/responses"
        assert connection.request.headers["Authorization"] == "Bearer sk-axon-local"
        turn = 0
        async for message in connection:
            assert json.loads(message) == {
                "type": "response.create",
                "model": "echo",
                "input": "count to 3",
            }
            for event in frames(turn):
                if event.get("type") == "close":
                    await connection.close(1011)
                    return
                await connection.ping()
                await connection.send(json.dumps(event))
            turn += 1

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@asynccontextmanager
async def engine(pace: Pace) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: EngineConnection(pace=pace, loop=loop), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_websocket_client_measures_and_checks_answers() -> None:
    async with websocket_server(lambda _: answer("1", " 2 3")) as port:
        client = make_client(load("websocket", port))
        await client.connect()
        for _ in range(3):
            one = await client.ask()
            assert one.frames == 4
            assert one.started < one.delta_moments[0] <= one.delta_moments[1]
            assert one.ttft_s > 0
        client.close()


@pytest.mark.parametrize(
    ("frames", "error", "said"),
    [
        (answer("1", " 2"), WrongAnswerError, "expected '1 2 3', got '1 2'"),
        (answer("1 2 3")[1:], WrongAnswerError, "has number 1, not 0"),
        ([answer("1 2 3")[0]] * 2, WrongAnswerError, "has number 0, not 1"),
        (answer("1 2 3", last="response.failed"), WrongAnswerError, "response.failed"),
        (answer("1 2 3", last="response.incomplete"), WrongAnswerError, "response.incomplete"),
        ([{"type": "error", "message": "no"}], WrongAnswerError, "error event"),
        ([{"type": "close"}], WebSocketError, "closed by the server"),
    ],
)
async def test_websocket_client_reports_a_wrong_answer(
    frames: Frames, error: type[Exception], said: str
) -> None:
    async with websocket_server(lambda _: frames) as port:
        client = make_client(load("websocket", port))
        await client.connect()
        with pytest.raises(error, match=said):
            await client.ask()
        client.close()


async def test_websocket_client_expects_numbers_from_zero_in_each_answer() -> None:
    later = [{**e, "sequence_number": i + 4} for i, e in enumerate(answer("1 2 3"))]
    async with websocket_server(lambda turn: later if turn else answer("1 2 3")) as port:
        client = make_client(load("websocket", port))
        await client.connect()
        await client.ask()
        with pytest.raises(WrongAnswerError, match="has number 4, not 0"):
            await client.ask()
        client.close()


async def test_websocket_client_reports_a_refused_handshake() -> None:
    async with engine(Pace(ttft_ms=0, token_ms=0)) as port:
        client = make_client(load("websocket", port))
        with pytest.raises(WebSocketError, match="refused"):
            await client.connect()
        client.close()


async def test_sse_client_measures_and_checks_answers() -> None:
    async with engine(Pace(ttft_ms=20, token_ms=10)) as port:
        client = make_client(load("chat", port, tokens=8))
        await client.connect()
        for _ in range(2):
            one = await client.ask()
            assert len(one.delta_moments) == 8
            assert one.ttft_s >= 0.017
            assert one.delta_moments[-1] - one.started >= 0.087
        client.close()


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (b"HTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\nno", HttpStreamError, "status 500: b'no'"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", WrongAnswerError, "without"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\ndata: [DONE]\n\n",
            WrongAnswerError,
            "got ''",
        ),
        (
            b'HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\ndata: {"error": "bad"}\n\n',
            WrongAnswerError,
            "error event",
        ),
        (b"", ConnectionError, "closed"),
    ],
)
async def test_sse_client_reports_a_wrong_answer(
    reply: bytes, error: type[Exception], said: str
) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        client = make_client(load("chat", server.sockets[0].getsockname()[1]))
        await client.connect()
        with pytest.raises(error, match=said):
            await client.ask()
        client.close()
