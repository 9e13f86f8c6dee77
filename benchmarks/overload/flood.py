"""The flood's clients, a process of their own: few sockets that carry many responses each.

Told a `Flood` as JSON in its argument, it writes `window` where it begins, `end`, and the `Seen`.
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

from benchmarks.clients import WebSocketClient
from benchmarks.model import Load
from benchmarks.overload.book import Book
from benchmarks.overload.model import Flood, Seen
from benchmarks.websocket import Opcode, frame

_CONNECTING_S = 60.0
_AFTER_S = 1.0
"""So long it listens for what should not come any more."""


class FloodClient(WebSocketClient):
    """One socket; `told` gets each event with its moment."""

    def __init__(
        self,
        flood: Flood,
        *,
        told: Callable[[dict[str, Any], float], None],
        broken: Callable[[str], None],
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
        self._told = told
        self._broken = broken
        self._closing = False

    def send(self, stream_id: str) -> None:
        """Ask once more, without waiting for what was asked before."""
        if self._transport is not None:
            request = json.dumps(self._create | {"stream_id": stream_id}).encode()
            self._transport.write(frame(Opcode.TEXT, request))

    def close(self) -> None:
        self._closing = True
        super().close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self._closing:
            self._broken(f"a connection was lost: {exc!r}")

    def data_received(self, data: bytes) -> None:
        try:
            self._received(data, perf_counter())
        except Exception as error:  # whatever it is, the answers of this socket are over
            self._broken(repr(error))
            self._end(error)
            self.close()

    def _event(self, event: dict[str, Any], now: float) -> None:
        self._told(event, now)


async def run(flood: Flood, announce: Callable[[str], None]) -> Seen:
    """Send all requests as fast as they are confirmed, and wait until every one has ended."""
    book = Book(tokens=flood.tokens)
    turns = asyncio.Semaphore(flood.unconfirmed)
    began, sent, ended = 0.0, asyncio.Event(), asyncio.Event()

    def told(event: dict[str, Any], now: float) -> None:
        if book.note(event, now - began):
            turns.release()
        if sent.is_set() and not book.open:
            ended.set()

    clients = [
        FloodClient(flood, told=told, broken=book.complain) for _ in range(flood.connections)
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
                    book.ask(str(number))
                    clients[number % len(clients)].send(str(number))
                sent.set()
                await ended.wait()
                await asyncio.sleep(_AFTER_S)
        except TimeoutError:
            book.complain(f"{book.open} responses were open after {flood.limit_s:g} s")
        announce("end")
        return book.seen()
    finally:
        for client in clients:
            client.close()


def main() -> None:
    gc.disable()
    flood = Flood(**json.loads(sys.argv[1]))
    seen = uvloop.run(run(flood, lambda line: print(line, flush=True)))
    print(json.dumps(asdict(seen)), flush=True)


if __name__ == "__main__":
    main()
