"""``@connections`` over real HTTP: checks every signature with botocore, keeps every message."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from unittest.mock import patch

from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCESS_KEY, SECRET_KEY, REGION = "local", "local", "us-east-1"
HANG, HANG_UP = "hang", "hang up"
MAX_BYTES = 128 * 1024


class StrictGateway:
    """`posts` and `deleted` are what arrived, in order; `paths` as they were on the wire.

    `failures` are the connection's next answers: a status, or what else a server can do. Two
    posts at a time on one connection, or a wrong signature, are an error (`faults`).
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.posts: dict[str, list[bytes]] = defaultdict(list)
        self.deleted: list[str] = []
        self.gone: set[str] = set()
        self.paths: list[str] = []
        self.faults: list[str] = []
        self.failures: dict[str, deque[int | str]] = defaultdict(deque)
        self.token: str | None = None
        self.delay_s = 0.0
        self.sockets: set[object] = set()
        self._posting: set[str] = set()
        self._closing = asyncio.Event()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["StrictGateway"]:
        application = web.Application()
        application.router.add_route("*", "/responses/@connections/{id}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.endpoint = f"http://{host}:{port}/responses"
        try:
            yield self
        finally:
            self._closing.set()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        connection_id, body = request.match_info["id"], await request.read()
        self.paths.append(request.raw_path)
        self.sockets.add(request.transport)
        if self._signature(request, body) != request.headers["Authorization"]:
            self.faults.append(f"wrong signature: {request.raw_path}")
            return web.Response(status=403)
        if connection_id in self._posting:
            self.faults.append(f"two posts at a time: {connection_id}")
        self._posting.add(connection_id)
        try:
            await asyncio.sleep(self.delay_s)
            return await self._act(request, connection_id, body)
        finally:
            self._posting.discard(connection_id)

    async def _act(self, request: web.Request, connection_id: str, body: bytes) -> web.Response:
        failures = self.failures[connection_id]
        match failures.popleft() if failures else 200:
            case int(status) if status != 200:
                return web.Response(status=status, text="refused")
            case str(kind):
                if kind == HANG:
                    self._posting.discard(connection_id)  # the client may give up on it
                    await self._closing.wait()
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
        if connection_id in self.gone:
            return web.Response(status=410)
        if request.method == "DELETE":
            self.gone.add(connection_id)
            self.deleted.append(connection_id)
            return web.Response(status=204)
        if len(body) > MAX_BYTES:
            return web.Response(status=413)
        self.posts[connection_id].append(body)
        return web.Response()

    def _signature(self, request: web.Request, body: bytes) -> str:
        url = f"http://{request.headers['Host']}{request.raw_path}"
        time = datetime.strptime(request.headers["X-Amz-Date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
        expected = AWSRequest(request.method, url, data=body)
        keys = Credentials(ACCESS_KEY, SECRET_KEY, self.token)
        with patch("botocore.auth.get_current_datetime", return_value=time):
            SigV4Auth(keys, "execute-api", REGION).add_auth(expected)
        return str(expected.headers["Authorization"])
