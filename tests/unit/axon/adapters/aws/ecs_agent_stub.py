"""The ECS agent's endpoint for a task's protection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer

from axon.serialization import loads


@dataclass
class AgentStandIn:
    """`failures` are answered first, one by one; `uri` is what a task finds in its environment."""

    uri: str = ""
    asked: list[dict[str, object]] = field(default_factory=list)
    failures: list[tuple[int, bytes]] = field(default_factory=list)

    async def was_asked(self, count: int) -> None:
        """Wait for `count` requests."""
        async with asyncio.timeout(15):
            while len(self.asked) < count:
                await asyncio.sleep(0.005)

    async def _put(self, request: web.Request) -> web.Response:
        state = loads(await request.read())
        self.asked.append(state)
        if self.failures:
            status, body = self.failures.pop(0)
            return web.Response(status=status, body=body)
        protection = {"ProtectionEnabled": state["ProtectionEnabled"], "TaskArn": "arn"}
        return web.json_response({"protection": protection})


@asynccontextmanager
async def ecs_agent_stand_in() -> AsyncIterator[AgentStandIn]:
    """Serve until the block ends."""
    stand_in = AgentStandIn()
    application = web.Application()
    application.router.add_put("/api/task/task-protection/v1/state", stand_in._put)
    async with TestServer(application) as server:
        stand_in.uri = str(server.make_url("/api/task"))
        yield stand_in
