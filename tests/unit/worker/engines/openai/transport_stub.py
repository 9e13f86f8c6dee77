"""An upstream without sockets: each request gets the next of some prepared bodies."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self, cast

import aiohttp

from axon.serialization import dumps, loads
from worker.engines.openai.engine import OpenAiEngine
from worker.engines.openai.upstream import Upstream

MODEL = "m"
End = Literal["framed", "closed", "cut"]


@dataclass
class Reply:
    """A response of the upstream: its status, and its body in the pieces that arrive.

    Its end is the body's own (`framed`), the connection's (`closed`), or a break of the body.
    """

    pieces: Iterable[bytes] = ()
    status: int = 200
    headers: Mapping[str, str] = field(
        default_factory=lambda: {"Content-Type": "text/event-stream"}
    )
    end: End = "framed"

    def __post_init__(self) -> None:
        if self.end != "closed":
            self.headers = {"Transfer-Encoding": "chunked", **self.headers}
        self._left = iter(self.pieces)

    @property
    def content(self) -> Self:
        return self

    async def readany(self) -> bytes:
        piece = next((piece for piece in self._left if piece), b"")
        if self.end == "cut" and not piece:
            raise aiohttp.ClientPayloadError
        return piece

    async def read(self) -> bytes:
        return b"".join(self._left)

    def close(self) -> None:
        self._left = iter(())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class TransportStub:
    """The part of ``aiohttp.ClientSession`` that the engine uses; `bodies` holds what was sent."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.bodies: list[dict[str, Any]] = []
        self.listed: object = {"data": [{"id": MODEL}]}

    def session(self, _: Upstream) -> aiohttp.ClientSession:
        return cast("aiohttp.ClientSession", self)

    def request(self, method: str, url: str, **_: object) -> Reply:
        if method == "GET" and url.endswith("/models"):
            return Reply([dumps(self.listed)])
        return Reply(status=404)

    async def post(self, url: str, *, data: bytes, allow_redirects: bool) -> Reply:
        assert url.endswith("/chat/completions")
        assert not allow_redirects
        self.bodies.append(loads(data))
        return self.replies.pop(0)

    async def close(self) -> None: ...


@asynccontextmanager
async def stubbed(**settings: Any) -> AsyncGenerator[tuple[OpenAiEngine, TransportStub]]:
    stub = TransportStub()
    upstream = Upstream(url="http://upstream.test/v1", **settings)
    engine = OpenAiEngine(slots=2, upstream=upstream, session=stub.session)
    await engine.start()
    try:
        yield engine, stub
    finally:
        await engine.close()
