"""A server that speaks Valkey's protocol and answers as a test says."""

from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.stream_server import stream_server

Answer = Callable[[int, list[bytes]], bytes]
"""The answer to a command, in RESP, given the number of the connection (from 1) and the command."""

_OF_THE_CLIENT = {b"HELLO", b"CLIENT", b"INFO", b"ROLE", b"SELECT", b"AUTH"}
"""Commands of a client that connects; the server answers them by itself."""


@dataclass
class RespServer:
    """The server's address, and what it has received."""

    url: str = ""
    connections: int = 0
    commands: list[list[bytes]] = field(default_factory=list)


@asynccontextmanager
async def resp_server(answer: Answer) -> AsyncIterator[RespServer]:
    """Serve commands by `answer`."""
    server = RespServer()

    async def handle(reader: StreamReader, writer: StreamWriter) -> None:
        server.connections += 1
        number = server.connections
        while command := await _command(reader):
            if command[0].upper() in _OF_THE_CLIENT:
                writer.write(_greeting(command))
                continue
            server.commands.append(command)
            writer.write(answer(number, command))

    async with stream_server(handle) as port:
        server.url = f"redis://127.0.0.1:{port}/0"
        yield server


async def _command(reader: StreamReader) -> list[bytes]:
    """Read one command; nothing at the end of the connection."""
    try:
        count = int((await reader.readuntil(b"\r\n"))[1:])
        parts = []
        for _ in range(count):
            size = int((await reader.readuntil(b"\r\n"))[1:])
            parts.append((await reader.readexactly(size + 2))[:-2])
    except (IncompleteReadError, ConnectionError):
        return []
    return parts


def _greeting(command: list[bytes]) -> bytes:
    if command[0].upper() == b"INFO":
        text = b"role:master\r\nmaster_replid:%s\r\n" % (b"0" * 40)
        return b"$%d\r\n%s\r\n" % (len(text), text)
    if command[0].upper() == b"HELLO":
        return b"%2\r\n+server\r\n+valkey\r\n+proto\r\n:3\r\n"
    return b"+OK\r\n"
