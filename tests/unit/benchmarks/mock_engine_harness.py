"""The mock engine, served by the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.mock_engine import EngineConnection
from benchmarks.model import Pace


@asynccontextmanager
async def engine(pace: Pace, *, path: str = "/v1/chat/completions") -> AsyncIterator[str]:
    """Give the URL of a path of an engine at this pace."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: EngineConnection(pace=pace, loop=loop), "127.0.0.1", 0
    )
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"
