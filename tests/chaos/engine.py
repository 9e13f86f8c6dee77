"""The echo engine as chaos runs it: it counts its tokens, and hangs on request."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from typing_extensions import override

from tests.chaos.control import Control
from tests.chaos.tokens import TokenFile
from worker.engines.echo.engine import EchoEngine
from worker.engines.protocol import EngineDeadError, GenerateRequest, TokenChunk


class ChaosEngine(EchoEngine):
    """Counts each token before anybody gets it.

    After `Control.hang` it generates no further token until it is started again: as an engine
    whose GPU has stopped, it still says that it is healthy.
    """

    file: TokenFile
    control: Control

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._healthy_until = 0
        self._hung: dict[str, asyncio.Event] = {}
        self._closed = False

    @override
    async def start(self) -> None:
        # Restarting an engine heals it.
        self._healthy_until = self.control.hangs
        self._closed = False
        await super().start()

    @override
    async def close(self) -> None:
        self._closed = True
        for released in self._hung.values():
            released.set()
        await super().close()

    @override
    async def abort(self, request_id: str) -> None:
        if self.control.aborts_hang > self._healthy_until:
            await asyncio.Event().wait()
        if request_id in self._hung:
            self._hung[request_id].set()
        await super().abort(request_id)

    @override
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        place, tokens = self.file.begin(), 0
        self.file.note(place, request, tokens=0, running=True)
        try:
            async with aclosing(super().generate(request)) as chunks:
                async for chunk in chunks:
                    if await self._hangs(request.request_id):
                        return
                    tokens += len(chunk.token_ids)
                    self.file.note(place, request, tokens=tokens, running=True)
                    yield chunk
        finally:
            self.file.note(place, request, tokens=tokens, running=False)

    async def _hangs(self, request_id: str) -> bool:
        """Wait for ever if the engine hangs; return True once the generation was aborted."""
        if self.control.hangs <= self._healthy_until:
            return False
        released = self._hung[request_id] = asyncio.Event()
        try:
            await released.wait()
        except asyncio.CancelledError:
            await self.abort(request_id)
            raise
        finally:
            self._hung.pop(request_id, None)
        if self._closed:
            raise EngineDeadError("The engine was closed.")
        return True
