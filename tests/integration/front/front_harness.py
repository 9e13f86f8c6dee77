"""Fronts and a worker in this process, over real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai

from axon.settings import FrontSettings, WorkerSettings
from axon.tenants.api_keys import ApiKeys
from front.app import serve
from tests.conftest import Servers
from worker.app import serve as serve_worker


class FrontHarness:
    """Starts fronts, each with a port of its own, and clients of the unmodified SDK."""

    def __init__(
        self,
        *,
        variables: dict[str, str],
        keys: ApiKeys,
        servers: Servers,
        secret: str,
        key_id: str,
    ) -> None:
        self._variables = variables
        self._keys = keys
        self._secret = secret
        self._key_id = key_id
        self._servers = servers

    @property
    def headers(self) -> dict[str, str]:
        """The header with the clients' key."""
        return {"authorization": f"Bearer {self._secret}"}

    def settings(self, **changes: str) -> FrontSettings:
        """Return settings of a front with a port of its own."""
        port = {"AXON_HTTP_PORT": str(self._servers.ports.reserve())}
        changed = {f"AXON_{name.upper()}": value for name, value in changes.items()}
        return FrontSettings.from_environ(self._variables | port | changed)

    @asynccontextmanager
    async def front(
        self, **changes: str
    ) -> AsyncIterator[tuple[openai.AsyncOpenAI, asyncio.Event]]:
        """A front with a client of its own; setting the event ends it, as SIGTERM does."""
        settings = self.settings(**changes)
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(settings, stop=stop))
        url = f"http://127.0.0.1:{settings.http_port}"
        try:
            async with openai.AsyncOpenAI(
                base_url=f"{url}/v1", api_key=self._secret, max_retries=0
            ) as client:
                await _ready(client, url)
                yield client, stop
        finally:
            stop.set()
            await serving

    async def revoke(self) -> None:
        """Revoke the clients' key."""
        assert await self._keys.revoke(self._key_id) is not None

    @asynccontextmanager
    async def worker(self, **changes: str) -> AsyncIterator[None]:
        """A worker with the engine echo."""
        changed = {f"AXON_{name.upper()}": value for name, value in changes.items()}
        settings = WorkerSettings.from_environ(self._variables | changed)
        stop = asyncio.Event()
        serving = asyncio.create_task(serve_worker(settings, stop=stop))
        try:
            yield
        finally:
            stop.set()
            await serving


async def _ready(client: openai.AsyncOpenAI, url: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await client.get(f"{url}/readyz", cast_to=object)
            except openai.APIError:
                await asyncio.sleep(0.01)
            else:
                return
