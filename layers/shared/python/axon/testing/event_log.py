"""The event log and the directories of relays, models and connections, in memory."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from axon.connections_directory import ConnectionDirectory
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
from axon.models import SILENCE_S, ModelDirectory
from axon.relays import LATE_RELAY_S, RelayDirectory


@dataclass
class _Log:
    meta: ResponseMeta
    deadline: float
    events: list[LoggedEvent] = field(default_factory=list)


class FakeValkey(EventLog, RelayDirectory, ModelDirectory, ConnectionDirectory):
    """All that Valkey keeps for the way of a response, with a settable clock.

    `published` records (relay id, payload) of every publish. `models` exist even while no worker
    has announced them.
    """

    def __init__(
        self,
        *,
        deadline_s: float = 600,
        models: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.published: list[tuple[str, bytes]] = []
        self._clock = clock
        self._deadline_s = deadline_s
        self._logs: dict[str, _Log] = {}
        self._relays: dict[str, float] = {}
        self._undelivered: dict[str, set[str]] = {}
        self._known = frozenset(models)
        self._models: dict[str, float] = {}
        self._heard_of: dict[str, float] = {}
        self._connections: dict[str, str] = {}
        self._gone: set[str] = set()

    async def open(self, response: NewResponse) -> Opening:
        silence = self._clock() - self._heard_of.get(response.model, float("-inf"))
        opened = Opening.UNATTENDED if silence > SILENCE_S else Opening.OPENED
        if response.response_id in self._logs:
            return opened
        announced = self._models.get(response.model, 0) >= self._clock()
        if not announced and response.model not in self._known:
            return Opening.UNKNOWN_MODEL
        if response.connection_id in self._gone:
            return Opening.GONE
        relay_id = self._relay_for(response.connection_id)
        if relay_id is None:
            return Opening.NO_RELAY
        meta = ResponseMeta(
            response_id=response.response_id,
            tenant_id=response.tenant_id,
            connection_id=response.connection_id,
            relay_id=relay_id,
            status=Status.QUEUED,
            epoch=0,
            next_sequence=0,
            job=response.job,
        )
        self._logs[response.response_id] = _Log(meta, self._clock() + self._deadline_s)
        self._undelivered.setdefault(relay_id, set()).add(response.response_id)
        self._write(response.response_id, [LoggedEvent(0, response.created)], Status.QUEUED)
        return opened

    async def claim(self, response_id: str, *, in_progress: bytes = b"") -> Claim:
        log = self._running(response_id)
        log.meta = replace(log.meta, epoch=log.meta.epoch + 1)
        if in_progress and log.meta.next_sequence == 1:
            self._write(response_id, [LoggedEvent(1, in_progress)], Status.IN_PROGRESS)
        return Claim(epoch=log.meta.epoch, next_sequence=log.meta.next_sequence)

    async def append(
        self,
        response_id: str,
        *,
        epoch: int,
        events: Sequence[LoggedEvent],
        status: Status = Status.IN_PROGRESS,
    ) -> None:
        log = self._logs.get(response_id)
        if log is None:
            raise MissingResponseError(response_id)
        if log.meta.epoch != epoch:
            raise FencedError(response_id)
        if log.meta.next_sequence >= events[0].sequence_number + len(events):
            return
        self._running(response_id)
        if log.meta.next_sequence != events[0].sequence_number:
            raise AxonError(f"{response_id}: append out of order (gap)")
        self._write(response_id, events, status)

    async def read(self, response_id: str, *, after: int = -1) -> list[LoggedEvent]:
        log = self._logs.get(response_id)
        return [e for e in log.events if e.sequence_number > after] if log else []

    async def describe(self, response_id: str) -> ResponseMeta | None:
        log = self._logs.get(response_id)
        return log.meta if log else None

    async def overdue(self, *, limit: int = 100) -> list[str]:
        now = self._clock()
        late = [
            key
            for key, log in self._logs.items()
            if not log.meta.status.terminal and log.deadline <= now
        ]
        return late[:limit]

    async def close_overdue(self, response_id: str) -> None:
        if log := self._logs.get(response_id):
            log.deadline = float("inf")

    async def running_for(self, connection_id: str) -> set[str]:
        return {
            key
            for key, log in self._logs.items()
            if log.meta.connection_id == connection_id and not log.meta.status.terminal
        }

    async def heartbeat(self, relay_id: str, *, lease_s: float) -> None:
        self._relays[relay_id] = self._clock() + lease_s

    async def leave(self, relay_id: str) -> None:
        self._relays.pop(relay_id, None)

    async def undelivered(self, relay_id: str) -> set[str]:
        return set(self._undelivered.get(relay_id, ()))

    async def delivered(self, relay_id: str, response_id: str) -> None:
        self._undelivered.get(relay_id, set()).discard(response_id)

    async def take_expired(self) -> list[str]:
        now = self._clock()
        expired = [relay_id for relay_id, until in self._relays.items() if until <= now]
        for relay_id in expired:
            del self._relays[relay_id]
        return expired

    async def announce(self, model_ids: tuple[str, ...], *, retention_s: float) -> None:
        for model_id in model_ids:
            until = self._clock() + retention_s
            self._models[model_id] = max(until, self._models.get(model_id, 0))
            self._heard_of[model_id] = self._clock()

    async def list(self) -> list[str]:
        now = self._clock()
        return sorted(model_id for model_id, until in self._models.items() if until >= now)

    async def enter(self, connection_id: str, *, tenant_id: str) -> None:
        self._connections.setdefault(connection_id, "")

    async def remove(self, connection_id: str) -> None:
        self._gone.add(connection_id)

    def _relay_for(self, connection_id: str) -> str | None:
        now = self._clock()
        live = [relay_id for relay_id, until in self._relays.items() if until >= now]
        relay_id = self._connections.get(connection_id, "")
        if relay_id not in live:
            load = {relay_id: len(self._undelivered.get(relay_id, ())) for relay_id in live}
            relay_id = min(load, key=lambda key: load[key], default="") or self._late_relay(now)
            self._connections[connection_id] = relay_id
        return relay_id or None

    def _late_relay(self, now: float) -> str:
        late = {key: until for key, until in self._relays.items() if until >= now - LATE_RELAY_S}
        return max(late, key=lambda key: late[key], default="")

    def _running(self, response_id: str) -> _Log:
        log = self._logs.get(response_id)
        if log is None:
            raise MissingResponseError(response_id)
        if log.meta.status.terminal:
            raise FencedError(response_id)
        return log

    def _write(self, response_id: str, events: Sequence[LoggedEvent], status: Status) -> None:
        log = self._logs[response_id]
        log.events.extend(events)
        first = events[0].sequence_number
        log.meta = replace(log.meta, status=status, next_sequence=first + len(events))
        if status.terminal:
            log.meta = replace(log.meta, job=b"")
        mark = "T" if status.terminal else "-"
        header = f"{response_id} {log.meta.connection_id} {first} {mark}"
        lines = [header.encode(), *(event.data for event in events)]
        self.published.append((log.meta.relay_id, b"\n".join(lines)))
