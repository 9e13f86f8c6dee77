"""The container's health check, as ECS runs it."""

import asyncio
import socket
import subprocess
import sys
from asyncio import StreamReader, StreamWriter

import pytest
from prometheus_client import CollectorRegistry

from axon.adapters.observability import probe
from axon.adapters.observability.health import Health, serve_health
from axon.adapters.observability.probe import alive
from tests.support.stream_server import stream_server


def run(port: int) -> int:
    command = [sys.executable, "-m", "axon.adapters.observability.probe", str(port)]
    return subprocess.run(command, timeout=20, check=False).returncode


@pytest.mark.parametrize(("state", "status"), [({}, 0), (None, 1)])
async def test_probe_exit_status_follows_liveness(
    state: dict[str, object] | None, status: int
) -> None:
    async def check() -> dict[str, object] | None:
        return state

    runner = await serve_health(Health(check), port=0, registry=CollectorRegistry())
    assert await asyncio.to_thread(run, runner.addresses[0][1]) == status
    await runner.cleanup()


def test_probe_fails_without_a_server() -> None:
    with socket.socket() as reserved:  # bound, but not listening
        reserved.bind(("127.0.0.1", 0))
        assert run(reserved.getsockname()[1]) == 1


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 404 200\r\n\r\n"])
async def test_probe_fails_for_a_bad_answer(answer: bytes) -> None:
    async def reply(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with stream_server(reply) as port:
        assert not await asyncio.to_thread(alive, port)


async def test_probe_fails_without_an_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "TIMEOUT_S", 0.1)
    asked = asyncio.Event()

    async def hang(reader: StreamReader, _writer: StreamWriter) -> None:
        asked.set()
        await reader.read()  # until the probe gives up

    async with stream_server(hang) as port:
        assert not await asyncio.to_thread(alive, port)
    assert asked.is_set()


def test_probe_imports_next_to_nothing() -> None:
    script = "import sys; import axon.adapters.observability.probe; print(*sys.modules)"
    command = [sys.executable, "-c", script]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {"asyncio", "aiohttp", "http", "ssl", "pydantic"} & set(loaded)
