"""The event log's indexes in Valkey: what is due, abandoned, running, or to be sent again."""

import secrets

from typing_extensions import override

from axon.adapters.valkey import keys as keys_of
from axon.adapters.valkey.client import Script, Valkey
from axon.adapters.valkey.pages import members_of, pages
from axon.directory.connections import CONNECTION_LIFE_S
from axon.event_log.attendance import attendance_window_s
from axon.event_log.indexes import RESEND_PAUSE_S
from axon.event_log.log import EventLog


class ValkeyLogIndexes(EventLog):
    """The part of `axon.adapters.valkey.event_log.ValkeyEventLog` that lists and marks responses.

    Parameters
    ----------
    valkey : Valkey
        Connections for commands; the caller closes them.
    resume_window_s : float
        Seconds after which what nobody waits for any more is abandoned.
    """

    def __init__(self, *, valkey: Valkey, resume_window_s: float) -> None:
        self._valkey = valkey
        self._resume_window_ms = int(resume_window_s * 1000)
        self._attendance_window_ms = int(attendance_window_s(resume_window_s) * 1000)
        self._abandon = Script(valkey, "abandon", after=("now_ms",), when_full=True)
        self._keep = Script(valkey, "keep", when_full=True)
        self._resend = Script(valkey, "resend", after=("now_ms",), when_full=True)

    @override
    async def take_resend(self, response_id: str) -> bool:
        arguments = [call_name(), int(RESEND_PAUSE_S * 1000)]
        sends = await self._resend(keys=[keys_of.response(response_id)], args=arguments)
        return bool(sends == 1)

    @override
    async def undo_resend(self, response_id: str) -> None:
        await self._valkey.call("HDEL", keys_of.response(response_id), "resend_at_ms", "resend")

    @override
    async def overdue(self, *, limit: int = 100) -> list[str]:
        return await self._due(keys_of.DEADLINES, limit)

    @override
    async def abandon(self, connection_id: str) -> None:
        running = keys_of.connection_responses(connection_id)
        async for page in pages(self._valkey, running):
            arguments = [connection_id, self._resume_window_ms, *page]
            await self._abandon(
                keys=[running, keys_of.ABANDONED, keys_of.connection(connection_id)],
                args=arguments,
            )

    @override
    async def interrupt(self, connection_id: str) -> None:
        # Kept for as long as a connection: a tombstone may follow, and shortens it.
        key = keys_of.connection(connection_id)
        await self._keep(keys=[key], args=[CONNECTION_LIFE_S, "interrupted", 1])

    @override
    async def abandoned(self, *, limit: int = 100) -> list[str]:
        return await self._due(keys_of.ABANDONED, limit)

    @override
    async def forget(self, response_id: str) -> None:
        await self._valkey.call("ZREM", keys_of.DEADLINES, response_id)
        await self._valkey.call("ZREM", keys_of.ABANDONED, response_id)

    @override
    async def running_for(self, connection_id: str) -> set[str]:
        return await members_of(self._valkey, keys_of.connection_responses(connection_id))

    async def _due(self, index: str, limit: int) -> list[str]:
        now = await self._valkey.now_ms()
        ids = await self._valkey.call("ZRANGEBYSCORE", index, "-inf", now, "LIMIT", 0, limit)
        return [member.decode() for member in ids]


def call_name() -> str:
    """Return a random token for one call, so that a repetition of it changes nothing."""
    return secrets.token_hex(8)
