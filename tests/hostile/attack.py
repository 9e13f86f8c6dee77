"""The hostile tenant, in a process of its own: `python -m tests.hostile.attack JSON`."""

import asyncio
import json
import secrets
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import cycle
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from tests.hostile.messages import LARGE, create, frames, schemas, warm_up

_ENDS = ("response.completed", "response.failed", "response.incomplete", "error")
_ANSWER_S = 70.0
"""Longer than the deadlines: an answer that takes longer is silence."""
_PAUSE_S = 0.2
"""After a refusal; the tenant does not heed `Retry-After`."""
_UNREAD_S = 20.0
BROKEN = (WebSocketException, OSError, TimeoutError)


class Attacker:
    """Attacks until a moment of the monotonic clock, and counts what it gets.

    Parameters
    ----------
    url : str
        URL of the gateway.
    key : str
        The tenant's API key.
    until : float
        When the attacks end.
    """

    def __init__(self, *, url: str, key: str, until: float) -> None:
        self._url = url
        self._key = key
        self._until = until
        self.counts: Counter[str] = Counter()

    async def run(self, only: str) -> None:
        """Run all attacks at once, or those that `only` names."""
        attacks: dict[str, tuple[int, Callable[[str], Awaitable[None]]]] = {
            "warm-ups": (4, self._warm_ups),
            "large requests": (2, self._large),
            "schemas": (1, self._schemas),
            "floods": (2, self._floods),
            "slow readers": (4, self._slow_readers),
            "reconnects": (2, self._reconnects),
            "wrong keys": (1, self._wrong_keys),
        }
        parts = only.split(",")
        async with asyncio.TaskGroup() as group:
            for name, (clients, attack) in attacks.items():
                if any(part in name for part in parts):
                    for _ in range(clients):
                        group.create_task(self._again(name, attack))

    async def _again(self, name: str, attack: Callable[[str], Awaitable[None]]) -> None:
        while time.monotonic() < self._until:
            try:
                await attack(name)
            except BROKEN as error:
                self.counts[f"{name}: {_named(error)}"] += 1
                await asyncio.sleep(_PAUSE_S)

    def _connect(self, key: str | None = None) -> connect:
        headers = {"Authorization": f"Bearer {key or self._key}"}
        return connect(self._url, additional_headers=headers, max_size=None, close_timeout=1)

    async def _ask(self, name: str, messages: Iterable[str], *, most: int = 200) -> None:
        """Send one message after the other on one socket, each when the one before has ended."""
        async with self._connect() as socket:
            for message, _ in zip(messages, range(most), strict=False):
                if time.monotonic() >= self._until:
                    return
                await socket.send(frames(message))
                if await self._ended(name, socket) == "error":
                    await asyncio.sleep(_PAUSE_S)

    async def _ended(self, name: str, socket: ClientConnection) -> str:
        async with asyncio.timeout(_ANSWER_S):
            while True:
                event: dict[str, Any] = json.loads(await socket.recv())
                kind = str(event.get("type", "gateway_error"))
                if kind in _ENDS or kind == "gateway_error":
                    self.counts[f"{name}: {_result(event, kind)}"] += 1
                    return kind

    async def _warm_ups(self, name: str) -> None:
        await self._ask(name, (warm_up(store=stored) for stored in cycle((True, False))))

    async def _large(self, name: str) -> None:
        await self._ask(name, (create(input="y" * LARGE, max_output_tokens=50) for _ in cycle("y")))

    async def _schemas(self, name: str) -> None:
        await self._ask(name, schemas())

    async def _floods(self, name: str) -> None:
        """Send many requests at once, each in a lane of its own, and read all answers."""
        async with self._connect() as socket:
            for number in range(100):
                await socket.send(create(input="count to 20", stream_id=f"s{number}"))
            for _ in range(100):
                await self._ended(name, socket)

    async def _slow_readers(self, name: str) -> None:
        """Ask for long answers, and read nothing of them."""
        async with self._connect() as socket:
            for number in range(10):
                await socket.send(create(input="count to 1500", stream_id=f"s{number}"))
            await asyncio.sleep(min(_UNREAD_S, max(0.0, self._until - time.monotonic())))
            self.counts[f"{name}: left"] += 1
            socket.transport.abort()

    async def _reconnects(self, name: str) -> None:
        """Leave in the middle of an answer, without a closing handshake."""
        async with self._connect() as socket:
            await socket.send(create(input="count to 200"))
            await asyncio.sleep(0.05)
            self.counts[f"{name}: left"] += 1
            socket.transport.abort()

    async def _wrong_keys(self, name: str) -> None:
        with suppress(TimeoutError):
            async with self._connect(secrets.token_urlsafe(24)) as socket:
                await socket.recv()
        await asyncio.sleep(0.02)


def _result(event: dict[str, Any], kind: str) -> str:
    failure = (event.get("response") or {}).get("error")
    return f"failed, {failure['code']}" if failure else str(event.get("code") or kind)


def _named(error: BaseException) -> str:
    if isinstance(error, InvalidStatus):
        return f"HTTP {error.response.status_code}"
    return type(error).__name__


async def main(url: str, key: str, seconds: float, only: str) -> None:
    """Attack, and print the counts as JSON."""
    attacker = Attacker(url=url, key=key, until=time.monotonic() + seconds)
    await attacker.run(only)
    print(json.dumps(attacker.counts))


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
