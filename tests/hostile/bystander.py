"""The other tenant: asks normally, checks each answer, and measures how long it waits."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from benchmarks.model import counted_text
from tests.hostile.messages import create

TOKENS = 30
_WITHIN_S = 60.0
"""Seconds in which a request must be answered, repetitions of refused ones included."""
_PAUSE_S = 0.3
BROKEN = (WebSocketException, OSError)


class RefusedError(Exception):
    """A request was refused; it may be repeated."""


@dataclass(kw_only=True)
class Asked:
    """The requests of the other tenant.

    Attributes
    ----------
    seconds : list[float]
        From each request to the end of its answer.
    silences : list[float]
        The longest time without an event of each.
    refusals : Counter[str]
        Codes of refusals, and broken connections, after which a request was repeated.
    wrong : list[str]
        Requests without a right answer.
    """

    seconds: list[float] = field(default_factory=list)
    silences: list[float] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Bystander:
    """Asks one question after the other on one socket."""

    def __init__(self, *, url: str, key: str, asked: Asked) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._asked = asked
        self._socket: ClientConnection | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop` is set; the last answer is read to its end."""
        while not stop.is_set():
            began = time.monotonic()
            try:
                async with asyncio.timeout(_WITHIN_S):
                    silence = await self._ask()
            except TimeoutError:
                self._asked.wrong.append(f"no answer within {_WITHIN_S:.0f} s")
                await self._close()
            else:
                self._asked.seconds.append(time.monotonic() - began)
                self._asked.silences.append(silence)
            await asyncio.sleep(_PAUSE_S)
        await self._close()

    async def _ask(self) -> float:
        """Repeat a request until it is answered; return the longest silence of the answer."""
        while True:
            try:
                return await self._answer()
            except RefusedError as error:
                self._asked.refusals[str(error)] += 1
            except BROKEN as error:
                self._asked.refusals[type(error).__name__] += 1
                await self._close()
            await asyncio.sleep(_PAUSE_S)

    async def _answer(self) -> float:
        if self._socket is None:
            self._socket = await connect(self._url, additional_headers=self._headers)
        socket, text, silence = self._socket, "", 0.0
        await socket.send(create(input=f"count to {TOKENS}"))
        last = time.monotonic()
        while True:
            event: dict[str, Any] = json.loads(await socket.recv())
            silence, last = max(silence, time.monotonic() - last), time.monotonic()
            match event.get("type"):
                case "response.output_text.delta":
                    text += event["delta"]
                case "response.completed":
                    if text != counted_text(TOKENS):
                        self._asked.wrong.append(f"wrong text: {text[:80]!r}")
                    return silence
                case "error" | None:
                    raise RefusedError(event.get("code", "gateway_error"))
                case "response.failed" | "response.incomplete":
                    raise RefusedError(event["response"]["error"]["code"])

    async def _close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()
