"""Valkey servers of one test: with settings of their own, and behind an address that can move."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from itertools import count

import redis

from local.services.valkey import Valkey
from local.supervision.child import Child
from tests.conftest import Servers
from tests.support.stream_server import stream_server

_NAMES = count()


@contextmanager
def valkey_server(servers: Servers, **settings: object) -> Iterator[Valkey]:
    """Run a server of its own; settings are those of valkey.conf, with underscores."""
    name = f"valkey-{next(_NAMES)}"
    server = Valkey(port=servers.ports.reserve(), folder=servers.folder / name, persistent=False)
    child = Child(
        replace(server.program(), name=name),
        owner=str(servers.folder),
        log=servers.folder / f"{name}.log",
    )
    try:
        child.wait_until_ready()
        with redis.Redis.from_url(server.url) as admin:
            for setting, value in settings.items():
                admin.config_set(setting.replace("_", "-"), str(value))
        yield server
    finally:
        child.kill()


@dataclass
class Address:
    """An address as DNS gives it: new connections go to `target`, old ones stay where they are."""

    port: int
    target: int

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"redis://127.0.0.1:{self.port}/0"


@asynccontextmanager
async def moving_address(target: int) -> AsyncIterator[Address]:
    """Forward connections to the port `target`, which the test may change."""
    address = Address(port=0, target=target)

    async def forward(reader: StreamReader, writer: StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", address.target)
        try:
            ways = (_copy(reader, to_writer), _copy(to_reader, writer))
            await asyncio.wait(
                [asyncio.ensure_future(way) for way in ways], return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            to_writer.close()

    async with stream_server(forward) as port:
        address.port = port
        yield address


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
