"""A TCP proxy that fails on request: it cuts, stalls or refuses connections, and loses messages."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from local.ports import LOOPBACK
from tests.chaos.publications import PublicationFilter

CHUNK = 64 * 1024


class FaultProxy:
    """Stands before one server; healthy until told otherwise.

    Parameters
    ----------
    lost : Callable[[], bool]
        Asked for each message that Valkey publishes through it whether that gets lost.
    """

    def __init__(
        self, *, port: int, upstream_port: int, lost: Callable[[], bool] = lambda: False
    ) -> None:
        self.port = port
        self.upstream_port = upstream_port
        self._lost = lost
        self._links: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._server: asyncio.Server | None = None

    @property
    def links(self) -> int:
        """Open connections."""
        return len(self._links)

    @property
    def stalled(self) -> bool:
        """True while nothing is passed on."""
        return not self._flowing.is_set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    async def close(self) -> None:
        """End everything."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._links, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection; new ones are served."""
        for link in self._links:
            link.cancel()

    def refuse(self) -> None:
        """Break every connection, new ones too, until healed."""
        self._refusing = True
        self.cut()

    def stall(self) -> None:
        """Keep connections open and hold what is sent through them, until healed."""
        self._flowing.clear()

    def heal(self) -> None:
        """Serve again; what was held is passed on."""
        self._refusing = False
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        link = asyncio.create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(LOOPBACK, self.upstream_port)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        publications = PublicationFilter(self._lost)
        pumps = [
            asyncio.create_task(self._pump(reader, up_writer, publications.sent)),
            asyncio.create_task(self._pump(up_reader, writer, publications.received)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            writer.close()
            up_writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()
            up_writer.transport.abort()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        change: Callable[[bytes], bytes],
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flowing.wait()
                writer.write(change(data))
                await writer.drain()
