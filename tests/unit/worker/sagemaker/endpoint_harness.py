"""An endpoint over an engine that does what a test tells it to, on a port of its own."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession
from prometheus_client import CollectorRegistry

from axon.settings import EndpointSettings
from tests.unit.worker.scripted_engine_stub import ScriptedEngine
from worker.engines.protocol import EngineDeadError
from worker.sagemaker.app import create_endpoint
from worker.sagemaker.http import Endpoint
from worker.shutdown import Shutdown

QUESTION = {"model": "echo", "input": "What?"}


@dataclass
class EndpointHarness:
    """A running endpoint, its client and its metrics."""

    client: ClientSession
    endpoint: Endpoint
    shutdown: Shutdown
    registry: CollectorRegistry
    deaths: list[EngineDeadError]

    async def ask(self, **fields: Any) -> tuple[int, dict[str, Any]]:
        """Invoke; return status and body."""
        async with self.client.post("/invocations", json=QUESTION | fields) as reply:
            return reply.status, await reply.json()

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the value of a metric, None if it has no sample."""
        return self.registry.get_sample_value(name, labels)


@asynccontextmanager
async def serving(engine: ScriptedEngine, **settings: Any) -> AsyncGenerator[EndpointHarness, None]:
    """Serve on a free port of the loopback interface."""
    registry, shutdown = CollectorRegistry(), Shutdown()
    deaths: list[EngineDeadError] = []
    async with AsyncExitStack() as stack:
        endpoint = create_endpoint(
            EndpointSettings(flush_first_s=1e-9, flush_last_s=1e-9, **settings),
            engine=engine,
            registry=registry,
            shutdown=shutdown,
            died=deaths.append,
            stack=stack,
        )
        runner = await endpoint.listen(host="127.0.0.1", port=0)
        stack.push_async_callback(runner.cleanup)
        port = runner.addresses[0][1]
        client = await stack.enter_async_context(ClientSession(f"http://127.0.0.1:{port}"))
        yield EndpointHarness(client, endpoint, shutdown, registry, deaths)
