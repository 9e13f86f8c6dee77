"""The worker's side of the pipeline's process: sends requests and distributes their tokens."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

from typing_extensions import override

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
        """Add tokens that the pipeline has generated."""
        self._arrived += token_ids
        self._reason = reason
        self.wake()

    async def tokens(self) -> tuple[list[int], FinishReason | None] | None:
        """Wait for tokens and return all that have arrived; None if the generation was ended.

        Raises
        ------
        EngineError
            The pipeline could not run the request.
        """
        while self.is_running():
            if self._reason == "failed":
                raise EngineError("The engine could not run the request; its log says why.")
            if self._arrived or self._reason is not None:
                arrived, self._arrived = self._arrived, []
                return arrived, self._reason
            await self.wait()
        return None


class PipelineProcess(asyncio.SubprocessProtocol):
    """A child process that runs the pipeline; `server` documents its messages.

    A thread is not enough: a step of the pipeline holds the interpreter lock for 10 to 150 ms,
    during which the event loop would stop.

    Parameters
    ----------
    command : Sequence[str]
        The child's command line.
    on_death : Callable[[EngineDeadError], None]
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
        """Start the child and wait until it is ready.

        Raises
        ------
        EngineError
            It ended before.
        """
        loop = asyncio.get_running_loop()
        await loop.subprocess_exec(lambda: self, *self._command, stderr=None)
        await self._changed.wait()
        if not self.alive:
            raise EngineError("The engine ended while it loaded the model; its log says why.")

    async def close(self) -> None:
        """Kill the child, which has no state to save, and wait for its end."""
        self.alive = False  # first: the end that follows is not reported as a death
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
        """Start a generation that continues these tokens."""
        self._keys += 1
        generation.key = self._keys
        self._running[generation.key] = generation
        self._send({"add": generation.key, "ids": token_ids, "config": config})

    def cancel(self, generation: PipelineGeneration) -> None:
        """Free the generation's place in the pipeline, if it still has one."""
        if self._running.pop(generation.key, None) is not None:
            self._send({"cancel": generation.key})

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._transport is not None:
            pipe = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
            pipe.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    @override
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, self._incomplete = (self._incomplete + data).split(b"\n")
        for line in lines:
            self._receive(json.loads(line))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Wake up whatever waits for the child; report its death unless it was killed."""
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
            if generation is None:  # cancelled while its tokens were on their way
                continue
            if reason is not None:
                del self._running[key]
            generation.deliver(token_ids, reason)
