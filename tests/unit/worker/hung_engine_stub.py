"""An engine that hangs as a GPU does: it looks healthy, and gives no token any more."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from typing_extensions import override

from worker.engines.echo.engine import EchoEngine, EchoPace
from worker.engines.protocol import GenerateRequest, TokenChunk


class HungEngine(EchoEngine):
    """Gives a token a second, until `hangs` is set.

    Parameters
    ----------
    stubborn : bool
        A hung generation does not end when it is cancelled, nor does `close` return.
    """

    def __init__(self, *, stubborn: bool = False, slots: int = 4) -> None:
        super().__init__(slots=slots, pace=EchoPace(token_s=1.0))
        self.hangs = asyncio.Event()
        self.closed = 0
        self._stubborn = stubborn

    @override
    async def close(self) -> None:
        self.closed += 1
        await super().close()
        if self.hangs.is_set() and self._stubborn:
            await self._hang()

    @override
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        async for chunk in super().generate(request):
            if self.hangs.is_set():
                await self._hang()
            yield chunk

    async def _hang(self) -> None:
        if self._stubborn:
            # Once: the end of the event loop cancels it again.
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        await asyncio.Event().wait()
