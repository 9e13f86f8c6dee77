"""The load generator, a process of its own: closed-loop clients of one server.

Its argument is a `Load` as JSON. It writes `window` and `end` where the measured window begins and
ends, and then the `LoadResult` as JSON, one line each.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Callable
from dataclasses import asdict

import uvloop

from benchmarks.clients import StreamClient, make_client
from benchmarks.model import Load, LoadResult
from benchmarks.websocket import WebSocketError
from benchmarks.window import Window

_CONNECTING_AT_ONCE = 16


async def _connect_all(clients: list[StreamClient]) -> None:
    turns = asyncio.Semaphore(_CONNECTING_AT_ONCE)

    async def connect(client: StreamClient) -> None:
        async with turns:
            await client.connect()

    tried = await asyncio.gather(*map(connect, clients), return_exceptions=True)
    for error in tried:
        if error is not None:
            raise error


async def _closed_loop(client: StreamClient, window: Window) -> None:
    try:
        while not window.closed.is_set():
            window.add(await client.ask())
    except Exception as error:  # any failure is the result of this cell
        window.fail(error)


async def run_load(load: Load, announce: Callable[[str], None]) -> LoadResult:
    """Run the closed loops until the window closes and all requests have ended."""
    window = Window(load=load, announce=announce)
    clients = [make_client(load) for _ in range(load.clients)]
    try:
        await asyncio.wait_for(_connect_all(clients), load.cap_s * 2)
        window.warm_up()
        loops = [asyncio.create_task(_closed_loop(client, window)) for client in clients]
        await window.run()
        await _drain(loops, window, load.cap_s * 2)
    except (OSError, WebSocketError, TimeoutError) as error:
        window.fail(error)
    finally:
        for client in clients:
            client.close()
    return window.result()


async def _drain(loops: list[asyncio.Task[None]], window: Window, limit_s: float) -> None:
    _, pending = await asyncio.wait(loops, timeout=limit_s)
    for task in pending:
        task.cancel()
    if pending:
        window.fail(TimeoutError(f"{len(pending)} answers did not end in {limit_s:g} s"))


def main() -> None:
    """Run the load that the argument describes."""
    load = Load(**json.loads(sys.argv[1]))
    gc.disable()  # a pause of the generator would be measured as one of the server
    result = uvloop.run(run_load(load, lambda line: print(line, flush=True)))
    print(json.dumps(asdict(result)), flush=True)


if __name__ == "__main__":
    main()
