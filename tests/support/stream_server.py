"""A server of one test, of which nothing is left when the test ends."""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def stream_server(
    handle: Callable[[StreamReader, StreamWriter], Awaitable[None]],
    *,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Serve connections by `handle` (over TLS with `context`); yields the port.

    At the end, handlers that still run are cancelled and their connections closed.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        try:
            # asyncio's own callback cannot do with a handler that was cancelled.
            with suppress(asyncio.CancelledError):
                await handle(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        port: int = server.sockets[0].getsockname()[1]
        yield port
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
