"""A server whose responses wait until a test lets them go on, and which can be resumed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class IdleServer:
    """Serves responses over server-sent events; `released` lets their answers come.

    `skip`: events that a resumed stream does not get.
    """

    def __init__(self, *, skip: int = 0) -> None:
        self.released = asyncio.Event()
        self.resumed: list[tuple[str, int]] = []
        self._skip = skip
        self._count = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Give the URL of the responses."""
        application = web.Application()
        application.router.add_post("/v1/responses", self._create)
        application.router.add_get("/v1/responses/{name}", self._resume)
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1/responses"
        finally:
            await runner.cleanup()

    async def _create(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self._count += 1
        return await self._stream(request, f"resp_{self._count}", first=0)

    async def _resume(self, request: web.Request) -> web.StreamResponse:
        name, after = request.match_info["name"], int(request.query["starting_after"])
        self.resumed.append((name, after))
        return await self._stream(request, name, first=after + 1 + self._skip)

    async def _stream(self, request: web.Request, name: str, *, first: int) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": {"id": name}},
            *({"type": "response.output_text.delta", "delta": text} for text in ("1", " 2 3")),
            {"type": "response.completed", "response": {"id": name}},
        ]
        for number, event in list(enumerate(events))[first:]:
            if number:
                await answer.write(b": keep-alive\n\n")
                await self.released.wait()
            data = json.dumps(event | {"sequence_number": number})
            await answer.write(f"data: {data}\n\n".encode())
        await answer.write_eof()
        return answer
