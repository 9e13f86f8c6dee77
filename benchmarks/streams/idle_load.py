"""A load process of idle streams: it opens them, cuts and resumes some, and awaits their answers.

It says `ready` and reads an `IdleLoad` (JSON, one line of standard input). Once its streams are
open it says `opened`. It counts comments from the next line to the one after, then cuts and resumes
connections and says `resumed`. After one more line it waits for all answers, and writes the
`IdleSeen` as JSON.
"""

import asyncio
import gc
import json
import sys
from dataclasses import asdict
from typing import Any

import uvloop
from typing_extensions import override

from benchmarks.clients import ResponsesClient, StreamClient, WebSocketClient
from benchmarks.model import Load
from benchmarks.streams.idle_model import IDLE_TOKENS, IdleLoad, IdleSeen
from benchmarks.websocket import Opcode, frame

_ANSWERING_S = 240.0
_OPENING_S = 30.0
_KEPT_FAILURES = 5


class _Resumable(StreamClient):
    """A client that notes its response, and can go on with it on another connection."""

    response_id = ""
    last = -1
    comments = 0
    cut = False

    def __init__(self, *, load: Load) -> None:
        super().__init__(load=load)
        self.begun = asyncio.Event()
        self.resumable = asyncio.Event()

    async def hold(self) -> None:
        """Ask, and read the answer to its end, over a second connection after a cut."""
        try:
            await self.ask()
        except ConnectionError:
            if not self.cut:
                raise
            await self.resumable.wait()
            await self.ask()

    def cut_connection(self) -> None:
        """End the connection without a word."""
        self.cut = True
        assert self._transport is not None
        self._transport.abort()

    def _note(self, event: dict[str, Any]) -> None:
        self.last = event["sequence_number"]
        if "response" in event:
            self.response_id = event["response"]["id"]
            self.begun.set()


class IdleSseClient(_Resumable, ResponsesClient):
    """Responses over server-sent events."""

    @override
    def data_received(self, data: bytes) -> None:
        self.comments += data.count(b": keep-alive\n")
        super().data_received(data)

    @override
    def _question(self) -> bytes:
        if not self.response_id:
            return super()._question()
        # The numbers go on where the cut connection has left them.
        self._done = False
        path = f"{self._path}/{self.response_id}?stream=true&starting_after={self.last}"
        head, _, _ = self._request.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n")[1:] if not line.startswith(b"Content-")]
        return b"\r\n".join([f"GET {path} HTTP/1.1".encode(), *lines, b"", b""])

    @override
    def _read(self, event: bytes, now: float) -> None:
        super()._read(event, now)
        if event != b"[DONE]":
            self._note(json.loads(event))


class IdleSocketClient(_Resumable, WebSocketClient):
    """Responses over WebSocket."""

    @override
    def _question(self) -> bytes:
        if not self.response_id:
            return super()._question()
        resume = {
            "type": "response.resume",
            "response_id": self.response_id,
            "starting_after": self.last,
        }
        return frame(Opcode.TEXT, json.dumps(resume).encode())

    @override
    def _event(self, event: dict[str, Any], now: float) -> None:
        super()._event(event, now)
        self._note(event)


class IdleStreams:
    """The streams of one load process."""

    def __init__(self, load: IdleLoad) -> None:
        self._load = load
        kind = {"responses": IdleSseClient, "websocket": IdleSocketClient}[load.kind]
        asked = Load(
            kind=load.kind,
            url=load.url,
            model=load.model,
            clients=1,
            tokens=IDLE_TOKENS,
            seconds=0,
            cap_s=0,
        )
        self._clients = {number: kind(load=asked) for number in load.numbers}
        self._tasks: list[asyncio.Task[None]] = []
        self._comments_before = 0
        self._comments = 0
        self._failures: list[str] = []

    async def open(self) -> None:
        """Open all streams at their times; wait until their responses have begun."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, client in self._clients.items():
            await asyncio.sleep(began + number / self._load.opened_per_s - loop.time())
            self._tasks.append(asyncio.create_task(self._hold(client)))
        begun = [asyncio.create_task(client.begun.wait()) for client in self._clients.values()]
        _, late = await asyncio.wait(begun, timeout=_OPENING_S)
        for task in late:
            task.cancel()

    def begin_window(self) -> None:
        """Count the comments from now on."""
        self._comments_before = self._received_comments()

    def end_window(self) -> None:
        """Count no more of them."""
        self._comments = self._received_comments() - self._comments_before

    async def cut_and_resume(self) -> None:
        """Cut connections all at once; resume their streams at the rate of the opening."""
        loop = asyncio.get_running_loop()
        every = self._load.resumed_every
        chosen = [
            one
            for number, one in self._clients.items()
            if number % every == 0 and one.begun.is_set()
        ]
        for client in chosen:
            client.cut_connection()
        began, pace_s = loop.time(), self._load.processes / self._load.opened_per_s
        for number, client in enumerate(chosen):
            await asyncio.sleep(began + number * pace_s - loop.time())
            client.resumable.set()

    async def result(self) -> IdleSeen:
        """Wait for all answers; return what was received."""
        _, late = await asyncio.wait(self._tasks, timeout=_ANSWERING_S)
        for task in late:
            task.cancel()
            self._failures.append("TimeoutError: the answer did not end")
        done = [task for task in self._tasks if task not in late]
        clients = self._clients.values()
        seen = IdleSeen(
            opened=sum(client.begun.is_set() for client in clients),
            comments=self._comments,
            resumed=sum(client.resumable.is_set() for client in clients),
            answered=len(done) + len(late) - len(self._failures),
            failures=self._failures[:_KEPT_FAILURES],
        )
        for client in clients:
            client.close()
        return seen

    def _received_comments(self) -> int:
        return sum(client.comments for client in self._clients.values())

    async def _hold(self, client: _Resumable) -> None:
        try:
            await client.hold()
        except Exception as error:  # any failure is the result of this stream
            self._failures.append(f"{type(error).__name__}: {error}"[:300])


async def run(load: IdleLoad) -> IdleSeen:
    """Open the streams, and continue at each line of standard input."""
    streams = IdleStreams(load)
    await streams.open()
    print("opened", flush=True)
    for step in (streams.begin_window, streams.end_window):
        await asyncio.to_thread(sys.stdin.readline)
        step()
    await streams.cut_and_resume()
    print("resumed", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    return await streams.result()


def main() -> None:
    """Run the load that standard input describes."""
    gc.disable()
    print("ready", flush=True)
    load = IdleLoad(**json.loads(sys.stdin.readline()))
    print(json.dumps(asdict(uvloop.run(run(load)))), flush=True)


if __name__ == "__main__":
    main()
