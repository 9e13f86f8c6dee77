"""The event log in Valkey: one Lua script a step, so that each is atomic."""

from collections.abc import Collection, Sequence
from typing import Any

from axon.adapters import valkey_keys as keys_of
from axon.adapters.valkey import Script, Valkey
from axon.connections_directory import CONNECTION_LIFE_S
from axon.event_log import (
    Claim,
    EventLog,
    LoggedEvent,
    NewResponse,
    Opening,
    ResponseMeta,
    Status,
)
from axon.exceptions import AxonError, FencedError, MissingResponseError
from axon.models import SILENCE_S
from axon.relays import LATE_RELAY_S


class ValkeyEventLog(EventLog):
    """See `axon.event_log.EventLog`.

    Parameters
    ----------
    deadline_s : seconds after which a response that has not ended is overdue.
    retention_s : seconds that a log is kept after its end.
    models : those that exist even while no worker has announced them.
    """

    def __init__(
        self,
        *,
        valkey: Valkey,
        deadline_s: float,
        retention_s: float,
        models: Collection[str] = (),
    ) -> None:
        self._valkey = valkey
        self._models = frozenset(models)
        self._deadline_ms = int(deadline_s * 1000)
        self._retention_s = int(retention_s)
        self._open = Script(valkey, "open")
        self._claim = Script(valkey, "claim")
        self._append = Script(valkey, "append")

    async def open(self, response: NewResponse) -> Opening:
        keys = [
            keys_of.response(response.response_id),
            keys_of.events(response.response_id),
            keys_of.connection(response.connection_id),
            keys_of.connection_responses(response.connection_id),
            keys_of.DEADLINES,
            keys_of.RELAYS,
            keys_of.MODELS,
            keys_of.MODELS_HEARD_OF,
        ]
        arguments = [
            response.response_id,
            response.tenant_id,
            response.connection_id,
            response.model,
            response.job,
            response.created,
            self._deadline_ms,
            self._deadline_ms // 1000 + self._retention_s,
            CONNECTION_LIFE_S,
            LATE_RELAY_S * 1000,
            int(response.model in self._models),
            int(SILENCE_S * 1000),
        ]
        return Opening((await self._open(keys=keys, args=arguments)).decode())

    async def claim(self, response_id: str, *, in_progress: bytes = b"") -> Claim:
        keys = [keys_of.response(response_id), keys_of.events(response_id)]
        outcome, *numbers = await self._claim(keys=keys, args=[response_id, in_progress])
        _check(outcome, response_id)
        return Claim(epoch=numbers[0], next_sequence=numbers[1])

    async def append(
        self,
        response_id: str,
        *,
        epoch: int,
        events: Sequence[LoggedEvent],
        status: Status = Status.IN_PROGRESS,
    ) -> None:
        keys = [
            keys_of.response(response_id),
            keys_of.events(response_id),
            keys_of.DEADLINES,
        ]
        arguments: list[Any] = [
            response_id,
            epoch,
            events[0].sequence_number,
            status.value,
            self._retention_s,
        ]
        for event in events:
            arguments += (event.data, ",".join(map(str, event.token_ids)))
        _check(await self._append(keys=keys, args=arguments), response_id)

    async def read(self, response_id: str, *, after: int = -1) -> list[LoggedEvent]:
        entries = await self._valkey.call(
            "XRANGE", keys_of.events(response_id), f"{after + 2}-0", "+"
        )
        return [_event(entry_id, fields) for entry_id, fields in entries]

    async def describe(self, response_id: str) -> ResponseMeta | None:
        fields: dict[bytes, bytes] = await self._valkey.call(
            "HGETALL", keys_of.response(response_id)
        )
        if not fields:
            return None
        return ResponseMeta(
            response_id=response_id,
            tenant_id=fields[b"tenant_id"].decode(),
            connection_id=fields[b"connection_id"].decode(),
            relay_id=fields[b"relay_id"].decode(),
            status=Status(fields[b"status"].decode()),
            epoch=int(fields[b"epoch"]),
            next_sequence=int(fields[b"next_sequence"]),
            job=fields.get(b"job", b""),
        )

    async def overdue(self, *, limit: int = 100) -> list[str]:
        now = await self._valkey.now_ms()
        ids = await self._valkey.call(
            "ZRANGEBYSCORE", keys_of.DEADLINES, "-inf", now, "LIMIT", 0, limit
        )
        return [member.decode() for member in ids]

    async def close_overdue(self, response_id: str) -> None:
        await self._valkey.call("ZREM", keys_of.DEADLINES, response_id)

    async def running_for(self, connection_id: str) -> set[str]:
        members = await self._valkey.call("SMEMBERS", keys_of.connection_responses(connection_id))
        return {member.decode() for member in members}


def _check(outcome: bytes, response_id: str) -> None:
    match outcome:
        case b"claimed" | b"appended":
            return
        case b"missing":
            raise MissingResponseError(f"{response_id} is not in the event log")
        case b"fenced":
            raise FencedError(f"{response_id} has a newer attempt or has ended")
        case _:
            raise AxonError(f"{response_id}: append out of order ({outcome.decode()})")


def _event(entry_id: bytes, fields: dict[bytes, bytes]) -> LoggedEvent:
    tokens = fields.get(b"t", b"")
    return LoggedEvent(
        sequence_number=int(entry_id.partition(b"-")[0]) - 1,
        data=fields[b"e"],
        token_ids=tuple(map(int, tokens.split(b","))) if tokens else (),
    )
