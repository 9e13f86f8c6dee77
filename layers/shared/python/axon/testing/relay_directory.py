"""The directories of relays and connections in memory, beside the logs that they deliver."""

from collections.abc import Callable, Collection
from copy import deepcopy
from dataclasses import dataclass, field, replace

from typing_extensions import override

from axon.directory.connections import ConnectionDirectory
from axon.directory.relays import LATE_RELAY_S, LOST_S, RelayDirectory, TakenOver
from axon.event_log.checkpoint import DeliveryCheckpoint, TailState
from axon.event_log.lanes import LanePosition
from axon.event_log.log import JournalRecord, LoggedEvent, ResponseMeta
from axon.tenants.principal import Principal


@dataclass(frozen=True)
class FakeAttempts:
    """The budget of a response's attempts; `released` is the epoch of one without a fault."""

    attempts: int = 0
    logged: int = 0
    released: int = -1
    alone: str = ""


@dataclass
class FakeLog:
    """One response's log; times are the clock's, in seconds."""

    meta: ResponseMeta
    model: str
    opened: float
    look_at: float
    expires: float
    events_expire: float
    progressed: float = 0.0
    resends: int = 0
    resend_at: float = float("-inf")
    abandoned_until: float = float("inf")
    cancel_on_disconnect: bool | None = None
    events: list[LoggedEvent] = field(default_factory=list)
    journal: list[JournalRecord] = field(default_factory=list)
    attempts: FakeAttempts = FakeAttempts()
    claim: str = ""
    claimed_after: str = ""
    worker_id: str = ""
    generation: str = ""
    checkpoint_generation: str = ""
    followed_fork: int | None = None
    moved: bool = False


STORED = (
    "_logs",
    "_relays",
    "_undelivered",
    "_lost",
    "_connections",
    "_gone",
    "_cancelling",
    "_interrupted",
    "_repeatable",
    "_lanes",
)


class FakeRelays(RelayDirectory, ConnectionDirectory):
    """Leases of relays, what each has to deliver, and the connections' relays."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logs: dict[str, FakeLog] = {}
        self._relays: dict[str, float] = {}
        self._undelivered: dict[str, set[str]] = {}
        self._lost: dict[str, tuple[float, set[str]]] = {}
        self._connections: dict[str, str] = {}
        self._gone: set[str] = set()
        self._cancelling: set[str] = set()
        self._interrupted: set[str] = set()
        self._lanes: dict[str, dict[str, str]] = {}
        self._losses = 0

    @property
    def generation(self) -> str:
        """Identity of the history; another one after each loss."""
        return f"generation-{self._losses}"

    @override
    async def heartbeat(self, relay_id: str, *, lease_s: float) -> None:
        self._relays[relay_id] = self._clock() + lease_s

    @override
    async def end_lease(self, relay_id: str) -> None:
        self._relays[relay_id] = 0.0

    @override
    async def undelivered(self, relay_id: str) -> set[str]:
        return set(self._undelivered.get(relay_id, ()))

    @override
    async def delivered(
        self, relay_id: str, response_id: str, *, connection_id: str | None = None
    ) -> None:
        log = self._find(response_id)
        if log and connection_id not in (None, log.meta.connection_id):
            return
        self._undelivered.get(relay_id, set()).discard(response_id)
        if log:
            self._leave_lane(replace(log.meta, position=replace(log.meta.position, before="")))

    @override
    async def note_lost(self, relay_id: str, connection_ids: Collection[str]) -> None:
        noted = await self.lost(relay_id)
        self._lost[relay_id] = (self._clock() + LOST_S, noted | set(connection_ids))

    @override
    async def lost(self, relay_id: str) -> set[str]:
        until, noted = self._lost.get(relay_id, (0.0, set()))
        return set(noted) if self._clock() < until else set()

    @override
    async def expired(self) -> list[str]:
        now = self._clock()
        return [relay_id for relay_id, until in self._relays.items() if until <= now]

    @override
    async def lapsed(self) -> list[str]:
        return [relay_id for relay_id in await self.expired() if self._relays[relay_id]]

    @override
    async def take_over(
        self, relay_id: str, *, successor_id: str, limit: int = 100
    ) -> list[TakenOver]:
        if self._relays.get(relay_id, 0.0) > self._clock():
            return []
        left = self._undelivered.setdefault(relay_id, set())
        connections: set[str] = set()
        taken_over = []
        for response_id in sorted(left):
            log = self._find(response_id)
            if log is None or log.meta.relay_id != relay_id:
                left.discard(response_id)
                continue
            connection_id = log.meta.connection_id
            if connection_id not in connections and len(connections) == limit:
                continue
            connections.add(connection_id)
            if self._connections.get(connection_id) == relay_id:
                self._connections[connection_id] = successor_id
            log.meta = replace(log.meta, relay_id=successor_id)
            left.discard(response_id)
            self._undelivered.setdefault(successor_id, set()).add(response_id)
            checkpoint, position = self._checkpoint_of(log), log.meta.position
            taken_over.append(TakenOver(response_id, connection_id, checkpoint, position))
        if relay_id != successor_id and not left:
            self._relays.pop(relay_id, None)
        return taken_over

    @override
    async def register(
        self, connection_id: str, *, principal: Principal, cancel_on_disconnect: bool = False
    ) -> None:
        self._connections.setdefault(connection_id, "")
        if cancel_on_disconnect:
            self._cancelling.add(connection_id)

    @override
    async def remove(self, connection_id: str) -> None:
        self._gone.add(connection_id)

    def _relay_for(self, connection_id: str) -> str | None:
        """Return the relay of a connection, "" for a followed response, None if there is none."""
        if not connection_id:
            return ""
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

    def _join_lane(self, meta: ResponseMeta, lane: str) -> ResponseMeta:
        """Return a response's state with the last place of a lane of its connection."""
        if not lane or meta.followed:
            # A followed response joins its lane when it is resumed on a connection.
            return replace(meta, position=LanePosition(lane))
        last = self._lanes.setdefault(meta.connection_id, {})
        order = max(int(self._clock() * 1000), int(last.get("order", "0")) + 1)
        position = LanePosition(lane, order, last.get(f"lane:{lane}", ""))
        last |= {"order": str(order), f"lane:{lane}": meta.response_id}
        checkpoint = meta.checkpoint
        if position.before and checkpoint.tail is TailState.NONE:
            checkpoint = replace(checkpoint, tail=TailState.CLOSED)
        return replace(meta, position=position, checkpoint=checkpoint)

    def _rejoin_lane(self, meta: ResponseMeta, position: LanePosition) -> ResponseMeta:
        """Return a restored response's state with the place that it had."""
        if not position.order or meta.followed:
            return self._join_lane(meta, position.lane)
        last, name = self._lanes.setdefault(meta.connection_id, {}), f"lane:{position.lane}"
        last["order"] = str(max(position.order, int(last.get("order", "0"))))
        other = self._find(last.get(name, ""))
        if other is None or other.meta.position.order < position.order:
            last[name] = meta.response_id
        return replace(meta, position=position)

    def _leave_lane(self, meta: ResponseMeta) -> None:
        last, field = self._lanes.get(meta.connection_id, {}), f"lane:{meta.position.lane}"
        if last.get(field) == meta.response_id:
            last[field] = meta.position.before
            if not last[field]:
                del last[field]

    def snapshot(self) -> object:
        """Return all that is stored now, for `rewind`."""
        return deepcopy([getattr(self, name) for name in STORED])

    def rewind(self, snapshot: object) -> None:
        """Lose what was written since the snapshot, as a failover to a replica that lags does."""
        self._losses += 1
        assert isinstance(snapshot, list)
        for name, value in zip(STORED, deepcopy(snapshot), strict=True):
            setattr(self, name, value)

    def _checkpoint_of(self, log: FakeLog) -> DeliveryCheckpoint:
        """Return a checkpoint as readers see it: in doubt if another generation wrote it."""
        if log.checkpoint_generation in ("", self.generation):
            return log.meta.checkpoint
        return replace(log.meta.checkpoint, tail=TailState.IN_DOUBT)

    def _find(self, response_id: str) -> FakeLog | None:
        log = self._logs.get(response_id)
        return log if log and self._clock() < log.expires else None
