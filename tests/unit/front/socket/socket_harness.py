"""A session over fakes: a client's side of its socket, and a worker's hands."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, Self

from axon.event_log.follower import ResponseFollower
from axon.responses.retrieval import ResponseRetrieval
from axon.serialization import dumps, loads
from front.bodies import Bodies
from front.reading import ResponseReader
from front.socket.connection import ClientGoneError, ClientSocket, StalledError
from front.socket.messages import MessageReader
from front.socket.requests import SocketRequests
from front.socket.session import SocketSession
from tests.support.eventually import eventually
from tests.support.principals import a_principal
from tests.unit.axon.responses.service_harness import ResponseHarness
from tests.unit.axon.samples import MODEL, TENANT

TERMINAL = ("response.completed", "response.incomplete", "response.failed")


class FakeSocket(ClientSocket):
    """A client's WebSocket; `closed` is the code and the reason with which the server closed it."""

    refused = False

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.stalled = self.gone = False
        self.messages = asyncio.Queue[bytes | None]()

    async def receive(self) -> bytes | None:
        return await self.messages.get()

    async def send(self, event: bytes) -> None:
        if self.stalled:
            raise StalledError
        if self.gone:
            raise ClientGoneError
        self.sent.append(loads(event))

    async def close(self, code: int, reason: str) -> None:
        assert len(reason.encode()) <= 123  # RFC 6455: a control frame has 125 bytes
        self.closed = (code, reason)


class SocketHarness:
    """One socket at one front; an asynchronous context manager that ends with the socket."""

    def __init__(
        self,
        *,
        responses: ResponseHarness | None = None,
        cancel_on_disconnect: bool = False,
        life_s: float = 3600.0,
    ) -> None:
        self.responses = responses or ResponseHarness()
        backend = self.responses
        self.reader = ResponseReader(
            follower=ResponseFollower(
                log=backend.valkey, channels=backend.valkey.channels, restore_s=0.05
            ),
            attendance=backend.valkey.attendance,
            terminator=backend.terminator,
        )
        self.socket = FakeSocket()
        self.bodies = Bodies(max_bytes=20 * 2**20)
        self.failures: list[Exception] = []
        self.counted: list[tuple[str, str]] = []
        self.session = SocketSession(
            connection=self.socket,
            read=MessageReader(bodies=self.bodies, tenant_id=TENANT).read,
            requests=SocketRequests(
                service=backend.service,
                retrieval=ResponseRetrieval(
                    event_log=backend.valkey,
                    rows=backend.deleted,
                    conversations=backend.conversations,
                    pending=backend.pending,
                ),
                reader=self.reader,
                directory=backend.valkey,
                principal=a_principal(TENANT),
                cancel_on_disconnect=cancel_on_disconnect,
            ),
            log_failure=self.failures.append,
            count=lambda *counted: self.counted.append(counted),
            life_s=life_s,
        )
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if MODEL not in await self.responses.valkey.directory.list():
            await self.responses.begin()
        self.running = asyncio.create_task(self.session.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()
        await self.running
        await self.reader.drain()
        assert not self.reader.attended
        assert not self.bodies.held_of_sockets.count
        assert not self.bodies.decoded.held

    def leave(self) -> None:
        """Close the client's side."""
        self.socket.messages.put_nowait(None)

    def send(self, kind: str, **fields: Any) -> None:
        """Send an event of the client."""
        self.socket.messages.put_nowait(dumps({"type": kind, **fields}))

    def create(self, **fields: Any) -> None:
        """Send a request."""
        self.send("response.create", **({"model": MODEL, "input": "hello"} | fields))

    async def submitted(self, count: int = 1) -> list[str]:
        """Return the ids of the next responses that are accepted, in the order of their jobs."""
        queue = self.responses.jobs._visible
        await eventually(lambda: queue.qsize() >= count)
        return [job.response_id for job in self.responses.jobs_sent()]

    async def received(self, count: int) -> list[dict[str, Any]]:
        """Wait until this many events have been sent; return all."""
        await eventually(lambda: len(self.socket.sent) >= count)
        return self.socket.sent

    @property
    def close_code(self) -> int | None:
        """The code with which the server has closed the socket; None if it has not."""
        return self.socket.closed[0] if self.socket.closed else None

    async def settled(self) -> list[dict[str, Any]]:
        """Return what was sent once nothing more comes for 30 s."""
        await asyncio.sleep(30)
        return self.socket.sent

    async def answered(self, text: str = "Hello", **fields: Any) -> str:
        """Send a request that is answered; return its response's id."""
        before = len(self.socket.sent)
        self.create(**fields)
        (response_id,) = await self.submitted()
        await self.responses.answer(response_id, text)
        await eventually(
            lambda: any(each["type"] in TERMINAL for each in self.socket.sent[before:])
        )
        return response_id


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Return the types of events, without the beginning that all have in common."""
    return [event["type"].removeprefix("response.") for event in events]


def code_of(event: dict[str, Any]) -> str:
    """Return the code of an error event."""
    assert event["type"] == "error", event
    code: str = event["error"]["code"]
    return code
