"""The flood's clients, a process of their own: few sockets that carry many responses each.

Its argument is a `Flood` as JSON. It writes `window`, `end` and the `FloodResult`, one line each.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from time import perf_counter
from typing import Any

import uvloop
from typing_extensions import override

from benchmarks.clients import WebSocketClient
from benchmarks.model import Load
from benchmarks.overload.model import Flood, FloodResult
from benchmarks.overload.records import ResponseRecords
from benchmarks.websocket import Opcode, frame

_CONNECTING_S = 60.0
_AFTER_S = 1.0
"""Seconds for which it still listens for events that should not arrive."""


class FloodClient(WebSocketClient):
    """One socket; `on_event` is called with each event and its time."""

    def __init__(
        self,
        flood: Flood,
        *,
        on_event: Callable[[dict[str, Any], float], None],
        on_failure: Callable[[str], None],
    ) -> None:
        load = Load(
            kind="websocket",
            url=flood.url,
            model=flood.model,
            clients=flood.connections,
            tokens=flood.tokens,
            seconds=0,
            cap_s=0,
        )
        super().__init__(load=load)
        self._create = {
            "type": "response.create",
            "model": flood.model,
            "input": f"count to {flood.tokens}",
        }
        self._on_event = on_event
        self._on_failure = on_failure
        self._closing = False

    def send(self, stream_id: str) -> None:
        """Send a request, without waiting for the ones before."""
        if self._transport is not None:
            request = json.dumps(self._create | {"stream_id": stream_id}).encode()
            self._transport.write(frame(Opcode.TEXT, request))

    @override
    def close(self) -> None:
        self._closing = True
        super().close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self._closing:
            self._on_failure(f"a connection was lost: {exc!r}")

    @override
    def data_received(self, data: bytes) -> None:
        try:
            self._received(data, perf_counter())
        except Exception as error:  # after any failure this socket receives nothing more
            self._on_failure(repr(error))
            self._end(error)
            self.close()

    def _event(self, event: dict[str, Any], now: float) -> None:
        self._on_event(event, now)


async def run(flood: Flood, announce: Callable[[str], None]) -> FloodResult:
    """Send all requests as fast as they are confirmed; wait until every one has ended."""
    records = ResponseRecords(tokens=flood.tokens)
    turns = asyncio.Semaphore(flood.unconfirmed)
    began, sent, ended = 0.0, asyncio.Event(), asyncio.Event()

    def on_event(event: dict[str, Any], now: float) -> None:
        if records.note(event, now - began):
            turns.release()
        if sent.is_set() and not records.open:
            ended.set()

    clients = [
        FloodClient(flood, on_event=on_event, on_failure=records.add_wrong)
        for _ in range(flood.connections)
    ]
    try:
        async with asyncio.timeout(_CONNECTING_S):
            for client in clients:
                await client.connect()
        announce("window")
        began = perf_counter()
        try:
            async with asyncio.timeout(flood.limit_s):
                for number in range(flood.jobs):
                    await turns.acquire()
                    records.ask(str(number))
                    clients[number % len(clients)].send(str(number))
                sent.set()
                await ended.wait()
                await asyncio.sleep(_AFTER_S)
        except TimeoutError:
            records.add_wrong(f"{records.open} responses were open after {flood.limit_s:g} s")
        announce("end")
        return records.seen()
    finally:
        for client in clients:
            client.close()


def main() -> None:
    """Run the flood that the argument describes."""
    gc.disable()
    flood = Flood(**json.loads(sys.argv[1]))
    seen = uvloop.run(run(flood, lambda line: print(line, flush=True)))
    print(json.dumps(asdict(seen)), flush=True)


if __name__ == "__main__":
    main()
