"""The worker's side of the pipeline process: sends it requests, hands out the tokens it makes."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

from worker.engines.protocol import EngineDeadError, EngineError, FinishReason
from worker.engines.slots import Generation

PipelineReason = FinishReason | Literal["failed"]


class PipelineGeneration(Generation):
    """A generation whose tokens arrive from the pipeline."""

    __slots__ = ("_arrived", "_reason", "key")

    def __init__(self, request_id: str, *, priority: int = 0) -> None:
        super().__init__(request_id, priority=priority)
        self.key = 0
        self._arrived: list[int] = []
        self._reason: PipelineReason | None = None

    def deliver(self, token_ids: Sequence[int], reason: PipelineReason | None) -> None:
        """Hand over tokens that were made."""
        self._arrived += token_ids
        self._reason = reason
        self.wake()

    async def tokens(self) -> tuple[list[int], FinishReason | None] | None:
        """Wait for tokens and take all that are there; None if it was ended.

        Raises
        ------
        EngineError
            The pipeline could not run the request.
        """
        while self.goes_on():
            if self._reason == "failed":
                raise EngineError("The engine could not run the request; its log says why.")
            if self._arrived or self._reason is not None:
                arrived, self._arrived = self._arrived, []
                return arrived, self._reason
            await self.wait()
        return None


class PipelineProcess(asyncio.SubprocessProtocol):
    """A child process that runs the pipeline; ``server`` says what it speaks.

    A thread would not do: a step of the pipeline keeps the interpreter lock, 10 to 150 ms at a
    time in which the event loop would stand still.

    Parameters
    ----------
    command
        The child's command line.
    on_death
        Called with the error if the child ends by itself.
    """

    def __init__(
        self, *, command: Sequence[str], on_death: Callable[[EngineDeadError], None]
    ) -> None:
        self.alive = False
        self._command = command
        self._on_death = on_death
        self._running: dict[int, PipelineGeneration] = {}
        self._keys = 0
        self._incomplete = b""
        self._changed = asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None

    async def start(self) -> None:
        """Return when the child is ready; ``EngineError`` if it ends before."""
        loop = asyncio.get_running_loop()
        await loop.subprocess_exec(lambda: self, *self._command, stderr=None)
        await self._changed.wait()
        if not self.alive:
            raise EngineError("The engine ended while it loaded the model; its log says why.")

    async def close(self) -> None:
        """Kill the child, which keeps nothing, and wait for its end."""
        self.alive = False
        if self._transport is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._transport.kill()
        while self._transport is not None:
            self._changed.clear()
            await self._changed.wait()

    def submit(
        self, generation: PipelineGeneration, token_ids: Sequence[int], config: Mapping[str, Any]
    ) -> None:
        """Start to generate after these tokens."""
        self._keys += 1
        generation.key = self._keys
        self._running[generation.key] = generation
        self._send({"add": generation.key, "ids": token_ids, "config": config})

    def cancel(self, generation: PipelineGeneration) -> None:
        """Free its slot in the pipeline, if it still has one."""
        if self._running.pop(generation.key, None) is not None:
            self._send({"cancel": generation.key})

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._transport is not None:
            pipe = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
            pipe.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the child's transport."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002
        """Take the lines that are complete."""
        *lines, self._incomplete = (self._incomplete + data).split(b"\n")
        for line in lines:
            self._receive(json.loads(line))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Tell what waits for the child that it is gone."""
        transport, self._transport = self._transport, None
        died, self.alive = self.alive, False
        self._running.clear()
        self._changed.set()
        if transport is None:
            return
        if died:
            status = transport.get_returncode()
            self._on_death(EngineDeadError(f"The engine's process ended with status {status}."))
        transport.close()

    def _receive(self, message: Mapping[str, Any]) -> None:
        if message.get("ready"):
            self.alive = True
            self._changed.set()
        for key, token_ids, reason in message.get("tokens", ()):
            generation = self._running.get(key)
            if generation is None:
                continue
            if reason is not None:
                del self._running[key]
            generation.deliver(token_ids, reason)
