import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.ports import LOOPBACK, Ports
from local.supervision.probes import http_ok, postgres_ok, valkey_ok

PID = 1234


@pytest.fixture
async def answer() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that gives the answer put into the list."""
    answers: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answers[-1])
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1], answers
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("reply", "ready"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"", False),
        (b"nonsense", False),
    ],
)
async def test_http_probe_passes_for_status_200(
    answer: tuple[int, list[bytes]], reply: bytes, ready: bool
) -> None:
    port, answers = answer
    answers.append(reply)
    assert await asyncio.to_thread(http_ok(port), PID) is ready


@pytest.mark.parametrize(
    ("reply", "ready"), [(b"+PONG\r\n", True), (b"-LOADING Valkey is loading\r\n", False)]
)
async def test_valkey_probe_passes_for_a_pong(
    answer: tuple[int, list[bytes]], reply: bytes, ready: bool
) -> None:
    port, answers = answer
    answers.append(reply)
    assert await asyncio.to_thread(valkey_ok(port), PID) is ready


@pytest.mark.parametrize(
    ("reply", "ready"),
    [
        (b"+OK\r\n+PONG\r\n", True),
        (b"-WRONGPASS\r\n-NOAUTH\r\n", False),
        (b"+OK\r\n-LOADING\r\n", False),
    ],
)
async def test_valkey_probe_gives_the_password_first(
    answer: tuple[int, list[bytes]], reply: bytes, ready: bool
) -> None:
    port, answers = answer
    answers.append(reply)
    assert await asyncio.to_thread(valkey_ok(port, password="given"), PID) is ready


def test_probes_fail_when_no_server_listens() -> None:
    with Ports() as ports:
        port = ports.reserve()
        assert not http_ok(port)(PID)
        assert not valkey_ok(port)(PID)


@pytest.mark.parametrize(
    ("pid", "status", "ready"),
    [(PID, "ready   ", True), (PID, "starting", False), (PID + 1, "ready   ", False)],
)
def test_postgres_probe_reads_the_lock_file(
    tmp_path: Path, pid: int, status: str, ready: bool
) -> None:
    lines = [str(pid), str(tmp_path), "1700000000", "5432", "", LOOPBACK, "1 2", status]
    (tmp_path / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert postgres_ok(tmp_path)(PID) is ready


def test_postgres_probe_fails_without_a_lock_file(tmp_path: Path) -> None:
    assert not postgres_ok(tmp_path)(PID)
