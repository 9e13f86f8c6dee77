"""Responses, turns and servers for tests of Valkey's memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.directories import (
    ValkeyConnectionDirectory,
    ValkeyModelDirectory,
    ValkeyRelayDirectory,
)
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.conversations import Turn
from axon.deadlines import Deadlines
from axon.event_log.openings import NewResponse
from tests.conftest import Servers
from tests.support.clients import valkey_client
from tests.support.principals import a_principal
from tests.support.valkey_servers import valkey_server

NEW = NewResponse(
    response_id="resp_1",
    tenant_id="t",
    connection_id="c1",
    model="echo",
    job=b"j" * 10_000,
    created=b"{}",
)


def turn(number: int, *, connection_id: str | None = None, size: int = 50_000) -> Turn:
    return Turn(
        response_id=f"resp_{number}",
        previous_response_id=None,
        conversation_id="conv",
        tenant_id="t",
        connection_id=connection_id,
        input=[{"role": "user", "content": "x" * size}],
        output=[],
    )


@asynccontextmanager
async def limitable_server(servers: Servers) -> AsyncIterator[Valkey]:
    """Yield a client of a server whose memory the test limits."""
    with valkey_server(servers, maxmemory_policy="noeviction") as server:
        async with valkey_client(server.url) as valkey:
            await ValkeyModelDirectory(valkey=valkey).register(("echo",), retention_s=600)
            await ValkeyRelayDirectory(valkey=valkey).heartbeat("r1", lease_s=600)
            await ValkeyConnectionDirectory(valkey=valkey).register("c1", principal=a_principal())
            yield valkey


async def limit(valkey: Valkey, share: float) -> None:
    """Set the server's memory so that it is used to this share."""
    used = int((await valkey.call("INFO", "memory"))["used_memory"])
    await valkey.call("CONFIG", "SET", "maxmemory", int(used / share))


def event_log(valkey: Valkey, *, retention_s: float = 300) -> ValkeyEventLog:
    return ValkeyEventLog(
        valkey=valkey, deadlines=Deadlines(), retention_s=retention_s, resume_window_s=60
    )
