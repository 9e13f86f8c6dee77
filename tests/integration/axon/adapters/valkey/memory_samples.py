"""Responses, turns and servers for tests of Valkey's memory."""

from axon.adapters.valkey.client import Valkey
from axon.adapters.valkey.event_log import ValkeyEventLog
from axon.conversations import Turn
from axon.deadlines import Deadlines
from axon.event_log.openings import NewResponse

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


async def limit(valkey: Valkey, share: float) -> None:
    """Set the server's memory so that it is used to this share."""
    used = int((await valkey.call("INFO", "memory"))["used_memory"])
    await valkey.call("CONFIG", "SET", "maxmemory", int(used / share))


def event_log(valkey: Valkey, *, retention_s: float = 300) -> ValkeyEventLog:
    return ValkeyEventLog(
        valkey=valkey, deadlines=Deadlines(), retention_s=retention_s, resume_window_s=60
    )
