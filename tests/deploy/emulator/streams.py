"""Both directions of a connection as one thing."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Stream:
    """A connection of asyncio's streams."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def connect(cls, host: str, port: int) -> Self:
        return cls(*await asyncio.open_connection(host, port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        self.writer.close()


async def join(one: Stream, other: Stream) -> None:
    """Carry bytes both ways until one of the two ends."""
    ways = [asyncio.create_task(_carry(*way)) for way in ((one, other), (other, one))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    one.close()
    other.close()
    for way in ways:
        way.cancel()
    await asyncio.gather(*ways, return_exceptions=True)


async def _carry(source: Stream, target: Stream) -> None:
    with suppress(OSError):
        while data := await source.reader.read(65536):
            await target.send(data)
